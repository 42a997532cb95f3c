"""The cloud-init configuration that makes an installed system the host it was installed for."""

import json
from dataclasses import dataclass, field

CREDENTIALS = "/etc/intel_edge_node/client-credentials"
CA_FILE = "/etc/intel_edge_node/orch-ca-cert/orch-ca.crt"
AGENT_VARIABLES = "/etc/edge-node/node/agent_variables"


@dataclass(frozen=True)
class CloudInitFacts:
    """What differs from host to host. client_secret may be a marker that is replaced when the machine gets the text."""

    hostname: str
    mac: str
    guid: str
    project_id: str
    client_id: str
    client_secret: str = field(repr=False)
    eim_url: str
    grpc_authority: str
    ca_pem: str


def render(facts: CloudInitFacts) -> str:
    """For /etc/cloud/cloud.cfg.d: YAML with its values as JSON, which YAML includes and which escapes by itself."""
    variables = {"GUID": facts.guid, "EIM_URL": facts.eim_url, "GRPC_AUTHORITY": facts.grpc_authority}
    blocks = {
        "hostname": facts.hostname,
        # Not ca_certs: on the image only the agent trusts our CA, by its file, and updating all of Debian's takes long.
        "write_files": [
            _file(CA_FILE, facts.ca_pem),
            _file("/etc/intel_edge_node/tenantId", f"TENANT_ID={facts.project_id}\n"),
            _file(f"{CREDENTIALS}/client_id", facts.client_id, "0600"),
            _file(f"{CREDENTIALS}/client_secret", facts.client_secret, "0600"),
            # The last one: its appearance starts the agent.
            _file(AGENT_VARIABLES, "".join(f"{name}={value}\n" for name, value in variables.items())),
        ],
    }
    lines = (f"{name}: {json.dumps(value)}" for name, value in blocks.items())
    return f"# Host {facts.hostname}, network card {facts.mac}\n" + "\n".join(lines) + "\n"


def _file(path: str, content: str, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "content": content, "permissions": permissions, "owner": "root:root"}

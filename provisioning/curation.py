"""What makes an installed system the host that it was installed for: cloud-init's configuration and the installer.

The texts are templates (provisioning/data/cloud-init and installer, or the same folders of EIM_TEMPLATES), which ask
for what Facts has.
"""

import ipaddress
import re
import shlex
from dataclasses import dataclass, field, fields
from json import loads
from typing import Any
from uuid import UUID

import yaml
from django.conf import settings
from django.db import connection

from inventory.models import Instance, OsType
from provisioning import texts
from provisioning.errors import CannotInstall
from provisioning.infra import authorities, infra
from tenants import credentials
from tenants.models import Project

SECRET_MARK = "@@client_secret@@"  # noqa: S105  stands in stored texts where the machine gets its secret
CREDENTIALS = "/etc/intel_edge_node/client-credentials"
CA_FILE = "/etc/intel_edge_node/orch-ca-cert/orch-ca.crt"
TRUST_STORES = ["/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors"]  # Debian's, and others'
AGENT_SERVICES = [
    "node-agent", "hardware-discovery-agent", "platform-update-agent", "platform-telemetry-agent",
    "platform-observability-agent", "platform-manageability-agent", "cluster-agent", "caddy",
]  # fmt: skip
AGENT_VARIABLES = "/etc/edge-node/node/agent_variables"
PARTED_BY = "\x1f"  # custom configs, in one file, until they are split on the machine
LARGEST = 96 * 1024  # bytes of all custom configs: a workflow's environment goes through a kernel that takes 128 KiB
_MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")


@dataclass(frozen=True)
class Facts:
    """What a text may ask for of one host and its surroundings."""

    hostname: str
    mac: str
    guid: str
    host_ip: str
    project_id: str
    client_id: str
    client_secret: str = field(repr=False)
    account: dict[str, str] | None  # {"username", "ssh_key"} of the local account
    developer: dict[str, str] | None  # {"username", "password_hash"}, in development only
    agents: str  # built-in: this server's own; packages: the installer's; image: the image's
    standalone: bool
    static_ip: bool
    metadata: dict[str, str]  # of the OS
    image: dict[str, str]  # variables that tell the agent of an immutable system which image it begins with
    infra: dict[str, Any]
    eim_url: str
    grpc_authority: str
    ca_pem: str

    def all(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)} | {
            "variables": _agent_variables(self), "firewall": _firewall(self), "ca_file": CA_FILE,
            "trust_stores": TRUST_STORES, "agent_services": AGENT_SERVICES,
            "credentials": CREDENTIALS, "variables_file": AGENT_VARIABLES, "environment": _environment(self),
            "agent_versions": _as_lines(dict(sorted(self.infra["packages"].items()))),
        }  # fmt: skip


def facts_of(instance: Instance) -> Facts:
    """Call in the instance's schema. Raises CannotInstall if something that is needed isn't there."""
    host, os, about = instance.host, instance.os, infra()
    if not _MAC.match(host.pxe_mac):
        raise CannotInstall(f"{host} has no MAC address: its machine must onboard first")
    if not isinstance(host.uuid, UUID):
        raise CannotInstall(f"{host} has no UUID: its machine must onboard first")
    metadata = loads(os.metadata or "{}")
    static = about["netIP"] == "static"
    if static and not _is_ip(host.bmc_ip):
        raise CannotInstall(f"netIP is static, but {host} has no address to keep: its machine must onboard first")
    if static and not about["nameServers"]:
        raise CannotInstall("netIP is static, so nameServers is needed too (EIM_INFRA_CONFIG)")
    account = instance.local_account
    if settings.EIM_DEV_USER and not settings.EIM_DEV_PASSWORD_HASH:
        raise CannotInstall("EIM_DEV_USER needs EIM_DEV_PASSWORD_HASH, which mkpasswd makes")
    return Facts(
        hostname=host.resource_id,
        mac=host.pxe_mac,
        guid=str(host.uuid),
        host_ip=host.bmc_ip,
        project_id=str(Project.objects.values_list("uuid", flat=True).get(schema_name=connection.schema_name)),
        client_id=credentials.client_id_of(host.uuid),
        client_secret=SECRET_MARK,
        account={"username": account.username, "ssh_key": account.ssh_key} if account else None,
        developer={"username": settings.EIM_DEV_USER, "password_hash": settings.EIM_DEV_PASSWORD_HASH}
        if settings.EIM_DEV_USER else None,
        agents=_agents(os),
        standalone=metadata.get("standalone-node") == "true",
        static_ip=static,
        metadata=metadata,
        image={
            "OS_PROFILE": os.profile_name, "OS_VERSION": os.profile_version, "OS_IMAGE_ID": os.image_id,
            "OS_IMAGE_SHA256": os.sha256,
        } if os.os_type == OsType.IMMUTABLE else {},
        infra=about,
        eim_url=f"https://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}",
        grpc_authority=f"{settings.EIM_PUBLIC_HOST}:{settings.EIM_GRPC_PORT}",
        ca_pem=authorities(),
    )  # fmt: skip


def _agents(os) -> str:
    if os.profile_name.startswith("debian"):
        return "built-in"
    return "image" if os.os_type == OsType.IMMUTABLE else "packages"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# The texts --------------------------------------------------------------------------------------------------------


def cloud_init(facts: Facts) -> str:
    """For /etc/cloud/cloud.cfg.d/99_infra.cfg. Raises BadTemplate, CannotInstall."""
    text = texts.render("cloud-init/99_infra.cfg", facts.all() | {"trust_script": trust_script(facts)})
    _must_be_config("cloud-init/99_infra.cfg", text)
    return text


def installer(facts: Facts) -> str:
    """The script that the first start runs where agents come as packages. Raises BadTemplate."""
    return texts.render("installer/installer.sh", facts.all()) if facts.agents == "packages" else ""


def trust_script(facts: Facts) -> str:
    """The script that asks which authorities to trust. Our own agent asks by itself. Raises BadTemplate."""
    if facts.agents == "built-in" or facts.standalone:
        return ""
    return texts.render("installer/trust.sh", facts.all())


def apt_conf(facts: Facts) -> str:
    proxies = {scheme: facts.infra[f"enProxy{scheme.upper()}"] for scheme in ("http", "https", "ftp")}
    return "".join(
        f'Acquire::{scheme}::Proxy "{address}";\n' for scheme, address in proxies.items() if address
    )  # fmt: skip


def custom_configs(instance: Instance) -> str:
    """All of the instance's own configurations, by their names. Raises CannotInstall if one isn't cloud-init's."""
    configs = [*instance.custom_config.order_by("name")]
    for config in configs:
        _must_be_config(f"The custom config {config.name}", config.config)
        if PARTED_BY in config.config:
            raise CannotInstall(f"The custom config {config.name} has the byte 0x1F in it, by which they are parted")
    if len(configs) > 99:
        raise CannotInstall(f"{instance} has {len(configs)} custom configs: 99 are the most")
    joined = PARTED_BY.join(config.config for config in configs)
    if len(joined.encode()) > LARGEST:
        raise CannotInstall(f"The custom configs of {instance} are larger than {LARGEST // 1024} KiB together")
    return joined


def _must_be_config(name: str, text: str) -> None:
    try:
        made = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise CannotInstall(f"{name} isn't YAML: {wrong}") from wrong
    if not isinstance(made, dict):
        raise CannotInstall(f"{name} isn't a cloud-config: a mapping of cloud-init's keys")


def _environment(facts: Facts) -> str:
    """Lines for /etc/environment: proxies, in both spellings that programs know."""
    about = facts.infra
    values = {
        "http_proxy": about["enProxyHTTP"], "https_proxy": about["enProxyHTTPS"], "ftp_proxy": about["enProxyFTP"],
        "socks_proxy": about["enProxySocks"], "no_proxy": about["enProxyNoProxy"],
    }  # fmt: skip
    given = {name: value for name, value in values.items() if value}
    return "".join(f"{name}={value}\n{name.upper()}={value}\n" for name, value in given.items())


def _agent_variables(facts: Facts) -> str:
    """The file that agents read; the last line of what our own agent needs starts it by the file's appearance."""
    own = {"GUID": facts.guid, "EIM_URL": facts.eim_url, "GRPC_AUTHORITY": facts.grpc_authority} | facts.image
    about = facts.infra
    return _as_lines(own | {
        "CLUSTER_ORCH_URL": about["orchCluster"]["address"],
        "HW_INVENTORY_URL": about["orchInfra"]["address"],
        "NODE_ONBOARDING_ENABLED": "true",
        "NODE_ONBOARDING_URL": about["orchInfra"]["address"],
        "NODE_ONBOARDING_HEARTBEAT": "10s",
        "NODE_ACCESS_URL": about["orchKeycloak"]["address"],
        "NODE_RS_URL": about["orchRelease"]["address"],
        "NODE_SERVICE_CLIENTS": about["enServiceClients"],
        "NODE_OUTBOUND_CLIENTS": about["enOutboundClients"],
        "NODE_METRICS_ENABLED": about["enMetricsEnabled"],
        "NODE_TOKEN_CLIENTS": about["enTokenClients"],
        "CADDY_APT_PROXY_URL": about["orchAptSrc"]["host"],
        "CADDY_APT_PROXY_PORT": about["orchAptSrc"]["port"],
        "REGISTRY_URL": about["orchRegistry"]["address"],
        "CADDY_REGISTRY_PROXY_URL": about["orchRegistry"]["host"],
        "CADDY_REGISTRY_PROXY_PORT": about["orchRegistry"]["port"],
        "OBSERVABILITY_LOGGING_URL": about["orchPlatformObsLogs"]["host"],
        "OBSERVABILITY_LOGGING_PORT": about["orchPlatformObsLogs"]["port"],
        "OBSERVABILITY_METRICS_URL": about["orchPlatformObsMetrics"]["host"],
        "OBSERVABILITY_METRICS_PORT": about["orchPlatformObsMetrics"]["port"],
        "UPDATE_SERVICE_URL": about["orchUpdate"]["address"],
        "TELEMETRY_MANAGER_URL": about["orchTelemetry"]["address"],
        "PLATFORM_MANAGEABILITY_URL": about["orchDeviceManager"]["address"],
        "RPS_ADDRESS": about["orchRpsHost"]["host"],
        "KEYCLOAK_FQDN": about["orchKeycloak"]["host"],
        "RELEASE_FQDN": about["orchRelease"]["host"],
        "RS_TYPE": about["rsType"],
        "RSTYPE": about["rsType"],
        "DISABLE_CO_PROFILE": str(about["disableCoProfile"]).lower(),
        "DISABLE_O11Y_PROFILE": str(about["disableO11yProfile"]).lower(),
    })  # fmt: skip


def _as_lines(variables: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _firewall(facts: Facts) -> list[str]:
    """Commands for the shell: by ufw, or by iptables where the image has that. Names are looked up on the machine."""
    rules = [*facts.infra["firewallReqAllow"], *facts.infra["firewallCfgAllow"]]
    return [command for rule in rules for command in (_by_iptables if facts.agents == "image" else _by_ufw)(rule)]


def _by_ufw(rule: dict[str, str]) -> list[str]:
    source, protocol = rule.get("sourceIp", ""), rule.get("protocol", "")
    whence = f"from {shlex.quote(source)}" if source else "in"
    several = any(sign in rule["ports"] for sign in ",:")  # ufw wants to be told the protocol then
    protocols = [protocol] if protocol else ["tcp", "udp"] if several else [""]
    suffix = [f" proto {each}" if each else "" for each in protocols]
    if source and not _is_network(source):
        looked_up = f'for ip in $(getent ahosts {shlex.quote(source)} | cut -d" " -f1 | sort -u); do '
        return [f'{looked_up}ufw allow from "$ip" to any port {rule["ports"]}{end}; done' for end in suffix]
    return [f"ufw allow {whence} to any port {rule['ports']}{end}" for end in suffix]


def _by_iptables(rule: dict[str, str]) -> list[str]:
    programs = {"ipv4": ["iptables"], "ipv6": ["ip6tables"]}.get(rule.get("ipVer", ""), ["iptables"])
    protocols = [rule["protocol"]] if rule.get("protocol") else ["tcp", "udp"]
    source = f" -s {shlex.quote(rule['sourceIp'])}" if rule.get("sourceIp") else ""
    return [
        f"{program} -A INPUT{source} -p {protocol} --dport {ports} -j ACCEPT"
        for program in programs for ports in rule["ports"].split(",") for protocol in protocols
    ]  # fmt: skip


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True

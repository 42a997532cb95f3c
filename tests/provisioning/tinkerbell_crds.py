"""What Tinkerbell's resources may hold (reference/provisioning.md 2.10), as JSON schemas: strict, so typos show."""

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
FLAG = {"type": "boolean"}
NUMBER = {"type": "integer"}


def holds(*required: str, **properties) -> dict:
    return {
        "type": "object", "properties": properties, "required": [*required], "additionalProperties": False,
    }  # fmt: skip


def listed(**properties) -> dict:
    return {"type": "array", "items": holds(**properties)}


METADATA = {
    "type": "object",
    "required": ["name", "namespace"],
    "properties": {
        "name": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"},
        },
    },
}
MAC = {"type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"}
STATE = {"enum": [
    "", "PENDING", "PREPARING", "RUNNING", "POST", "SUCCESS", "FAILED", "TIMEOUT",
    "STATE_PENDING", "STATE_PREPARING", "STATE_RUNNING", "STATE_POST", "STATE_SUCCESS", "STATE_FAILED", "STATE_TIMEOUT",
]}  # fmt: skip

INTERFACES = listed(
    dhcp=holds(
        mac=MAC, hostname=TEXT, lease_time=NUMBER, name_servers=TEXTS, time_servers=TEXTS, arch=TEXT, uefi=FLAG,
        vlan_id=TEXT, ip=holds(address=TEXT, netmask=TEXT, gateway=TEXT, family=NUMBER),
    ),
    netboot=holds(
        allowPXE=FLAG, allowWorkflow=FLAG, ipxe=holds(url=TEXT, contents=TEXT, binary=TEXT),
        osie=holds(baseURL=TEXT, kernel=TEXT, initrd=TEXT, kernelParams=TEXTS),
    ),
    isoboot=holds(sourceISO=TEXT), disableDhcp=FLAG,
)  # fmt: skip
ACTIONS = listed(
    id=TEXT, name=TEXT, image=TEXT, timeout=NUMBER, command=TEXTS, volumes=TEXTS, pid=TEXT,
    namespaces=holds(network=TEXT, pid=TEXT), environment={"type": "object", "additionalProperties": TEXT},
    state=STATE, executionStart=TEXT, executionStop=TEXT, executionDuration=TEXT, message=TEXT,
    status=STATE, startedAt=TEXT, seconds=NUMBER,  # of the older generation
)  # fmt: skip
STATUS = holds(
    agentID=TEXT, state=STATE, bootOptions={"type": "object"}, templateRendering=TEXT, globalTimeout=NUMBER,
    globalExecutionStop=TEXT, currentState={"type": "object"}, currentAction=TEXT,
    tasks=listed(
        id=TEXT, name=TEXT, agentID=TEXT, worker=TEXT, volumes=TEXTS, environment={"type": "object"}, actions=ACTIONS
    ),
    conditions=listed(type=TEXT, status={"enum": ["True", "False", "Unknown"]}, reason=TEXT, message=TEXT, time=TEXT),
)  # fmt: skip


def resource(kind: str, spec: dict, **more) -> dict:
    return holds(
        "apiVersion", "kind", "metadata", "spec", apiVersion={"const": "tinkerbell.org/v1alpha1"},
        kind={"const": kind}, metadata=METADATA, spec=spec, **more,
    )  # fmt: skip


SCHEMAS = {
    "templates": resource("Template", holds("data", data=TEXT)),
    "hardware": resource(
        "Hardware",
        holds(
            agentID=TEXT, auto={"type": "object"}, bmcRef={"type": "object"}, interfaces=INTERFACES,
            references={"type": "object"}, metadata={"type": "object"}, disks=listed(device=TEXT), userData=TEXT,
            vendorData=TEXT,
        ),
    ),
    "workflows": resource(
        "Workflow",
        holds(
            "templateRef", "hardwareRef", disabled=FLAG, templateRef=TEXT, hardwareRef=TEXT,
            hardwareMap={"type": "object", "additionalProperties": TEXT}, bootOptions={"type": "object"},
        ),
        status=STATUS,
    ),
}  # fmt: skip

"""The infrastructure that installed machines are told of: one YAML file, in the archived system's form.

EIM_INFRA_CONFIG names it. It is read again when it has changed, so the next installation has the new values; what it
doesn't have is as below. Services are `host:port`.
"""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from provisioning.errors import CannotInstall

_TEXTS = {  # key -> what it is without the file
    "enDebianPackagesRepo": "", "enFilesRsRoot": "", "rsType": "no-auth",
    "enProxyHTTP": "", "enProxyHTTPS": "", "enProxyFTP": "", "enProxyNoProxy": "", "enProxySocks": "",
    "enServiceClients": "", "enOutboundClients": "", "enMetricsEnabled": "true", "enTokenClients": "",
}  # fmt: skip
_SERVICES = [
    "orchInfra", "orchCluster", "orchUpdate", "orchPlatformObsLogs", "orchPlatformObsMetrics", "orchDeviceManager",
    "orchRpsHost", "orchKeycloak", "orchTelemetry", "orchFileServer", "orchRegistry", "orchRelease", "omSvc",
    "omStreamSvc", "orchAptSrc",
]  # fmt: skip
_FLAGS = ["disableCoProfile", "disableO11yProfile"]
_KERNEL = {
    "FsInotifyMaxUserInstances": 8192, "VmOverCommitMemory": 1, "KernelPanicOnOops": 1, "KernelPanic": 10,
}  # fmt: skip
_HOST_PORT = r"^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$"
_RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["ports"],
    "properties": {
        "sourceIp": {"type": "string", "pattern": r"^[A-Za-z0-9.:/-]*$"},
        "ports": {"type": "string", "pattern": r"^[0-9]{1,5}([,:][0-9]{1,5})*$"},
        "ipVer": {"enum": ["", "ipv4", "ipv6"]},
        "protocol": {"enum": ["", "tcp", "udp"]},
    },
}
_LINE = r"^[^\x00-\x1f\x7f]*$"
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string", "pattern": _LINE} for key in _TEXTS},
        **{key: {"type": "string", "pattern": _HOST_PORT} for key in _SERVICES},
        **{key: {"type": "boolean"} for key in _FLAGS},
        "systemConfig": {
            "type": "object", "additionalProperties": False,
            "properties": {key: {"type": "integer", "minimum": 0} for key in _KERNEL},
        },
        "netIP": {"enum": ["static", "dynamic"]},
        **{key: {"type": "array", "items": {"type": "string", "pattern": r"^[A-Za-z0-9.:-]+$"}}
           for key in ("ntpServers", "nameServers")},
        **{key: {"type": "array", "items": _RULE} for key in ("firewallReqAllow", "firewallCfgAllow")},
        "packages": {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[A-Za-z0-9.+:~-]+$"}},
        "rootCA": {"type": "string"},
    },
}  # fmt: skip


def infra() -> dict[str, Any]:
    """All of it, as whoever renders needs it. Raises CannotInstall, which names the file and what is wrong with it."""
    file = settings.EIM_INFRA_CONFIG
    if file is None:
        return _complete({})
    try:
        return _read(file, file.stat().st_mtime_ns)
    except OSError as away:
        raise CannotInstall(f"EIM_INFRA_CONFIG: {file} can't be read: {away.strerror}") from away


def authorities() -> str:
    """In PEM, those that installed machines trust: two, while one is exchanged for another. Raises CannotInstall."""
    try:
        return infra()["rootCA"] or settings.EIM_CA_FILE.read_text()
    except OSError as away:
        raise CannotInstall(f"EIM_CA_FILE: {settings.EIM_CA_FILE} can't be read: {away.strerror}") from away


@lru_cache(maxsize=2)
def _read(file: Path, _changed: int) -> dict[str, Any]:
    try:
        said = yaml.safe_load(file.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise CannotInstall(f"EIM_INFRA_CONFIG: {file} isn't YAML: {wrong}") from wrong
    if fault := _fault(said):
        where = ".".join(str(part) for part in fault.absolute_path) or "the whole"
        raise CannotInstall(f"EIM_INFRA_CONFIG: {file}: {where}: {fault.message}")
    return _complete(said)


def _fault(said: Any) -> Any:
    """What the schema has against it, if anything."""
    from jsonschema import Draft202012Validator  # not at the start: most processes never need it
    from jsonschema.exceptions import best_match

    return best_match(Draft202012Validator(_schema()).iter_errors(said))


@cache
def _schema() -> dict[str, Any]:
    return json.loads(json.dumps(SCHEMA))


def _complete(said: dict[str, Any]) -> dict[str, Any]:
    """With all that the file doesn't say; services that it doesn't name are this server's own."""
    web = f"{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}"
    southbound = f"{settings.EIM_PUBLIC_HOST}:{settings.EIM_GRPC_PORT}"
    of_web = {"orchKeycloak", "orchRelease", "orchFileServer", "orchRegistry", "orchAptSrc"}
    whole: dict[str, Any] = _TEXTS | {key: web if key in of_web else southbound for key in _SERVICES}
    whole |= dict.fromkeys(_FLAGS, False) | {"netIP": "dynamic", "packages": {}, "rootCA": ""}
    whole |= {key: [] for key in ("ntpServers", "nameServers", "firewallReqAllow", "firewallCfgAllow")}
    whole |= said | {"systemConfig": _KERNEL | said.get("systemConfig", {})}
    for key in _SERVICES:
        host, _, port = whole[key].rpartition(":")
        whole[key] = {"host": host, "port": port, "address": whole[key]}
    return whole

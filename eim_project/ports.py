"""Where the stack listens: chosen at the first start, and the same ever after, because installed machines know it."""

import json
import os
import random
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from eim_project import environment
from eim_project.processes import StackError

USUAL = {"http": 8000, "https": 8443, "grpc": 50051, "flower": 5555, "exporter": 9101}
# Where to look when that is taken: all below 32768, for the kernel lends higher ones to outgoing connections.
OTHERS = {
    "http": range(8001, 8400),
    "https": range(8444, 8844),
    "grpc": range(10051, 10451),
    "flower": range(5556, 5956),
    "exporter": range(9102, 9502),
}
KNOWN_TO_MACHINES = {"https", "grpc"}


@dataclass(frozen=True)
class Ports:
    http: int
    https: int
    grpc: int
    flower: int
    exporter: int

    @classmethod
    def choose(cls, data: Path, address: str) -> "Ports":
        """What the environment names (EIM_HTTP_PORT ...), else what an earlier start chose, else what is free."""
        file = data / "ports.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        ports = cls(**{name: _port(name, address, kept.get(name)) for name in USUAL})
        file.write_text(json.dumps(asdict(ports)))
        return ports


def _port(name: str, address: str, kept: int | None) -> int:
    variable = f"EIM_{name.upper()}_PORT"
    if told := os.environ.get(variable):
        wanted = environment.port(told)
        if not _is_free(address, wanted):
            raise StackError(f"{variable}={wanted} is taken: set another, or none to get a free one")
        return wanted
    if kept and _is_free(address, kept):
        return kept
    if kept and name in KNOWN_TO_MACHINES:
        raise StackError(f"port {kept}, which installed machines know, is taken: end what has it, or set {variable}")
    others = random.sample(OTHERS[name], len(OTHERS[name]))  # at random, for another stack may be starting, too
    for port in (USUAL[name], *others):
        if _is_free(address, port):
            return port
    raise StackError(f"no port for {name} is free: set {variable}")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return _reserve(port)


def _reserve(port: int) -> bool:
    """False if another stack that is starting has chosen it and not bound it yet. Lasts as long as this process.

    Else both would count as started: health is answered by whichever came first, and gRPC's port can be shared.
    """
    if port not in _reserved:
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0eim-port-{port}")  # a name without a file, which the kernel forgets with its owner
        except OSError:
            mark.close()
            return False
        _reserved[port] = mark
    return True


_reserved: dict[int, socket.socket] = {}

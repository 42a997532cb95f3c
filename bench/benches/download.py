"""A file of 100 MB, as an OS image, to four clients at once: by the app, which the embedded stack has, and by nginx."""

import os
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from django.conf import settings

from bench import nginx
from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.rig import Rig

SIZE_BYTES = 100_000_000
CLIENTS = 4
TIMES = 3  # each client, one after the other
PATH = "/tink-stack/images/bench.raw"
PIECE_BYTES = 2**20
FIGURES = {"MB": Unit.PER_SECOND, "memory more": Unit.MEGABYTES}


def by_the_app(rig: Rig) -> Figures:
    _file()
    workers = [each for each in psutil.Process().children(recursive=True) if _listens(each, rig.http_port)]
    before = _memory(workers)
    rate = _rate(rig.http_port)
    return {"MB": rate, "memory more": max(0.0, _memory(workers) - before)}


def by_nginx(rig: Rig) -> Figures:
    _file()
    with tempfile.TemporaryDirectory() as folder, nginx.running(Path(folder)) as ports:
        return {"MB": _rate(ports[0]), "memory more": 0.0}


def _file() -> Path:
    file = settings.EIM_ARTIFACTS / "images" / Path(PATH).name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(SIZE_BYTES))
    return file


def _rate(port: int) -> float:
    """MB a second, of all clients together."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(_get, [port] * CLIENTS * TIMES):
            pass
    return CLIENTS * TIMES * SIZE_BYTES / 1e6 / (time.perf_counter() - began)


def _get(port: int) -> None:
    """As a machine would, but throwing it away."""
    piece = bytearray(PIECE_BYTES)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        first, received = b"", 0
        while count := connection.recv_into(piece):
            received += count
            if len(first) < PIECE_BYTES and b"\r\n\r\n" not in first:
                first += piece[:count]
    head = first.partition(b"\r\n\r\n")[0]
    if b" 200 " not in head.splitlines()[0] or received != SIZE_BYTES + len(head) + 4:
        raise Unfair(f"{received} bytes came, after {head[:200]!r}")


def _listens(process: psutil.Process, port: int) -> bool:
    """The web server's master does, and its worker."""
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections())


def _memory(processes: list[psutil.Process]) -> float:
    return sum(each.memory_info().rss for each in processes) / 1e6


bench = Bench(
    name="download",
    ours=Side(f"{CLIENTS} clients get 100 MB at once from the app", by_the_app),
    floor=Side("the same from Debian's nginx with docker/nginx.conf.template", by_nginx),
    figures=FIGURES,
)

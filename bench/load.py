"""Callers that wait for one answer before they call again, and how long they waited."""

import asyncio
import socket
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

SECONDS = 1.2  # of one measurement
WARM_UP = 20  # calls that don't count, of all callers together; a few of each at least


@dataclass(frozen=True)
class Load:
    waits: list[float]  # seconds, of all callers
    rate: float  # calls a second
    cpu: float  # milliseconds a call, of all servers together: steadier than the clock when the machine is busy

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return statistics.median(self.waits) * 1000

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return percentile(self.waits, 99) * 1000


def percentile(numbers: Sequence[float], percent: int) -> float:
    return sorted(numbers)[min(len(numbers) - 1, len(numbers) * percent // 100)]


IDLE = 1.0  # seconds after which a connection isn't trusted to be open still


def by_threads(open_caller: Callable[[], Callable[[], object]], callers: int, used: Callable[[], float]) -> Load:
    """Each caller is a thread with a connection of its own. used() tells the seconds of CPU that the servers had."""
    waits: list[list[float]] = [[] for _ in range(callers)]
    faults: list[BaseException] = []
    before: list[float] = []
    gate = threading.Barrier(callers, action=lambda: before.append(used()), timeout=60)

    def work(mine: list[float]) -> None:
        try:
            call = open_caller()
            for _ in range(max(3, WARM_UP // callers)):
                call()
            gate.wait()
            end = time.perf_counter() + SECONDS
            while (began := time.perf_counter()) < end:
                call()
                mine.append(time.perf_counter() - began)
        except (OSError, threading.BrokenBarrierError) as fault:
            faults.append(fault)
            gate.abort()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    together = [wait for mine in waits for wait in mine]
    return Load(together, len(together) / SECONDS, (used() - before[0]) / len(together) * 1000)


async def by_tasks(callers: Sequence[Callable[[], Awaitable]], used: Callable[[], float]) -> Load:
    """The same with asyncio: each caller is a task."""
    waits: list[float] = []

    async def warm(call: Callable[[], Awaitable]) -> None:
        for _ in range(max(3, WARM_UP // len(callers))):
            await call()

    async def work(call: Callable[[], Awaitable], end: float) -> None:
        while (began := time.perf_counter()) < end:
            await call()
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*(warm(call) for call in callers))
    before, end = used(), time.perf_counter() + SECONDS
    await asyncio.gather(*(work(call, end) for call in callers))
    return Load(waits, len(waits) / SECONDS, (used() - before) / len(waits) * 1000)


class HttpCaller:
    """A kept-alive connection that reads answers and doesn't look into them: less of the machine goes to the caller."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._connect()
        self._headers = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used = time.monotonic()

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer. Raises OSError if the status isn't 200."""
        if time.monotonic() - self._used > IDLE:  # the server may have hung up: while others warmed up, for example
            self._socket.close()
            self._connect()
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        headers = answer[:end].lower()
        length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
        parts, got = [answer[end + 4 :]], len(answer) - end - 4
        while got < length:
            parts.append(self._more())
            got += len(parts[-1])
        if not headers.startswith(b"http/1.1 200"):
            raise OSError(f"{method} {path}: {headers.splitlines()[0].decode()} {b''.join(parts)[:300]!r}")
        self._used = time.monotonic()
        return b"".join(parts)

    def _more(self) -> bytes:
        if part := self._socket.recv(2**18):
            return part
        raise OSError("the server hung up")

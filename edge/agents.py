"""The four agents of simulated machines, thousands in one process: who says what, how often, and what may go wrong.

They say what the real agents say, with their periods, over the same calls; a clock wakes them, so that a machine costs
its messages and no task of its own. Faults are switched on and off while they run.
"""

import asyncio
import heapq
import itertools
import json
import logging
import random
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

import grpc

from edge import link, windows
from edge.errors import TokenRefused
from edge.link import RPC_SECONDS, Server, Token
from wire import hostmgr_pb2 as hm
from wire import maintmgr_pb2 as mm
from wire import telemetrymgr_pb2 as tm

log = logging.getLogger(__name__)

RETRY_SECONDS, RETRIES = 10.0, 3  # after a call that failed; then the agent waits for its next turn
WHILE_UPDATING = 5.0  # seconds between two reports of an update that goes on; else the period
LATENCIES = 20_000  # kept, the latest
BEGINNERS = 16  # nodes that make their first calls at once: a fleet comes up as fast as its server lets it in


class Agent(StrEnum):
    NODE = "heartbeat"
    HARDWARE = "hardware"
    TELEMETRY = "telemetry"
    UPDATE = "update"


PERIODS = {Agent.NODE: 30.0, Agent.HARDWARE: 60.0, Agent.TELEMETRY: 60.0, Agent.UPDATE: 300.0}  # seconds
PATHS = {
    Agent.NODE: "/hostmgr_southbound_proto.Hostmgr/UpdateInstanceStateStatusByHostGUID",
    Agent.HARDWARE: "/hostmgr_southbound_proto.Hostmgr/UpdateHostSystemInfoByGUID",
    Agent.TELEMETRY: "/telemetrymgr.v1.TelemetryMgr/GetTelemetryConfigByGUID",
    Agent.UPDATE: "/maintmgr.v1.MaintmgrService/PlatformUpdateStatus",
}


class Fault(StrEnum):
    SILENT = "silent"  # says nothing
    FLAPPING = "flapping"  # says nothing for four heartbeats, then speaks for two, and so on
    SLOW = "slow"  # each report comes late, by up to one period and a half
    WRONG_SERIAL = "wrong-serial"  # its hardware report, and its onboarding, name another machine's
    FAILING_UPDATE = "failing-update"  # every update that it begins fails


Status = mm.UpdateStatus


class Update:
    """What the update agent of one machine is at. One that has succeeded, or failed, isn't begun anew."""

    def __init__(self) -> None:
        self.status = Status.STATUS_TYPE_UP_TO_DATE
        self.installed = self.wanted = mm.OSProfileUpdateSource()
        self.begun: set[bytes] = set()

    @property
    def goes_on(self) -> bool:
        return self.status != Status.STATUS_TYPE_UP_TO_DATE

    def report(self, guid: str) -> bytes:
        told = Status(status_type=self.status)
        if self.installed.os_image_id or self.status == Status.STATUS_TYPE_UPDATED:
            source = self.wanted if self.status == Status.STATUS_TYPE_UPDATED else self.installed
            told.profile_name, told.profile_version = source.profile_name, source.profile_version
            told.os_image_id = source.os_image_id
        if self.status == Status.STATUS_TYPE_FAILED:
            told.status_detail = "Simulated: the update failed"
        return mm.PlatformUpdateStatusRequest(host_guid=guid, update_status=told).SerializeToString()

    def hear(self, answer: mm.PlatformUpdateStatusResponse, fails: bool) -> None:
        """One step on, each time the server has heard the last one."""
        is_image = answer.os_type == mm.PlatformUpdateStatusResponse.OS_TYPE_IMMUTABLE
        match self.status:
            case Status.STATUS_TYPE_UP_TO_DATE:
                is_open = windows.opened_at(answer.update_schedule, time.time()) is not None
                if is_open and self._is_asked_for(answer, is_image):
                    self.wanted = answer.os_profile_update_source
                    self.status = Status.STATUS_TYPE_DOWNLOADING if is_image else Status.STATUS_TYPE_STARTED
            case Status.STATUS_TYPE_DOWNLOADING:
                self.status = Status.STATUS_TYPE_DOWNLOADED
            case Status.STATUS_TYPE_DOWNLOADED:
                self.status = Status.STATUS_TYPE_STARTED
            case Status.STATUS_TYPE_STARTED:
                self.status = Status.STATUS_TYPE_FAILED if fails else Status.STATUS_TYPE_UPDATED
            case Status.STATUS_TYPE_UPDATED:
                self.installed, self.status = self.wanted, Status.STATUS_TYPE_UP_TO_DATE
            case _:
                self.status = Status.STATUS_TYPE_UP_TO_DATE

    def _is_asked_for(self, answer: mm.PlatformUpdateStatusResponse, is_image: bool) -> bool:
        source = answer.os_profile_update_source
        if is_image and source.os_image_sha in ("", self.installed.os_image_sha):
            return False
        packages = answer.installed_packages or answer.update_source.ByteSize()
        if not is_image and not packages:
            return False
        what = (source.os_image_sha.encode() if is_image else answer.update_source.SerializeToString()) + (
            answer.installed_packages.encode()
        )
        if what in self.begun:
            return False
        self.begun.add(what)
        return True


class Node:
    """A simulated machine whose system is installed."""

    def __init__(
        self,
        number: int,
        guid: str,
        server: Server,
        token: Token,
        hardware: hm.SystemInfo,
        faults: Iterable[Fault] = (),
    ) -> None:
        self.number, self.guid, self.server, self.token = number, guid, server, token
        self.faults = {*faults}
        self.update = Update()
        self.told: set[Agent] = set()  # what the server has accepted
        self.trouble = ""
        self._beat = hm.UpdateInstanceStateStatusByHostGUIDRequest(
            host_guid=guid, instance_state=hm.INSTANCE_STATE_RUNNING, instance_status=hm.INSTANCE_STATUS_RUNNING,
            provider_status_detail="4 of 4 components running",
        ).SerializeToString()  # fmt: skip
        self._hardware = hm.UpdateHostSystemInfoByGUIDRequest(host_guid=guid, system_info=hardware).SerializeToString()
        self._telemetry = tm.GetTelemetryConfigByGuidRequest(guid=guid).SerializeToString()

    def report(self, agent: Agent) -> bytes:
        match agent:
            case Agent.NODE:
                return self._beat
            case Agent.HARDWARE:
                return self._wrong() if Fault.WRONG_SERIAL in self.faults else self._hardware
            case Agent.TELEMETRY:
                return self._telemetry
            case Agent.UPDATE:
                return self.update.report(self.guid)

    def hear(self, agent: Agent, answer: bytes) -> None:
        self.told.add(agent)
        if agent == Agent.UPDATE:
            self.update.hear(mm.PlatformUpdateStatusResponse.FromString(answer), Fault.FAILING_UPDATE in self.faults)

    def is_silent(self, turn: int) -> bool:
        return Fault.SILENT in self.faults or (Fault.FLAPPING in self.faults and turn % 6 < 4)

    def _wrong(self) -> bytes:
        request = hm.UpdateHostSystemInfoByGUIDRequest.FromString(self._hardware)
        request.system_info.hw_info.serial_num = f"WRONG{self.number:05d}"
        return request.SerializeToString()


class Due(NamedTuple):
    at: float  # of the monotonic clock
    order: int
    node: Node
    agent: Agent
    turn: int
    failures: int


class Clock:
    """Wakes the agents of all nodes, and counts how their calls end."""

    def __init__(
        self,
        connections: int,
        *,
        faster: float = 1.0,
        beginners: int = BEGINNERS,
        watch: Callable[[Node, Agent, str], None] = lambda node, agent, trouble: None,
    ) -> None:
        """All nodes share so many connections. faster: by this factor, for a demonstration. watch hears how each call

        ended.
        """
        self.connections, self.beginners, self._watch = connections, beginners, watch
        self.periods = {agent: period / faster for agent, period in PERIODS.items()}
        self.nodes: list[Node] = []
        self.counts: Counter[str] = Counter()
        self.latencies: deque[float] = deque(maxlen=LATENCIES)
        self._channels: dict[tuple[Server, int], grpc.aio.Channel] = {}
        self._calls: dict[tuple[Server, int, Agent], grpc.aio.UnaryUnaryMultiCallable] = {}
        self._order = itertools.count()
        self._queue: list[Due] = []
        self._newcomers: deque[Node] = deque()
        self._beginning = 0
        self._under_way: set[asyncio.Task] = set()
        self._more = asyncio.Event()

    def add(self, node: Node) -> None:
        """It begins when those before it have: what a server doesn't know yet costs it many times what it knows."""
        self.nodes.append(node)
        self._newcomers.append(node)
        self._more.set()

    def fault(self, fault: Fault, count: int) -> None:
        """The first `count` nodes have it from now on, and the others don't."""
        for index, node in enumerate(self.nodes):
            if index < count:
                node.faults.add(fault)
            else:
                node.faults.discard(fault)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while self._newcomers and self._beginning < self.beginners:
                self._beginning += 1
                self._start(self._begin(self._newcomers.popleft()))
            pause = self._queue[0].at - time.monotonic() if self._queue else 1.0
            if pause > 0:
                self._more.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):  # wait_for() of Python 3.11 would lose a cancellation
                        await self._more.wait()
                continue
            self._start(self._turn(heapq.heappop(self._queue)))

    def _start(self, work: Coroutine) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _begin(self, node: Node) -> None:
        """The first calls of its agents, one after the other; the next ones come at moments of their own."""
        for agent, period in self.periods.items():
            at = time.monotonic() - random.uniform(0, period)
            await self._turn(Due(at, next(self._order), node, agent, 0, 0))
        self._beginning -= 1
        self._more.set()

    async def _turn(self, due: Due) -> None:
        if due.node.is_silent(due.turn):
            self._put(due.at + self.periods[due.agent], due.node, due.agent, due.turn + 1)
        else:
            await self._call(due)

    def _put(self, at: float, node: Node, agent: Agent, turn: int = 0, failures: int = 0) -> None:
        heapq.heappush(self._queue, Due(at, next(self._order), node, agent, turn, failures))
        self._more.set()

    async def _call(self, due: Due) -> None:
        node, agent = due.node, due.agent
        call, trouble = self._call_of(node, agent), ""
        try:
            metadata = await node.token.metadata()
            began = time.monotonic()
            answer = await call(node.report(agent), metadata=metadata, timeout=RPC_SECONDS)
            self.latencies.append(time.monotonic() - began)
        except grpc.aio.AioRpcError as refusal:
            trouble = refusal.code().name
            if refusal.code() == grpc.StatusCode.UNAUTHENTICATED:
                node.token.forget()
        except (OSError, TokenRefused) as fault:
            trouble = type(fault).__name__
        else:
            node.hear(agent, answer)
        node.trouble = trouble
        self.counts[f"{agent} {trouble or 'OK'}"] += 1
        self._watch(node, agent, trouble)
        self._put(*self._next(due, bool(trouble)))

    def _call_of(self, node: Node, agent: Agent) -> grpc.aio.UnaryUnaryMultiCallable:
        place = node.server, node.number % self.connections
        if place not in self._channels:
            options = link.CHANNEL_OPTIONS
            self._channels[place] = grpc.aio.secure_channel(
                node.server.grpc_authority, node.server.credentials, options=options
            )
        if (*place, agent) not in self._calls:
            self._calls[*place, agent] = self._channels[place].unary_unary(PATHS[agent])
        return self._calls[*place, agent]

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    def _next(self, due: Due, failed: bool) -> tuple[float, Node, Agent, int, int]:
        period, now = self.periods[due.agent], time.monotonic()
        if failed and due.failures < RETRIES:
            return now + min(RETRY_SECONDS, period), due.node, due.agent, due.turn, due.failures + 1
        if due.agent == Agent.UPDATE and due.node.update.goes_on:
            period = min(period, WHILE_UPDATING)
        if Fault.SLOW in due.node.faults:
            period *= random.uniform(1, 2.5)
        at = due.at + period
        return (at if at > now else now + period), due.node, due.agent, due.turn + 1, 0

    def told(self) -> dict:
        """How many calls ended how, and how long the latest took, in milliseconds."""
        waits = sorted(self.latencies)
        return {
            "nodes": len(self.nodes),
            "begun": len(self.nodes) - len(self._newcomers) - self._beginning,
            "calls": dict(sorted(self.counts.items())),
            "p50_ms": round(statistics.median(waits) * 1000, 2) if waits else None,
            "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2) if waits else None,
        }


def obey(clock: Clock, line: str) -> str:
    """A line of somebody who watches: `silent 100`, `flapping 0`, `well`. Says what was done."""
    match line.split():
        case ["well"]:
            for fault in Fault:
                clock.fault(fault, 0)
            return "all are well"
        case [name, count] if name in {*Fault} and count.isdigit():
            clock.fault(Fault(name), int(count))
            return f"{min(int(count), len(clock.nodes))} nodes are {name}"
        case ["told"]:
            return json.dumps(clock.told())
    return f"say one of {', '.join(Fault)} and how many nodes, or well, or told"

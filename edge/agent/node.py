"""What an installed machine says of itself, again and again: that it runs, what it is, and how its updates go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import grpc

from edge import trust
from edge.agent.updates import POLL_SECONDS, Updates
from edge.errors import TokenRefused
from edge.link import RPC_SECONDS, Server, Token, pauses, reason
from wire import hostmgr_pb2, hostmgr_pb2_grpc, maintmgr_pb2_grpc

# What cloud-init leaves on an installed system.
CLIENT_ID = "/etc/intel_edge_node/client-credentials/client_id"
CLIENT_SECRET = "/etc/intel_edge_node/client-credentials/client_secret"  # noqa: S105 - a path
AGENT_VARIABLES = "/etc/edge-node/node/agent_variables"
CA_FILE = "/etc/intel_edge_node/orch-ca-cert/orch-ca.crt"

Told = Literal["heartbeat", "hardware", "trust", "updates", "sources"]

HEARTBEAT = timedelta(seconds=10)
SOURCES = timedelta(hours=6)  # between two looks at what there is to update to
SOURCES_AFTER_SECONDS = 600.0  # of running, when the first start has been over for long
HARDWARE = timedelta(seconds=30)  # between two hardware reports; the server writes only what changed


def _unwatched(told: Told, trouble: str) -> None:
    """Nobody looks on."""


class Agent:
    """The agent of one machine, known to its server by `guid`, the UUID of its firmware."""

    def __init__(
        self,
        server: Server,
        token: Token,
        guid: str,
        hardware: Callable[[], hostmgr_pb2.SystemInfo],
        *,
        heartbeat: timedelta = HEARTBEAT,
        hardware_every: timedelta = HARDWARE,
        updates: Updates | None = None,
        updates_every: timedelta = timedelta(seconds=POLL_SECONDS),
        trust_every: timedelta = trust.EVERY,
        watch: Callable[[Told, str], None] = _unwatched,
    ) -> None:
        """updates: of a machine that is updated. `watch` hears of each report, and why it wasn't accepted."""
        self.server, self.token, self.guid, self.hardware = server, token, guid, hardware
        self.heartbeat, self.hardware_every, self.trust_every = heartbeat, hardware_every, trust_every
        self.watch = watch
        self.updates, self.updates_every = updates, updates_every
        self.known = asyncio.Event()  # the server has accepted its heartbeat

    async def run(self) -> None:
        """Report until cancelled. A server that is away, or doesn't want us yet, is asked again and again."""
        while True:
            try:
                await self._run()
            except* trust.Renewed:
                self.server = self.token.server = replace(self.server)  # what was read of the file is forgotten

    async def _run(self) -> None:
        async with self.server.channel() as channel, asyncio.TaskGroup() as reports:
            stub = hostmgr_pb2_grpc.HostmgrStub(channel)
            reports.create_task(self.repeat("heartbeat", self.heartbeat, lambda: self.say_running(stub)))
            reports.create_task(self.repeat("hardware", self.hardware_every, lambda: self.say_hardware(stub)))
            reports.create_task(self.repeat("trust", self.trust_every, lambda: trust.renew(self.server, self.token)))
            if self.updates is not None:
                reports.create_task(self.follow(self.updates, maintmgr_pb2_grpc.MaintmgrServiceStub(channel)))

    async def follow(self, updates: Updates, stub: Any) -> None:
        """Once the server knows this machine: what keeps a starting one busy comes later than that it runs."""
        updates.resume()
        await self.known.wait()
        async with asyncio.TaskGroup() as reports:
            reports.create_task(self.repeat("updates", self.updates_every, lambda: updates.poll(stub)))
            await asyncio.sleep(SOURCES_AFTER_SECONDS)
            reports.create_task(self.repeat("sources", SOURCES, updates.refresh))

    async def repeat(self, told: Told, every: timedelta, report: Callable[[], Awaitable[None]]) -> None:
        """Report every so often; a failure is followed by quicker tries, none of them later than the next turn."""
        retry = pauses(0.5, 1.5, longest=every.total_seconds())
        while True:
            pause = every.total_seconds()
            try:
                await report()
            except (grpc.aio.AioRpcError, OSError, TokenRefused) as fault:
                if isinstance(fault, grpc.aio.AioRpcError) and fault.code() == grpc.StatusCode.UNAUTHENTICATED:
                    self.token.forget()
                self.watch(told, reason(fault))
                pause = next(retry)
            else:
                self.watch(told, "")
                retry = pauses(0.5, 1.5, longest=every.total_seconds())
            await asyncio.sleep(pause)

    async def say_running(self, stub: Any) -> None:
        request = hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDRequest(
            host_guid=self.guid,
            instance_state=hostmgr_pb2.INSTANCE_STATE_RUNNING,
            instance_status=hostmgr_pb2.INSTANCE_STATUS_RUNNING,
            provider_status_detail="1 of 1 components running",
        )
        call = stub.UpdateInstanceStateStatusByHostGUID
        await call(request, metadata=await self.token.metadata(), timeout=RPC_SECONDS)
        self.known.set()

    async def say_hardware(self, stub: Any) -> None:
        request = hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest(host_guid=self.guid, system_info=self.hardware())
        await stub.UpdateHostSystemInfoByGUID(request, metadata=await self.token.metadata(), timeout=RPC_SECONDS)


def variables(text: str) -> dict[str, str]:
    """The KEY=VALUE lines of the agents' file."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, equals, value in pairs if equals}

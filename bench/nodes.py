"""Edge nodes that send heartbeats over TLS with their tokens, and the way in of floors that answer them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from pathlib import Path
from uuid import UUID

import grpc
from django.core.exceptions import SynchronousOnlyOperation

from bench.declare import Figures, Unit
from bench.load import by_tasks
from bench.rig import Rig
from bench.rows import uuid_of
from bench.servicers import SERVICE
from tenants import credentials, tokens
from wire import hostmgr_pb2 as wire
from wire import maintmgr_pb2
from workers import southbound

OURS = "/hostmgr_southbound_proto.Hostmgr/UpdateInstanceStateStatusByHostGUID"
POLL = "/maintmgr.v1.MaintmgrService/PlatformUpdateStatus"
CALLERS = 32
FIGURES = {
    "p50, 1 node": Unit.MS,
    "p99, 1 node": Unit.MS,
    f"p99, {CALLERS} nodes": Unit.MS,
    f"rate, {CALLERS} nodes": Unit.PER_SECOND,
    f"CPU, {CALLERS} nodes": Unit.MS,
}


def floor(method: str) -> str:
    return f"/{SERVICE}/{method}"


def heartbeats(rig: Rig, method: str, changing: bool) -> Figures:
    """What FIGURES names, when nodes send heartbeats that say the same each time, or something new."""
    nodes = [Node.of(rig, number, changing) for number in range(CALLERS)]
    return asyncio.run(_under_load(rig, nodes, method, trust(rig)))


def polls(rig: Rig) -> Figures:
    """The same, when nodes ask what they are to install, and say each time that they are up to date."""
    nodes = [Node.that_says(rig, number, _poll(uuid_of(number))) for number in range(CALLERS)]
    return asyncio.run(_under_load(rig, nodes, POLL, trust(rig)))


def trust(rig: Rig) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(rig.stack.ca).read_bytes())


async def _under_load(rig: Rig, nodes: "list[Node]", method: str, root: grpc.ChannelCredentials) -> Figures:
    async with grpc.aio.secure_channel(rig.stack.grpc, root) as channel:
        call = channel.unary_unary(method)
        alone = await by_tasks([partial(node.beat, call) for node in nodes[:1]], rig.cpu)
        together = await by_tasks([partial(node.beat, call) for node in nodes], rig.cpu)
    return dict(zip(FIGURES, [alone.p50, alone.p99, together.p99, together.rate, together.cpu], strict=True))


@dataclass(frozen=True)
class Node:
    """One whose messages are ready made: what is measured is the server."""

    metadata: list[tuple[str, str]]
    messages: Iterator[bytes]

    @classmethod
    def of(cls, rig: Rig, number: int, changing: bool) -> "Node":
        uuid = uuid_of(number)
        changes = (_message(uuid, f"{beat} components running") for beat in count())
        return cls(_metadata(rig, uuid), changes if changing else repeat(_message(uuid, "5 of 5 components running")))

    @classmethod
    def that_says(cls, rig: Rig, number: int, message: bytes) -> "Node":
        return cls(_metadata(rig, uuid_of(number)), repeat(message))

    def beat(self, call: grpc.aio.UnaryUnaryMultiCallable) -> Awaitable:
        return call(next(self.messages), metadata=self.metadata, timeout=30)


def _metadata(rig: Rig, uuid: UUID) -> list[tuple[str, str]]:
    token = tokens.for_node(credentials.client_id_of(uuid), rig.project.uuid)
    return [("authorization", f"Bearer {token}")]


def _poll(uuid: UUID) -> bytes:
    told = maintmgr_pb2.UpdateStatus(status_type=maintmgr_pb2.UpdateStatus.STATUS_TYPE_UP_TO_DATE)
    return maintmgr_pb2.PlatformUpdateStatusRequest(host_guid=str(uuid), update_status=told).SerializeToString()


def _message(uuid: UUID, detail: str) -> bytes:
    return wire.UpdateInstanceStateStatusByHostGUIDRequest(
        host_guid=str(uuid), instance_state=wire.INSTANCE_STATE_RUNNING, instance_status=wire.INSTANCE_STATUS_RUNNING,
        provider_status_detail=detail,
    ).SerializeToString()  # fmt: skip


def with_token(handler: Callable[..., Awaitable]) -> Callable[..., Awaitable]:
    """A floor's method: `await handler(request)` once the token is verified as ours verifies it, and nothing else."""

    async def call(request: wire.UpdateInstanceStateStatusByHostGUIDRequest, context: grpc.aio.ServicerContext):
        token = southbound.bearer(context)
        try:
            caller = tokens.verify(token)
        except SynchronousOnlyOperation:  # every 15 s: what has ended meanwhile is asked of the database
            caller = await southbound.in_database(tokens.verify, token)
        caller.the_project(credentials.AGENT_ROLE)
        await handler(request)
        return wire.UpdateInstanceStateStatusByHostGUIDResponse()

    return call

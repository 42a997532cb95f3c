"""How a machine becomes known to its server: by itself, on the non-interactive stream, or by who logs in at it."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc

from edge.errors import NotRegistered, Refused
from edge.link import RPC_SECONDS, PersonalToken, Server, reason
from wire import onboarding_pb2, onboarding_pb2_grpc

NodeState = onboarding_pb2.OnboardNodeStreamResponse.NodeState
PAUSES_SECONDS = (2, 4, 8, 16, 32)  # between askings while the host is only registered; then from 2 again
JITTER_SECONDS = 1.0  # at most this much longer


@dataclass(frozen=True)
class Identity:
    """What a machine knows about itself before anybody knows it."""

    uuid: str
    serial: str
    mac: str
    ip: str
    enrolment: str = field(default="", repr=False)  # the token it was given to show, if any


@dataclass(frozen=True)
class Credentials:
    """What a machine needs to fetch its tokens."""

    client_id: str
    client_secret: str = field(repr=False)
    project_id: str


async def discover(server: Server, machine: Identity, waiting: Callable[[], None] = lambda: None) -> Credentials:
    """Ask to be let in until the server says ONBOARDED; `waiting` is called each time it says REGISTERED.

    One run of the discovery agent: a gRPC error ends it, and whoever started it starts it again.
    """
    request = onboarding_pb2.OnboardNodeStreamRequest(
        uuid=machine.uuid, serialnum=machine.serial, mac_id=machine.mac, host_ip=machine.ip
    )
    pauses = itertools.cycle(PAUSES_SECONDS)
    async with server.channel() as channel:
        shown = [("x-enrolment-token", machine.enrolment)] if machine.enrolment else None
        stream = onboarding_pb2_grpc.NonInteractiveOnboardingServiceStub(channel).OnboardNodeStream(metadata=shown)
        await stream.write(request)
        async for answer in _answers(stream):
            credentials = _read(answer, machine)
            if credentials:
                return credentials
            waiting()
            await asyncio.sleep(next(pauses) + random.uniform(0, JITTER_SECONDS))
            if not stream.done():  # else the next read tells why it ended
                await stream.write(request)
    raise Refused(f"the server ended the onboarding of {machine.serial} without an answer")


async def let_in(server: Server, machine: Identity, token: PersonalToken) -> str:
    """Onboard the machine, registered or not, in the name of who logged in; the UUID of its project."""
    told = onboarding_pb2.HwData(uuid=machine.uuid, serialnum=machine.serial, mac_id=machine.mac, sut_ip=machine.ip)
    request = onboarding_pb2.CreateNodesRequest(payload=[onboarding_pb2.NodeData(hwdata=[told])])
    async with server.channel() as channel:
        service = onboarding_pb2_grpc.InteractiveOnboardingServiceStub(channel)
        try:
            answer = await service.CreateNodes(request, metadata=await token.metadata(), timeout=RPC_SECONDS)
        except grpc.aio.AioRpcError as refusal:
            raise Refused(f"the server didn't onboard {machine.serial}: {reason(refusal)}") from refusal
    return answer.project_id


async def _answers(stream: grpc.aio.StreamStreamCall) -> AsyncIterator[onboarding_pb2.OnboardNodeStreamResponse]:
    while (answer := await stream.read()) is not grpc.aio.EOF:
        yield answer


def _read(answer: onboarding_pb2.OnboardNodeStreamResponse, machine: Identity) -> Credentials | None:
    """The credentials, or None while the host is only registered."""
    code = answer.status.code
    if code == grpc.StatusCode.NOT_FOUND.value[0]:
        raise NotRegistered(f"no host is registered with UUID {machine.uuid} and serial {machine.serial}")
    if code != grpc.StatusCode.OK.value[0]:
        raise Refused(f"the server refused to onboard {machine.serial}: {answer.status.message} (code {code})")
    if answer.node_state == NodeState.NODE_STATE_REGISTERED:
        return None
    if answer.node_state != NodeState.NODE_STATE_ONBOARDED:
        raise Refused(f"the server told {machine.serial} a state it doesn't know: {answer.node_state}")
    if not (answer.client_id and answer.client_secret and answer.project_id):
        raise Refused(f"the server onboarded {machine.serial} without giving it all its credentials")
    return Credentials(answer.client_id, answer.client_secret, answer.project_id)

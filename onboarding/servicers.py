"""The onboarding manager's door: a machine calls, is matched with what was registered, and gets its credentials."""

import logging
import re
from dataclasses import dataclass, field
from uuid import UUID

import grpc
from django.db import transaction
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Indicator, Status
from tenants import claims, credentials
from tenants.errors import AlreadyClaimed
from tenants.events import acting_as
from tenants.models import Claim, Project
from wire import onboarding_pb2 as wire
from wire import onboarding_pb2_grpc
from wire.status_pb2 import Status as RpcStatus
from workers.southbound import in_database

log = logging.getLogger(__name__)

_SERIAL = re.compile(r"^[A-Za-z0-9]{5,20}\Z")
_MAC = re.compile(r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\Z")
_IP = re.compile(r"^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}\Z")

Response = wire.OnboardNodeStreamResponse
REGISTERED = Status("Host is Registered", Indicator.IDLE)
ONBOARDED = Status("Onboarded", Indicator.IDLE)
MISMATCH = "Host Registration Failed due to mismatch of {what}, Reported {what} is: {reported}"


@dataclass(frozen=True)
class Machine:
    """What a machine says about itself; serial is empty if it has none that counts."""

    uuid: UUID
    serial: str
    mac: str  # lower case, with colons
    ip: str


@dataclass(frozen=True)
class Answer:
    """What the machine is told, and whether it may ask again on the same stream."""

    message: Response = field(default_factory=Response)
    stays_open: bool = False


def refusal(code: grpc.StatusCode, sentence: str, *, stays_open: bool = False) -> Answer:
    """Errors travel inside the message, while the call itself ends well: the agents look there."""
    return Answer(Response(status=RpcStatus(code=code.value[0], message=sentence)), stays_open)


NOT_FOUND = refusal(grpc.StatusCode.NOT_FOUND, "Device not found", stays_open=True)


class NonInteractive(onboarding_pb2_grpc.NonInteractiveOnboardingServiceServicer):
    """Without a token: a machine out of the box has none. What it is given depends on what was registered."""

    async def OnboardNodeStream(self, requests, context):
        async for request in requests:
            answer = await in_database(answer_to, request)
            yield answer.message
            if not answer.stays_open:
                return


def answer_to(request: wire.OnboardNodeStreamRequest) -> Answer:
    """One round of the state machine of reference/provisioning.md 1.4. Runs in the public schema."""
    machine = machine_in(request)
    if isinstance(machine, Answer):
        return machine
    found = match(machine)
    if isinstance(found, Answer):
        return found
    with schema_context(found.schema), acting_as(f"machine {machine.uuid}"), transaction.atomic():
        # Locked, so that nobody invalidates the host, and revokes what it has, while it is being given credentials.
        host = Host.objects.select_for_update(of=("self",)).filter(resource_id=found.resource_id).first()
        return hand_over(host, machine, found) if host else NOT_FOUND


def machine_in(request: wire.OnboardNodeStreamRequest) -> Machine | Answer:
    try:
        uuid = UUID(request.uuid)
    except ValueError:
        return refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{request.uuid!r} is not a UUID")
    if not _MAC.match(request.mac_id):
        return refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{request.mac_id!r} is not a MAC address")
    if not _IP.match(request.host_ip):
        return refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{request.host_ip!r} is not an IPv4 address")
    serial = request.serialnum if _SERIAL.match(request.serialnum) else ""
    return Machine(uuid, serial, request.mac_id.lower().replace("-", ":"), request.host_ip)


def match(machine: Machine) -> Claim | Answer:
    """The claim of the registered host that this machine is (the matrix of reference/provisioning.md 1.5)."""
    by_uuid = Claim.objects.filter(uuid=machine.uuid).first()
    if by_uuid is not None:
        if by_uuid.serial and by_uuid.serial != machine.serial:
            return mismatch(by_uuid, "Serial Number", machine.serial or "none")
        return by_uuid
    if not machine.serial:
        return NOT_FOUND
    by_serial = list(Claim.objects.filter(serial=machine.serial).order_by("uuid")[:2])
    for claim in by_serial:
        if claim.uuid is None:
            return claim
    if len(by_serial) == 1:
        return mismatch(by_serial[0], "UUID", str(machine.uuid))
    return NOT_FOUND


def mismatch(claim: Claim, what: str, reported: str) -> Answer:
    """Show the operator what differs from the registration. The machine learns only that nobody knows it."""
    with schema_context(claim.schema):
        host = Host.objects.get(resource_id=claim.resource_id)
        if host.current_state not in (HostState.ONBOARDED, HostState.UNTRUSTED):
            host.observe(registration_status=Status(MISMATCH.format(what=what, reported=reported), Indicator.ERROR))
    return NOT_FOUND


def hand_over(host: Host, machine: Machine, claim: Claim) -> Answer:
    """Inside the host's schema: what the machine gets, by what the operator wants."""
    project_id = str(Project.objects.get(schema_name=claim.schema).uuid)
    if host.current_state == HostState.UNTRUSTED or host.desired_state not in (
        HostState.REGISTERED,
        HostState.ONBOARDED,
    ):
        return refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Node is already {host.desired_state}")
    if installed(host):
        return refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Node is already {host.current_state}")
    facts = {"bmc_ip": machine.ip, "pxe_mac": machine.mac}
    if host.uuid is None:
        try:
            claims.complete(host.resource_id, machine.uuid)
        except AlreadyClaimed:
            return NOT_FOUND
        facts["uuid"] = machine.uuid
    if host.registration_status_indicator == Indicator.ERROR:
        facts["registration_status"] = REGISTERED  # a corrected registration heals the mismatch of before
    if host.desired_state == HostState.REGISTERED:
        host.observe(state=HostState.REGISTERED, **{"registration_status": REGISTERED} | facts)
        told = Response(node_state=Response.NODE_STATE_REGISTERED, project_id=project_id)
        return Answer(told, stays_open=True)
    # The same secret again until the machine is installed: one that reboots in the micro-OS isn't locked out.
    host.observe(state=HostState.ONBOARDED, onboarding_status=ONBOARDED, **facts)
    client_id, secret = credentials.issue(machine.uuid)
    return Answer(
        Response(
            node_state=Response.NODE_STATE_ONBOARDED, client_id=client_id, client_secret=secret, project_id=project_id
        )
    )


def installed(host: Host) -> bool:
    instance = getattr(host, "instance", None)
    return instance is not None and instance.current_state == "INSTANCE_STATE_RUNNING"


def add_to(server) -> None:
    onboarding_pb2_grpc.add_NonInteractiveOnboardingServiceServicer_to_server(NonInteractive(), server)

"""The onboarding manager's doors: a machine calls, is matched with what was registered, and gets its credentials.

By itself (a stream), or let in by a person who signs in on its console.
"""

import logging
import re
from dataclasses import dataclass, field
from uuid import UUID

import grpc
from django.db import transaction
from django_tenants.utils import schema_context
from limits import parse_many

from inventory.models import Host, HostState, Indicator, InstanceState, Status
from onboarding import zero_touch
from tenants import claims, credentials, enrolment, events, limits
from tenants.credentials import AGENT_ROLE
from tenants.errors import AlreadyClaimed, NotEnrolled
from tenants.events import acting_as
from tenants.models import Claim, Enrolment, Project
from tenants.models.people import Role
from tenants.models.token import NODE_CLIENT
from wire import onboarding_pb2 as wire
from wire import onboarding_pb2_grpc
from wire.status_pb2 import Status as RpcStatus
from workers.southbound import Node, Refusal, bearer, in_database, inside, node_of, project_named_by

log = logging.getLogger(__name__)

_SERIAL = re.compile(r"^[A-Za-z0-9]{5,20}\Z")
_MAC = re.compile(r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\Z")
_IP = re.compile(r"^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}\Z")

ENROLMENT = "x-enrolment-token"  # in a call's metadata; old agents have none
HAND_OUTS = parse_many("10 per minute; 60 per hour")  # to one machine: each call gets a new secret
MOST_AT_ONCE = 100  # machines that one call may let in

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
    """Without an access token: a machine out of the box has none. What it is given depends on what was registered."""

    async def OnboardNodeStream(self, requests, context):
        enrolment_token = str(dict(context.invocation_metadata() or ()).get(ENROLMENT, ""))
        async for request in requests:
            answer = await in_database(answer_to, request, enrolment_token)
            yield answer.message
            if not answer.stays_open:
                return


def answer_to(request: wire.OnboardNodeStreamRequest, enrolment_token: str) -> Answer:
    """One round of the state machine of reference/provisioning.md 1.4. Runs in the public schema."""
    try:
        machine = machine_of(request.uuid, request.serialnum, request.mac_id, request.host_ip)
    except ValueError as wrong:
        return refusal(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
    found = match(machine)
    if isinstance(found, Answer):
        return found
    with schema_context(found.schema), acting_as(f"machine {machine.uuid}"), transaction.atomic():
        # Locked, so that nobody invalidates the host, and revokes what it has, while it is being given credentials.
        host = Host.objects.select_for_update(of=("self",)).filter(resource_id=found.resource_id).first()
        return hand_over(host, machine, found, enrolment_token) if host else NOT_FOUND


def machine_of(uuid: str, serial: str, mac: str, ip: str) -> Machine:
    """Raises ValueError, which names what is malformed. A serial number that can't be one is none."""
    try:
        known = UUID(uuid)
    except ValueError as wrong:
        raise ValueError(f"{uuid!r} is not a UUID") from wrong
    if not _MAC.match(mac):
        raise ValueError(f"{mac!r} is not a MAC address")
    if not _IP.match(ip):
        raise ValueError(f"{ip!r} is not an IPv4 address")
    return Machine(known, serial if _SERIAL.match(serial) else "", mac.lower().replace("-", ":"), ip)


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


def hand_over(host: Host, machine: Machine, claim: Claim, enrolment_token: str) -> Answer:
    """Inside the host's schema: what the machine gets, by what the operator wants."""
    project_id = str(Project.objects.get(schema_name=claim.schema).uuid)
    if host.current_state == HostState.UNTRUSTED or host.desired_state not in (
        HostState.REGISTERED,
        HostState.ONBOARDED,
    ):
        return refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Node is already {host.desired_state}")
    facts = {"bmc_ip": machine.ip, "pxe_mac": machine.mac}
    if host.registration_status_indicator == Indicator.ERROR:
        facts["registration_status"] = REGISTERED  # a corrected registration heals the mismatch of before
    if host.desired_state == HostState.REGISTERED:
        if not learn_uuid(host, machine, facts):
            return NOT_FOUND
        host.observe(state=HostState.REGISTERED, **{"registration_status": REGISTERED} | facts)
        told = Response(node_state=Response.NODE_STATE_REGISTERED, project_id=project_id)
        return Answer(told, stays_open=True)
    config = zero_touch.config()
    try:
        permit = enrolment.permit(
            host, machine.uuid, enrolment_token, installed=installed(host), needed=config.enrolment_required
        )
    except NotEnrolled as why:
        host.observe(onboarding_status=Status(f"Onboarding Failed: {why}", Indicator.ERROR))
        return refusal(grpc.StatusCode.FAILED_PRECONDITION, str(why))
    if installed(host) and permit is None:
        return refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Node is already {host.current_state}")
    if wait := limits.of_few().hit(HAND_OUTS, "hand-out", str(machine.uuid)):
        return refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"too many credentials asked for: again in {wait} s")
    if not learn_uuid(host, machine, facts):
        return NOT_FOUND
    client_id, secret = hand_out(host, machine, permit)
    host.observe(state=HostState.ONBOARDED, **facts, onboarding_status=zero_touch.begin(host, config) or ONBOARDED)
    return Answer(
        Response(
            node_state=Response.NODE_STATE_ONBOARDED, client_id=client_id, client_secret=secret, project_id=project_id
        )
    )


def learn_uuid(host: Host, machine: Machine, facts: dict) -> bool:
    """The UUID of a host that was registered by its serial number, as one more fact. False if it is another's."""
    if host.uuid is None:
        try:
            claims.complete(host.resource_id, machine.uuid)
        except AlreadyClaimed:
            return False
        facts["uuid"] = machine.uuid
    return True


def hand_out(host: Host, machine: Machine, permit: Enrolment | None) -> tuple[str, str]:
    """A new secret each time, until it is installed: a machine that reboots in the micro-OS isn't locked out."""
    if permit:
        enrolment.use(permit, machine.uuid)
    events.announce(host, "handed out", ring=False)
    return credentials.issue(machine.uuid)


def installed(host: Host) -> bool:
    instance = getattr(host, "instance", None)
    return instance is not None and instance.current_state == InstanceState.RUNNING


class Interactive(onboarding_pb2_grpc.InteractiveOnboardingServiceServicer):
    """By somebody who signs in on the machine's console: registered or not, it is onboarded.

    It gets no credentials of its own yet: until it is installed it goes on with those of who signed in.
    """

    async def CreateNodes(self, request, context):
        return await in_database(create_nodes, bearer(context), project_named_by(context), request)


def create_nodes(token: str, project: str | None, request: wire.CreateNodesRequest) -> wire.CreateNodesResponse:
    """All of them or none. Raises Refusal."""
    caller = node_of(token, project, roles=(AGENT_ROLE, Role.ONBOARD.value))
    told = [hardware for node in request.payload for hardware in node.hwdata]
    if not 0 < len(told) <= MOST_AT_ONCE:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"1 to {MOST_AT_ONCE} machines, not {len(told)}")
    try:
        machines = [machine_of(said.uuid, said.serialnum, said.mac_id, said.sut_ip) for said in told]
    except ValueError as wrong:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, str(wrong)) from wrong
    with inside(caller.schema, caller.client_id), transaction.atomic():
        rules = zero_touch.config()
        for machine in machines:
            try:
                let_in(machine, caller, rules)
            except AlreadyClaimed as taken:
                raise Refusal(grpc.StatusCode.ALREADY_EXISTS, str(taken)) from taken
    return wire.CreateNodesResponse(payload=request.payload, project_id=str(caller.project_uuid))


def let_in(machine: Machine, caller: Node, rules: zero_touch.Config) -> None:
    """Raises Refusal and AlreadyClaimed."""
    caller.must_be(machine.uuid)
    host = registered_as(machine)
    by_itself = caller.client_id.startswith(NODE_CLIENT)
    if host is None:
        if by_itself:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Device not found")
        host = Host(uuid=machine.uuid, serial_number=machine.serial)
        host.ask(state=HostState.ONBOARDED)
    elif HostState.UNTRUSTED in (host.current_state, host.desired_state) or host.desired_state == HostState.DELETED:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Node is already {host.desired_state}")
    elif installed(host):
        return
    elif host.desired_state != HostState.ONBOARDED and not by_itself:
        host.ask(state=HostState.ONBOARDED)
    facts = {"bmc_ip": machine.ip, "pxe_mac": machine.mac}
    if not learn_uuid(host, machine, facts):
        raise AlreadyClaimed(f"A host with UUID {machine.uuid} is already registered")
    if machine.serial and machine.serial != host.serial_number:
        # Whoever stands before the machine vouches for it; the journal tells what it was before.
        claims.correct(host.resource_id, machine.serial)
        facts |= {"serial_number": machine.serial, "registration_status": Status("Unknown")}
    credentials.make(machine.uuid)
    began = zero_touch.begin(host, rules)
    host.observe(state=HostState.ONBOARDED, **facts, onboarding_status=began or ONBOARDED)


def registered_as(machine: Machine) -> Host | None:
    """This project's host that it is, locked: by its UUID, or else by its serial number alone."""
    hosts = Host.objects.select_for_update(of=("self",))
    host = hosts.filter(uuid=machine.uuid).first()
    if host is None and machine.serial:
        host = hosts.filter(uuid=None, serial_number=machine.serial).first()
    return host


def add_to(server) -> None:
    onboarding_pb2_grpc.add_NonInteractiveOnboardingServiceServicer_to_server(NonInteractive(), server)
    onboarding_pb2_grpc.add_InteractiveOnboardingServiceServicer_to_server(Interactive(), server)

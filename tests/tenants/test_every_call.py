"""Every call of the southbound door, tried by everybody who might: each answer is known beforehand, code and content.

A call that CALLS doesn't know fails the test, and so does a line too many.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest

from tenants import credentials, tokens
from tests.conftest import fresh_project, settle, token_with
from tests.southbound import MAC, Node, registered, wanted
from wire import (
    attestmgr_pb2,
    device_pb2,
    hostmgr_pb2,
    maintmgr_pb2,
    onboarding_pb2,
    telemetrymgr_pb2,
    tink,
)
from workers.server import doors

ATTESTMGR = "/attestmgr.v1.AttestationStatusMgrService"
MAINTMGR = "/maintmgr.v1.MaintmgrService"
TELEMETRYMGR = "/telemetrymgr.v1.TelemetryMgr"
HOSTMGR = "/hostmgr_southbound_proto.Hostmgr"
DEVICES = "/device_management.DeviceManagement"
TINK = "/proto.WorkflowService"


@dataclass(frozen=True)
class Call:
    """A call about one machine, and what its own agent is answered: a code, and how many messages."""

    request: Callable[[Node], object]
    own: tuple[str, int]
    others: tuple[str, int]  # another node of the same tenant
    foreign: tuple[str, int]  # a node of another tenant
    person: tuple[str, int] = ("PERMISSION_DENIED", 0)
    nobody: tuple[str, int] = ("UNAUTHENTICATED", 0)


DENIED, NOTHING, EMPTY = ("PERMISSION_DENIED", 0), ("OK", 0), ("OK", 1)


def speaks_for_itself(request: Callable[[Node], object], own: tuple[str, int]) -> Call:
    """A call that names the host it is about: nobody may name another one than their own."""
    return Call(request, own, others=DENIED, foreign=DENIED)


CALLS = {
    f"{HOSTMGR}/UpdateHostStatusByHostGuid": speaks_for_itself(
        lambda node: hostmgr_pb2.UpdateHostStatusByHostGuidRequest(
            host_guid=str(node.uuid), host_status=hostmgr_pb2.HostStatus(host_status=hostmgr_pb2.HostStatus.RUNNING)
        ),
        own=("FAILED_PRECONDITION", 0),  # not installed yet
    ),
    f"{HOSTMGR}/UpdateInstanceStateStatusByHostGUID": speaks_for_itself(
        lambda node: hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDRequest(host_guid=str(node.uuid)),
        own=("FAILED_PRECONDITION", 0),
    ),
    f"{HOSTMGR}/UpdateHostSystemInfoByGUID": speaks_for_itself(
        lambda node: hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest(
            host_guid=str(node.uuid), system_info=hostmgr_pb2.SystemInfo()
        ),
        own=("FAILED_PRECONDITION", 0),
    ),
    f"{ATTESTMGR}/UpdateInstanceAttestationStatusByHostGuid": speaks_for_itself(
        lambda node: attestmgr_pb2.UpdateInstanceAttestationStatusByHostGuidRequest(
            host_guid=str(node.uuid), attestation_status=attestmgr_pb2.ATTESTATION_STATUS_VERIFIED
        ),
        own=EMPTY,
    ),
    f"{MAINTMGR}/PlatformUpdateStatus": speaks_for_itself(
        lambda node: maintmgr_pb2.PlatformUpdateStatusRequest(
            host_guid=str(node.uuid), update_status=maintmgr_pb2.UpdateStatus()
        ),
        own=("FAILED_PRECONDITION", 0),
    ),
    f"{TELEMETRYMGR}/GetTelemetryConfigByGUID": speaks_for_itself(
        lambda node: telemetrymgr_pb2.GetTelemetryConfigByGuidRequest(guid=str(node.uuid)), own=EMPTY
    ),
    f"{DEVICES}/ReportAMTStatus": speaks_for_itself(
        lambda node: device_pb2.AMTStatusRequest(host_id=str(node.uuid), status=device_pb2.ENABLED, feature="AMT"),
        own=EMPTY,
    ),
    f"{DEVICES}/RetrieveActivationDetails": speaks_for_itself(
        lambda node: device_pb2.ActivationRequest(host_id=str(node.uuid)), own=("FAILED_PRECONDITION", 0)
    ),
    f"{DEVICES}/ReportActivationResults": speaks_for_itself(
        lambda node: device_pb2.ActivationResultRequest(
            host_id=str(node.uuid), activation_status=device_pb2.ACTIVATED
        ),
        own=("FAILED_PRECONDITION", 0),
    ),
    # A machine out of the box has no token. Whoever knows a machine's UUID and serial number is taken for it.
    "/onboardingmgr.v1.NonInteractiveOnboardingService/OnboardNodeStream": Call(
        lambda node: onboarding_pb2.OnboardNodeStreamRequest(
            uuid=str(node.uuid), serialnum=node.serial, mac_id=MAC, host_ip="10.0.0.5"
        ),
        own=EMPTY, others=EMPTY, foreign=EMPTY, person=EMPTY, nobody=EMPTY,
    ),
    "/onboardingmgr.v1.InteractiveOnboardingService/CreateNodes": speaks_for_itself(
        lambda node: onboarding_pb2.CreateNodesRequest(payload=[onboarding_pb2.NodeData(hwdata=[
            onboarding_pb2.HwData(uuid=str(node.uuid), serialnum=node.serial, mac_id=MAC, sut_ip="10.0.0.5")
        ])]),
        own=EMPTY,
    ),
    # Workers are bound to their host: for any other there is no workflow.
    f"{TINK}/GetWorkflowContexts": Call(
        lambda node: tink.old.WorkflowContextRequest(worker_id=MAC), own=("OK", 1), others=NOTHING, foreign=NOTHING
    ),
    f"{TINK}/GetWorkflowActions": Call(
        lambda node: tink.old.WorkflowActionsRequest(workflow_id=node.workflow),
        own=("OK", 1), others=("UNKNOWN", 0), foreign=("UNKNOWN", 0),
    ),
    f"{TINK}/GetAction": Call(
        lambda node: tink.new.ActionRequest(agent_id=MAC),
        own=("OK", 1), others=("NOT_FOUND", 0), foreign=("NOT_FOUND", 0),
    ),
    f"{TINK}/ReportActionStatus": Call(
        lambda node: tink.old.WorkflowActionStatus(
            workflow_id=node.workflow, task_name="OS provisioning", action_name="no such action", worker_id=MAC,
            action_status=tink.old.State.Value("STATE_RUNNING"),
        ),
        own=("INVALID_ARGUMENT", 0), others=("INVALID_ARGUMENT", 0), foreign=("INVALID_ARGUMENT", 0),
    ),
}  # fmt: skip


def served() -> dict:
    """What the doors would serve, without serving it."""
    return doors().methods


def test_every_call_that_is_served_is_in_the_table_and_nothing_else_is():
    assert sorted(served()) == sorted(CALLS)


def node_of(address: str, serial: str) -> Node:
    """A node of the current schema that is being installed."""
    node = Node(address, serial=serial)
    wanted(registered(node))
    node.onboard()
    settle()
    return node


@pytest.fixture
def callers(southbound_address, there, django_db_blocker):
    """{"own": a header or None}, and the node that is called about."""
    own = node_of(southbound_address, "OWN00001")
    [context] = own.contexts()
    own.workflow = context.workflow_id
    twin = Node(southbound_address, serial="TWIN0001")
    registered(twin)
    twin.onboard()
    person = token_with(f"{there.uuid}_im-rw")
    with fresh_project() as other:
        stranger = tokens.for_node(credentials.client_id_of(uuid4()), other.uuid)
        held = {"own": own.token, "others": twin.token, "foreign": stranger, "person": person, "nobody": None}
        yield own, {name: [("authorization", f"Bearer {token}")] if token else [] for name, token in held.items()}


def ask(address: str, path: str, handler, request, metadata) -> tuple[str, int]:
    """(code, how many messages came), whatever kind of call it is."""
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    with grpc.insecure_channel(address) as channel:
        call = getattr(channel, kind)(path, request_serializer=None, response_deserializer=None)
        sent = request.SerializeToString()
        try:
            answer = call(iter([sent]) if handler.request_streaming else sent, metadata=metadata, timeout=10)
            return "OK", len(list(answer)) if handler.response_streaming else 1
        except grpc.RpcError as refusal:
            assert "Traceback" not in refusal.details()
            return refusal.code().name, 0


@pytest.mark.parametrize("path", CALLS)
def test_each_caller_of_a_call_gets_what_is_known_beforehand(path, southbound_address, callers):
    node, headers = callers
    call, handler = CALLS[path], served()[path]
    got = {name: ask(southbound_address, path, handler, call.request(node), said) for name, said in headers.items()}
    assert got == {name: getattr(call, name) for name in headers}


BROKEN = {
    "no word": "{token}",
    "another scheme": "Basic {token}",
    "nothing behind it": "Bearer ",
    "cut short": "Bearer {cut}",
    "unsigned": "Bearer {unsigned}",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_token_of_the_own_node_opens_nothing(how, southbound_address, callers):
    node, _ = callers
    token = node.token
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    header = BROKEN[how].format(token=token, cut=token[:-5], unsigned=f"{head}.{token.split('.')[1]}.")
    for path, call in CALLS.items():
        if call.nobody[0] != "OK":
            answer = ask(
                southbound_address, path, served()[path], call.request(node), [("authorization", header)]
            )
            assert answer == ("UNAUTHENTICATED", 0), path

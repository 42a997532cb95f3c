"""A person signs in on a machine's console: it is onboarded, registered or not."""

from uuid import uuid4

import grpc
import pytest
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, InstanceState
from tenants import credentials
from tests.conftest import fresh_project, settle, token_with
from tests.southbound import MAC, Node, registered, wanted
from wire import onboarding_pb2


@pytest.fixture
def node(southbound_address, there):
    return Node(southbound_address)


@pytest.fixture
def person(there):
    return token_with(f"{there.uuid}_en-ob")


def test_a_machine_that_nobody_registered_is_made_a_host_and_the_project_is_named_at_once(node, person, there):
    answer = node.create(person)
    assert answer.project_id == str(there.uuid) and answer.payload[0].hwdata[0].uuid == str(node.uuid)
    host = Host.objects.get()
    assert (host.uuid, host.serial_number, host.pxe_mac, host.bmc_ip) == (node.uuid, node.serial, MAC, "10.0.0.5")
    assert (host.current_state, host.desired_state) == (HostState.ONBOARDED,) * 2
    assert host.onboarding_status == "Onboarded"
    node.create(person)
    assert Host.objects.count() == 1


def test_a_registered_machine_is_onboarded_and_can_be_installed(node, person):
    instance = wanted(registered(node, state=HostState.REGISTERED))
    node.create(person)
    settle()
    instance.refresh_from_db()
    assert instance.host.desired_state == HostState.ONBOARDED and credentials.secret_of(node.uuid)
    assert instance.provisioning_status.startswith("Provisioning In Progress")


def test_it_is_installed_with_the_token_of_who_let_it_in(node, person, southbound_address, there):
    instance = wanted(registered(node, state=HostState.REGISTERED))
    node.create(person)
    settle()
    node.token = person
    node.work_through()
    settle()
    instance.refresh_from_db()
    assert (instance.current_state, instance.provisioning_status) == (InstanceState.RUNNING, "Provisioned")


def test_who_onboards_another_projects_machines_finds_no_work(node, person, southbound_address):
    wanted(registered(node, state=HostState.REGISTERED))
    node.create(person)
    settle()
    with fresh_project() as other:
        node.token = token_with(f"{other.uuid}_en-ob")
        assert node.contexts() == []


def test_a_host_that_was_registered_by_its_serial_number_is_that_machine(node, person):
    host = registered(node, uuid=None, state=HostState.REGISTERED)
    node.create(person)
    host.refresh_from_db()
    assert (host.uuid, host.current_state) == (node.uuid, HostState.ONBOARDED)


def test_the_serial_number_is_what_the_machine_says(node, person):
    host = registered(node, serial="OTHER0001", state=HostState.REGISTERED)
    node.create(person)
    host.refresh_from_db()
    assert (host.serial_number, host.registration_status) == (node.serial, "Unknown")


def test_several_machines_are_let_in_together_or_none(node, person):
    told = [onboarding_pb2.HwData(uuid=str(uuid4()), mac_id=MAC, sut_ip="10.0.0.5") for _ in range(2)]
    request = onboarding_pb2.CreateNodesRequest(payload=[onboarding_pb2.NodeData(hwdata=told)])
    metadata = [("authorization", f"Bearer {person}")]
    node.interactive.CreateNodes(request, metadata=metadata, timeout=10)
    assert Host.objects.count() == 2
    told[0].uuid, told[1].uuid = str(uuid4()), "no uuid"
    request = onboarding_pb2.CreateNodesRequest(payload=[onboarding_pb2.NodeData(hwdata=told)])
    with pytest.raises(grpc.RpcError, match="'no uuid' is not a UUID"):
        node.interactive.CreateNodes(request, metadata=metadata, timeout=10)
    assert Host.objects.count() == 2


def refusal_of(call) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code().name, refused.value.details()


def test_a_machine_of_another_project_is_refused_and_stays_theirs(node, person, there):
    with fresh_project() as other:
        stranger = token_with(f"{other.uuid}_en-ob")
        assert node.create(stranger).project_id == str(other.uuid)
        with schema_context(there.schema_name):
            code, sentence = refusal_of(lambda: node.create(person))
            assert code == "ALREADY_EXISTS" and str(node.uuid) in sentence and not Host.objects.exists()


def test_who_may_only_read_lets_nobody_in(node, there):
    reader = token_with(f"{there.uuid}_im-r")
    assert refusal_of(lambda: node.create(reader)) == ("PERMISSION_DENIED", "Request is blocked by RBAC")


def test_a_machine_that_is_not_trusted_stays_out(node, person):
    host = registered(node)
    node.onboard()
    host.refresh_from_db()
    host.ask(state=HostState.UNTRUSTED)
    settle()
    assert refusal_of(lambda: node.create(person))[0] == "FAILED_PRECONDITION"


def test_a_nodes_own_token_lets_in_neither_another_nor_one_that_is_no_host(node, southbound_address):
    registered(node)
    node.onboard()
    stranger = Node(southbound_address)
    assert refusal_of(lambda: stranger.create(node.token))[0] == "PERMISSION_DENIED"
    assert Host.objects.count() == 1

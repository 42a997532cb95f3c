"""A machine out of the box calls; what it is given depends on what was registered."""

import threading
import time
from datetime import timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from django.db import connection, transaction
from django.utils import timezone

from inventory.models import Host, HostState, Indicator
from tenants import credentials, enrolment
from tenants.models import EdgeCredential, Enrolment, Event
from tests.conftest import settle
from tests.southbound import MAC, Node, registered, wanted
from wire.onboarding_pb2 import OnboardNodeStreamResponse as Response


@pytest.fixture
def node(southbound_address, there):
    return Node(southbound_address)


def code(answer) -> str:
    return next(code.name for code in grpc.StatusCode if code.value[0] == answer.status.code)


def test_a_node_nobody_registered_is_not_found_and_nothing_is_created(node):
    [answer] = node.onboard()
    assert (code(answer), answer.status.message) == ("NOT_FOUND", "Device not found")
    assert not Host.objects.exists() and not EdgeCredential.objects.exists()


def test_a_registered_node_waits_and_an_onboarded_one_gets_its_credentials(node, there):
    host = registered(node, state=HostState.REGISTERED)
    first, again = node.onboard(times=2)
    assert first.node_state == again.node_state == Response.NODE_STATE_REGISTERED
    assert first.project_id == str(there.uuid) and not first.client_secret
    host.refresh_from_db()
    assert (host.current_state, host.registration_status) == (HostState.REGISTERED, "Host is Registered")
    host.ask(state=HostState.ONBOARDED)
    [answer] = node.onboard()
    assert answer.node_state == Response.NODE_STATE_ONBOARDED and answer.client_id == f"edgenode-{node.uuid}"
    host.refresh_from_db()
    assert (host.current_state, host.onboarding_status, host.pxe_mac) == (HostState.ONBOARDED, "Onboarded", MAC)


def test_waiting_writes_once_and_not_at_every_poll(node):
    host = registered(node, state=HostState.REGISTERED)
    node.onboard(times=3)
    assert Event.objects.filter(resource_id=host.resource_id, verb="observed").count() == 1


def test_a_node_that_reboots_in_the_micro_os_gets_a_new_secret_and_the_one_before_ends(node):
    host = registered(node)
    first = node.onboard()[0].client_secret
    written = credentials.secret_of(node.uuid)
    again = node.onboard()[0].client_secret
    credential = credentials.of_client(f"edgenode-{node.uuid}")
    assert [credentials.is_secret_of(credential, secret) for secret in (first, again, written)] == [False, True, True]
    assert credentials.secret_of(node.uuid) == written  # of the installed system, which may be on the disk already
    assert Event.objects.filter(resource_id=host.resource_id, verb="handed out").count() == 2


def test_who_asks_for_new_secrets_without_end_has_to_wait(node):
    registered(node)
    answers = [node.onboard()[0] for _ in range(12)]
    assert [code(answer) for answer in answers].count("OK") == 10
    assert code(answers[-1]) == "RESOURCE_EXHAUSTED" and not answers[-1].client_secret
    assert node.onboard(uuid=str(uuid4()))[0].status.message == "Device not found"  # others are served


def test_an_installed_node_gets_none(node):
    instance = wanted(registered(node))
    node.onboard()
    settle()
    node.work_through()
    settle()
    instance.refresh_from_db()
    [answer] = node.onboard()
    assert code(answer) == "FAILED_PRECONDITION" and not answer.client_secret
    made, _ = enrolment.make(instance.host, hours=1, with_token=False, by="ada")
    assert node.onboard()[0].client_secret  # it lost what it had, and an operator lets it in once more
    assert code(node.onboard()[0]) == "FAILED_PRECONDITION"
    made.refresh_from_db()
    assert made.used_by == node.uuid


def test_a_host_registered_by_serial_alone_learns_its_uuid(node):
    host = registered(node, uuid=None)
    [answer] = node.onboard()
    assert answer.client_id == f"edgenode-{node.uuid}"
    host.refresh_from_db()
    assert host.uuid == node.uuid


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ({"serial": "OTHER0001"}, "mismatch of Serial Number, Reported Serial Number is: SN0000001"),
        ({"uuid": UUID(int=7)}, "mismatch of UUID, Reported UUID is: {uuid}"),
    ],
)
def test_a_mismatch_is_shown_to_the_operator_and_not_found_for_the_node(node, stored, shown):
    host = registered(node, **stored)
    assert code(node.onboard()[0]) == "NOT_FOUND"
    host.refresh_from_db()
    assert host.registration_status == "Host Registration Failed due to " + shown.format(uuid=node.uuid)
    assert host.registration_status_indicator == Indicator.ERROR and host.current_state == HostState.UNSPECIFIED


def test_a_host_of_one_machine_never_becomes_another_one(node):
    """One host has the UUID, another the serial number: neither is given."""
    registered(node, serial="OTHER0001")
    registered(node, uuid=uuid4())
    assert code(node.onboard()[0]) == "NOT_FOUND" and not EdgeCredential.objects.exists()


@pytest.mark.parametrize("said", [{"uuid": "x"}, {"mac_id": "52:54"}, {"host_ip": "10.0.0.256"}, {"host_ip": ""}])
def test_what_is_malformed_is_named(node, said):
    [answer] = node.onboard(**said)
    assert code(answer) == "INVALID_ARGUMENT" and repr(next(iter(said.values()))) in answer.status.message


def test_a_host_that_is_not_trusted_any_more_gets_nothing_and_its_credentials_are_gone(node):
    host = registered(node)
    node.onboard()
    host.refresh_from_db()
    host.ask(state=HostState.UNTRUSTED)
    settle()
    host.refresh_from_db()
    assert (host.current_state, host.host_status) == (HostState.UNTRUSTED, "Invalidated")
    assert not EdgeCredential.objects.filter(host_uuid=node.uuid).exists()
    assert code(node.onboard()[0]) == "FAILED_PRECONDITION"


def test_who_is_invalidated_at_the_moment_of_calling_gets_nothing(node):
    """The machine's call began while the operator's transaction was open: it waits for it, and sees what it did."""
    host = registered(node)
    answers = []
    calls = threading.Thread(target=lambda: answers.extend(node.onboard()))
    node.onboard()
    with transaction.atomic():
        host.ask(state=HostState.UNTRUSTED)
        calls.start()
        until_somebody_waits_for_a_lock()
    calls.join(10)
    assert code(answers[0]) == "FAILED_PRECONDITION"
    settle()
    host.refresh_from_db()
    assert host.current_state == HostState.UNTRUSTED and not EdgeCredential.objects.exists()


def test_a_corrected_registration_heals_a_mismatch(node):
    host = registered(node, serial="OTHER0001")
    node.onboard()
    host.ask(state=HostState.DELETED)  # whose machine never connected: gone at once
    host = registered(node)
    assert node.onboard()[0].client_secret
    host.refresh_from_db()
    assert (host.registration_status, host.onboarding_status) == ("Unknown", "Onboarded")


def test_a_host_with_an_enrolment_token_lets_in_only_the_machine_that_shows_it(node):
    host = registered(node)
    made, token = enrolment.make(host, hours=1, with_token=True, by="ada")
    for shown in ("", "enrol_wrong"):
        [answer] = node.onboard(enrolment=shown)
        assert code(answer) == "FAILED_PRECONDITION" and "enrolment token" in answer.status.message
    host.refresh_from_db()
    assert host.onboarding_status == "Onboarding Failed: no valid enrolment token was shown"
    assert node.onboard(enrolment=token)[0].client_secret
    assert node.onboard(enrolment=token)[0].client_secret  # the same machine, which starts over
    host.refresh_from_db()
    made.refresh_from_db()
    assert (host.onboarding_status, made.used_by) == ("Onboarded", node.uuid)
    assert token not in str(Enrolment.objects.values())


@pytest.mark.parametrize(
    "ended", [{"expires_at": timezone.now() - timedelta(1)}, {"revoked_at": timezone.now()},
              {"used_at": timezone.now(), "used_by": UUID(int=7)}],
    ids=["expired", "revoked", "another machine's"],
)  # fmt: skip
def test_a_token_that_is_good_no_more_lets_nobody_in_and_opens_no_other_way(node, ended):
    host = registered(node)
    made, token = enrolment.make(host, hours=1, with_token=True, by="ada")
    Enrolment.objects.filter(pk=made.pk).update(**ended)
    for shown in (token, ""):
        assert code(node.onboard(enrolment=shown)[0]) == "FAILED_PRECONDITION"
    assert not EdgeCredential.objects.exists()


def until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone():
                return
            assert time.monotonic() < deadline, "nobody waits"
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            time.sleep(0.01)

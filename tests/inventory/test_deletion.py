"""What goes at once when it is to go, what waits until something was taken back, and what keeps what."""

from time import time
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import errors
from inventory.models import (
    Endpoint,
    Host,
    HostState,
    Indicator,
    InstanceState,
    Netlink,
    NetlinkState,
    OsUpdateRun,
    Region,
    RemoteAccess,
    RemoteAccessState,
    Site,
    Status,
    Workload,
    WorkloadState,
)
from tenants import credentials, enrolment
from tenants.models import Claim, Enrolment, Event
from tests.conftest import settle
from tests.inventory.nouns import an_instance, made, refused

pytestmark = pytest.mark.django_db


def registered(**machine) -> Host:
    return made(Host(**{"serial_number": "SN00001", **machine}), state=HostState.REGISTERED)


def is_there(resource) -> bool:
    return type(resource).objects.filter(resource_id=resource.resource_id).exists()


def test_a_host_that_never_connected_is_gone_with_the_answer_and_its_uuid_is_free(api):
    body = {"uuid": str(uuid4()), "serialNumber": "SN00001"}
    for _ in range(3):  # as old clients do: delete, and make the same again
        host = api.post(f"{api.base}/compute/hosts/register", body).json()["resourceId"]
        assert api.delete(f"{api.base}/compute/hosts/{host}").json() == {}
        assert refused(api.get(f"{api.base}/compute/hosts/{host}"), "host_resource not found", "NotFound", 404)
    assert not Claim.objects.exists()
    assert [event.verb for event in Event.objects.filter(resource_id=host)] == ["created", "deleted"]


def test_what_is_written_to_one_resource_takes_few_statements(api):
    """Nothing is read twice of a row that is locked, and no savepoint is made that nobody goes back to."""
    body = {"uuid": str(uuid4()), "serialNumber": "SN00001"}
    host = api.post(f"{api.base}/compute/hosts/register", body).json()["resourceId"]
    path = f"{api.base}/compute/hosts/{host}"

    def statements(send, *body) -> list[str]:
        with CaptureQueriesContext(connection) as said:
            assert send(path, *body).status_code == 200
        return [query["sql"].split()[0] for query in said]

    # The project and the host; the change with its journal, and what is answered; the audit. A transaction is a
    # savepoint inside that of a test, and so is what the audit is written in.
    patched = ["SELECT", "SAVEPOINT", "SELECT", "WITH", "SELECT", "RELEASE", "SAVEPOINT", "INSERT", "RELEASE"]
    assert statements(api.patch, {"name": "renamed"}) == patched
    # The project, the host, what it was given; the deletion, with all that goes with it; the audit.
    deleted = ["SELECT", "SAVEPOINT", "SELECT", "SELECT", "WITH", "RELEASE"]
    assert statements(api.delete) == [*deleted, "SAVEPOINT", "INSERT", "RELEASE"]


def test_a_machine_that_was_only_told_that_it_is_known_has_nothing_to_give_back(acme):
    host = registered()
    host.observe(state=HostState.REGISTERED)
    host.ask(state=HostState.DELETED)
    assert host.pk is None and not is_there(host)


@pytest.mark.parametrize("why", ["onboarded", "untrusted", "has credentials", "has an instance"])
def test_a_host_that_was_given_something_stays_until_that_is_taken_back(acme, why):
    host = registered(uuid=uuid4())
    match why:
        case "onboarded":
            host.observe(state=HostState.ONBOARDED)
        case "untrusted":
            host.observe(state=HostState.UNTRUSTED)
        case "has credentials":
            credentials.issue(host.uuid)
        case "has an instance":
            host.delete()
            host = an_instance().host
    host.ask(state=HostState.DELETED)
    assert is_there(host) and Host.objects.get().desired_state == HostState.DELETED
    if why == "has an instance":
        host.instance.ask(state=InstanceState.DELETED)
    settle()
    with connection.cursor() as cursor:  # a host looks after its instance again in two seconds
        cursor.execute("UPDATE workers_work SET due_at = now()")
    settle()
    assert not is_there(host) and not Claim.objects.exists()
    assert host.uuid is None or credentials.secret_of(host.uuid) is None


def test_a_host_at_which_a_link_ends_goes_with_all_that_is_its_own_and_the_end_stays(acme):
    host = registered()
    end = made(Endpoint(name="end", host=host))
    enrolment.make(host, hours=1, with_token=True, by="ada")
    host.ask(state=HostState.DELETED)
    end.refresh_from_db()
    assert not is_there(host) and end.host_id is None
    assert not Claim.objects.exists() and not Enrolment.objects.exists()
    assert [event.verb for event in Event.objects.filter(resource_id=host.resource_id)] == [
        "created", "enrolment made", "deleted",
    ]  # fmt: skip


def test_an_instance_goes_at_once_while_its_host_was_never_onboarded(api):
    instance = an_instance()
    assert api.delete(f"{api.base}/compute/instances/{instance}").json() == {}
    assert not is_there(instance)
    assert api.delete(f"{api.base}/compute/hosts/{instance.host_id}").json() == {}
    assert not Host.objects.exists()


def test_an_instance_on_an_onboarded_host_is_taken_off_it_first(acme):
    instance = an_instance()
    instance.host.observe(state=HostState.ONBOARDED)
    instance.ask(state=InstanceState.DELETED)
    assert is_there(instance)
    settle()
    assert not is_there(instance)


def test_an_instance_that_is_to_go_is_forgotten_with_its_history_only(acme):
    instance = an_instance()
    instance.observe(state=InstanceState.RUNNING)
    made(OsUpdateRun(instance=instance, start_time=1))
    instance.ask(state=InstanceState.DELETED)
    assert is_there(instance) and not OsUpdateRun.objects.exists()
    made(OsUpdateRun(instance=instance, start_time=2))  # its machine told of one more
    settle()
    assert not is_there(instance) and not OsUpdateRun.objects.exists()


def test_a_remote_access_that_was_never_opened_goes_at_once_and_an_open_one_is_closed_first(acme):
    instance = an_instance()
    access = made(
        RemoteAccess(instance=instance, expiration_timestamp=int(time()) + 3600), state=RemoteAccessState.ENABLED
    )
    access.observe(state=RemoteAccessState.ENABLED, local_port=2222)
    instance.ask(state=InstanceState.DELETED)
    access.ask(state=RemoteAccessState.DELETED)
    assert is_there(access) and is_there(instance)
    access.observe(state=RemoteAccessState.DELETED)
    assert not is_there(access)
    never = made(
        RemoteAccess(instance=instance, expiration_timestamp=int(time()) + 3600), state=RemoteAccessState.ENABLED
    )
    never.ask(state=RemoteAccessState.DELETED)
    assert not is_there(never)


def test_links_and_workloads_go_as_far_as_somebody_has_made_them(acme):
    for link, reported in ((Netlink(), False), (Netlink(), True)):
        link.ask(state=NetlinkState.ONLINE)
        if reported:
            link.observe(provider_status=Status("up", Indicator.IDLE))
        link.ask(state=NetlinkState.DELETED)
        assert is_there(link) is reported
    for kind, current, stays in (
        ("WORKLOAD_KIND_CLUSTER", WorkloadState.PROVISIONED, False),
        ("WORKLOAD_KIND_DHCP", WorkloadState.PROVISIONED, True),
        ("WORKLOAD_KIND_DHCP", WorkloadState.UNSPECIFIED, False),
    ):
        workload = made(Workload(kind=kind), state=WorkloadState.PROVISIONED)
        workload.observe(state=current)
        workload.ask(state=WorkloadState.DELETED)
        assert is_there(workload) is stays, (kind, current)


def test_what_is_to_go_is_not_asked_for_anything_else(acme):
    link = made(Netlink(), state=NetlinkState.ONLINE)
    link.observe(state=NetlinkState.DELETED, provider_status=Status("gone"))
    with pytest.raises(errors.TransitionNotAllowed, match="can't become NETLINK_STATE_ONLINE"):
        link.ask(state=NetlinkState.ONLINE)


def test_what_others_lie_in_stays(acme):
    inner = made(Region(name="inner", parent_region=made(Region(name="outer"))))
    site = made(Site(name="s", region=inner))
    registered(site=site)
    for kept, by in ((inner.parent_region, inner), (inner, site), (site, Host.objects.get())):
        with pytest.raises(errors.InUse, match=f"{kept} is in use by {by}"):
            kept.delete()

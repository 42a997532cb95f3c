"""Workloads, remote accesses and network links: what others do, is kept in order here, and says so."""

import time

import pytest

from inventory.models import (
    Host,
    HostState,
    Indicator,
    Netlink,
    NetlinkState,
    RemoteAccess,
    RemoteAccessState,
    Workload,
    WorkloadMember,
    WorkloadState,
)
from tests.conftest import settle
from tests.southbound import wanted
from workers.models import Work


@pytest.fixture
def instance(acme):
    host = Host(serial_number="A")
    host.ask(state=HostState.REGISTERED)
    return wanted(host)


def test_a_workload_is_what_its_owner_says_and_goes_after_its_members(instance):
    workload = Workload(kind="WORKLOAD_KIND_DHCP")
    workload.ask(state=WorkloadState.PROVISIONED)
    member = WorkloadMember(kind="WORKLOAD_MEMBER_KIND_CLUSTER_NODE", workload=workload, instance=instance)
    member.ask()
    settle()
    workload.refresh_from_db()
    assert (workload.current_state, workload.state_status) == (WorkloadState.PROVISIONED, "Registered")
    workload.ask(state=WorkloadState.DELETED)
    settle()
    workload.refresh_from_db()
    assert workload.state_status == f"Deleting: waiting on {member} deletion"
    member.delete()
    Work.objects.update(due_at="2026-01-01T00:00Z")
    settle()
    assert not Workload.objects.exists()


def test_a_remote_access_that_nobody_opens_says_so_and_is_gone_in_time(instance, monkeypatch):
    access = RemoteAccess(instance=instance, expiration_timestamp=int(time.time()) + 3600)
    access.ask(state=RemoteAccessState.ENABLED)
    settle()
    access.refresh_from_db()
    assert (access.configuration_status, access.configuration_status_indicator) == (
        "No remote access proxy has opened it", Indicator.ERROR,
    )  # fmt: skip
    access.observe(state=RemoteAccessState.ENABLED, local_port=2222)
    [work] = Work.objects.filter(reconciler="RemoteAccessExpires")
    assert 3500 < work.due_at.timestamp() - time.time() < 3700
    clock = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: clock)
    Work.objects.update(due_at="2026-01-01T00:00Z")
    settle()
    assert not RemoteAccess.objects.exists() and not Work.objects.exists()


def test_a_remote_access_goes_when_it_is_wished_to(instance):
    access = RemoteAccess(instance=instance, expiration_timestamp=int(time.time()) + 3600)
    access.ask(state=RemoteAccessState.ENABLED)
    settle()
    access.ask(state=RemoteAccessState.DELETED)
    settle()
    assert not RemoteAccess.objects.exists()


def test_a_link_that_nobody_switches_says_so_and_goes_when_it_is_wished_to(acme):
    link = Netlink()
    link.ask(state=NetlinkState.ONLINE)
    settle()
    link.refresh_from_db()
    assert link.provider_status == "No network provider can switch this link"
    link.ask(state=NetlinkState.DELETED)
    settle()
    assert not Netlink.objects.exists()

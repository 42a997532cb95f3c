"""The dashboard: each number is right, leads to just those hosts, and costs the same however many there are."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from bench import rows
from inventory.models import (
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
    Status,
)  # fmt: skip
from inventory.stages import Stage, staged
from provisioning import workflow
from tenants import middleware
from tenants.models import Role
from tests.conftest import settle
from tests.console.conftest import signed_in
from tests.provisioning.machines import machine, system

pytestmark = pytest.mark.django_db

RUNNING = {"state": InstanceState.RUNNING, "instance_status": Status("Running", Indicator.IDLE)}
IDLE, ERROR = Indicator.IDLE, Indicator.ERROR


def registered(number: int) -> Host:
    host = Host(name=f"till-{number}", serial_number=f"TILL{number:04d}")
    host.ask(state=HostState.REGISTERED)
    return host


def running() -> Instance:
    instance = machine()
    instance.observe(**RUNNING, provisioning_status=Status("Provisioned", IDLE))
    instance.host.observe(host_status=Status("Running", IDLE))
    return instance


@pytest.fixture
def one_of_each(acme):
    """A host in each stage, by the stage."""
    found = {Stage.REGISTERED: registered(1), Stage.RUNNING: running().host}
    bare = registered(2)
    bare.ask(state=HostState.ONBOARDED)
    bare.observe(state=HostState.ONBOARDED)
    found[Stage.ONBOARDED] = bare
    installing = machine()
    installing.observe(provisioning_status=Status("Provisioning In Progress: 3/7", Indicator.IN_PROGRESS))
    found[Stage.INSTALLING] = installing.host
    lost = running()
    lost.host.observe(host_status=Status("No Connection", ERROR))
    found[Stage.LOST] = lost.host
    failed = machine()
    failed.observe(provisioning_status=Status("Provisioning Failed: no space left", ERROR))
    found[Stage.FAILED] = failed.host
    for stage, wish in ((Stage.DEAUTHORIZED, HostState.UNTRUSTED), (Stage.DELETING, HostState.DELETED)):
        found[stage] = running().host
        found[stage].ask(state=wish)
    return found


def test_each_host_is_in_one_stage(one_of_each):
    assert {host: Stage(host.stage) for host in staged()} == {host: stage for stage, host in one_of_each.items()}


def test_each_number_leads_to_just_those_hosts(ada, one_of_each):
    counts = ada.get(f"{ada.base}/").context["counts"]
    assert counts.total == len(Stage) == sum(part.count for part in counts.stages)
    assert [part.count for part in counts.funnel] == [8, 7, 6, 4, 3]
    for part in (*counts.stages, *counts.funnel):
        listed = ada.get(part.link).context["cl"].queryset
        assert listed.count() == part.count, part
        if part in counts.stages:
            assert [*listed] == [one_of_each[Stage(part.name)]]


def test_failures_are_told_with_their_reason_and_how_many_have_it(ada, one_of_each):
    other = running()
    other.observe(update_status=Status("Update failed: 100 % of & is ? by apt", ERROR))
    again = machine()
    again.observe(provisioning_status=Status("Provisioning Failed: no space left", ERROR))
    [space, apt] = ada.get(f"{ada.base}/").context["reasons"]
    assert (space.count, space.says, space.status) == (2, "Provisioning Failed: no space left", "provisioning status")
    assert {*ada.get(space.link).context["cl"].queryset} == {one_of_each[Stage.FAILED], again.host}
    assert [*ada.get(apt.link).context["cl"].queryset] == [other.host]
    assert ada.get(f"{ada.base}/admin/inventory/host/?why=host.secret:x").context["cl"].queryset.count() == 0


def test_what_is_being_installed_is_told_with_its_step(ada, acme):
    instance = machine()
    settle()
    run = workflow.latest(instance)
    for action in run.actions[:2]:
        workflow.report(instance.host.uuid, workflow.Report(run.workflow_id, action["name"], "STATE_SUCCESS"))
    page = ada.get(f"{ada.base}/live/")
    [one] = page.context["installations"].shown
    assert (one.host, one.says, one.percent) == (instance.host.name, "3/7: Streaming OS image", 28.6)
    assert "3/7: Streaming OS image" in page.text and 'value="28.6"' in page.text


def test_maintenance_now_and_next(ada, one_of_each, monkeypatch):
    region = Region(name="north")
    region.ask()
    site = Site(name="depot", region=region)
    site.ask()
    now = int(time.time())
    ends = SingleSchedule(name="disks", target_site=site, start_seconds=now + 1, end_seconds=now + 3600)
    ends.ask()
    SingleSchedule(name="later", target_region=region, start_seconds=now + 9000).ask()
    SingleSchedule.objects.filter(pk=ends.pk).update(start_seconds=now - 5)  # it has begun meanwhile
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    parts = dict.fromkeys(["cron_day_month", "cron_month", "cron_day_week"], "*")
    RepeatedSchedule(
        name="nightly", target_host=one_of_each[Stage.RUNNING], duration_seconds=60, cron_minutes="0",
        cron_hours=str(tomorrow.hour), **parts,
    ).ask()  # fmt: skip
    told = ada.get(f"{ada.base}/").context["maintenance"]
    assert [(one.schedule.name, one.target) for one in told.now if one.schedule.name == "disks"] == [("disks", "depot")]
    assert {one.schedule.name: one.target for one in told.next} == {
        "later": "north", "nightly": one_of_each[Stage.RUNNING].name,
    }  # fmt: skip


def test_what_is_stuck_is_told_with_the_reason(ada, acme):
    instance = machine(os=system("nothing", image_url=""))
    settle()
    [one] = ada.get(f"{ada.base}/").context["stuck"]
    assert one.refused and one.resource == str(instance) and one.why


def test_a_project_without_hosts_says_what_to_do_next(ada, acme):
    assert "No host yet" in (page := ada.get(f"{ada.base}/").text) and "inventory/host/add/" in page
    assert "No place yet" in ada.get(f"{ada.base}/locations/").text


def test_when_a_repeated_schedule_begins_agrees_with_when_it_lasts(acme):
    always = {"cron_day_month": "*", "cron_month": "*", "duration_seconds": 60}
    one = RepeatedSchedule(cron_minutes="10,50", cron_hours="3", cron_day_week="1,4", **always)
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    starts = [*one.starts(monday, monday + timedelta(days=7))]
    assert [f"{start:%a %H:%M}" for start in starts] == ["Mon 03:10", "Mon 03:50", "Thu 03:10", "Thu 03:50"]
    for start in starts:
        at = int(start.timestamp())
        assert [one.lasts_at(at + seconds) for seconds in (0, 1, 60, 61)] == [False, True, True, False]
    assert [*one.starts(starts[0], starts[1])] == [starts[1]]


def queries(client: Client, path: str) -> int:
    client.get(path)  # what a process keeps of people and projects is known then
    middleware.forget()
    with CaptureQueriesContext(connection) as counted:
        assert client.get(path).status_code == 200, path
    return len(counted)


def test_pages_cost_the_same_queries_for_10_and_for_1000_hosts(acme, beta):
    found = {}
    for project, hosts, first in ((acme, 10, 0), (beta, 1000, 10)):
        client = signed_in(Client(), f"of-{project.name}", project, Role.WRITE)
        with schema_context(project.schema_name):
            rows.fill(hosts, first)
            bad = Status("Error: disk", ERROR)
            for host in Host.objects.order_by("pk")[: hosts // 5]:
                host.observe(host_status=Status("No Connection", ERROR) if host.pk % 2 else bad)
            region = Region.objects.get().resource_id
        paths = {
            "dashboard": "", "live": "live/", "locations": "locations/", "sites": f"locations/{region}/",
            "host": f"hosts/{rows_first(project)}/", "host live": f"hosts/{rows_first(project)}/live/",
            "list": "admin/inventory/host/", "failed": "admin/inventory/host/?stage=failed",
        }  # fmt: skip
        found[project.name] = {name: queries(client, f"/p/{project.name}/{path}") for name, path in paths.items()}
    assert found["acme"] == found["beta"]
    assert max(found["acme"].values()) <= 30, found


def rows_first(project) -> str:
    with schema_context(project.schema_name):
        return rows.first_id()


def test_no_page_has_a_script_in_it_or_loads_anything_of_others(ada, one_of_each):
    host = one_of_each[Stage.RUNNING]
    for path in ("", "locations/", f"hosts/{host}/", f"hosts/{host}/install/", "admin/inventory/host/"):
        page = ada.get(f"{ada.base}/{path}").text
        assert not re.findall(r"<script(?![^>]* src=)", page) and not re.findall(r'\son\w+="', page), path
        for link in re.findall(r'<(?:link|script|img|use)[^>]+(?:href|src)="([^"]+)"', page):
            assert link.startswith("/static/") or link.endswith("/jsi18n/"), link

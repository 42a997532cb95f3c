"""What Prometheus reads is what is so at that moment, tenant by tenant."""

import time

import pytest
from celery import current_app
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context
from prometheus_client import generate_latest

from exporter import fleet
from exporter.collectors import Fleet, registry
from inventory.models import (
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    OperatingSystem,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
    Status,
)
from tenants.models import Project
from tests.conftest import settle
from workers import tasks


@pytest.fixture
def lines(public, settings):
    """What the exporter tells, asked anew each time."""
    settings.EXPORTER_KEEPS = 0
    asked = registry()
    return lambda: generate_latest(asked).decode().splitlines()


def registered(count: int = 1) -> list[Host]:
    made = [Host(serial_number=f"SN0000{number}") for number in range(count)]
    for host in made:
        host.ask(state=HostState.REGISTERED)
    return made


def test_hosts_and_instances_are_counted_by_what_their_statuses_say_without_details(lines, acme, beta):
    first, *_ = registered(3)
    first.observe(host_status=Status("Deleting: waiting on inst-1", Indicator.IN_PROGRESS))
    with schema_context(beta.schema_name):
        Host(serial_number="SN99999").ask(state=HostState.REGISTERED)
    found = lines()
    assert 'edge_hosts{project="acme",status="Deleting"} 1.0' in found
    assert 'edge_hosts{project="acme",status="Not Connected"} 2.0' in found
    assert 'edge_hosts{project="beta",status="Not Connected"} 1.0' in found
    assert 'edge_hosts_by_state{project="acme",state="HOST_STATE_UNSPECIFIED"} 3.0' in found


def test_fifty_tenants_cost_one_statement(public, monkeypatch):
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            list(fleet.families())
        return sum("GROUPING SETS" in query["sql"] for query in asked.captured_queries)

    assert statements() == 1
    monkeypatch.setattr(fleet, "AT_ONCE", 1)
    assert statements() == Project.objects.ready().count()


def test_outstanding_work_is_counted_until_it_is_done(lines, acme):
    [host] = registered()
    host.observe(state=HostState.ONBOARDED)
    settle()
    host.ask(state=HostState.DELETED)
    with schema_context("public"):
        tasks.hear()
    found = lines()
    assert 'eim_outstanding_work{older_than="0",queue="reconcile"} 1.0' in found
    assert 'eim_outstanding_work{older_than="60",queue="reconcile"} 0.0' in found
    settle()
    assert 'eim_outstanding_work{older_than="0",queue="reconcile"} 0.0' in lines()


def test_messages_that_wait_in_the_broker_are_counted(lines):
    with current_app.connection_for_write() as broker:
        queue = broker.default_channel.client
        queue.delete("build")
        assert 'eim_broker_messages{queue="build"} 0.0' in lines()
        queue.lpush("build", "a message", "another")
        assert 'eim_broker_messages{queue="build"} 2.0' in lines()
        queue.delete("build")


def test_an_answer_is_good_for_some_seconds(public, settings):
    settings.EXPORTER_KEEPS = 60
    collector = Fleet()
    first = list(collector.collect())
    with CaptureQueriesContext(connection) as again:
        assert list(collector.collect()) == first
    assert not again.captured_queries


# Single hosts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(acme) -> Project:
    Project.objects.filter(pk=acme.pk).update(host_metrics=True)
    return acme


def series(lines: list[str], metric: str, **labels: str) -> float:
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    [line] = [line for line in lines if line.startswith(f"{metric}{{") and all(pair in line for pair in wanted)]
    return float(line.rpartition(" ")[2])


def test_single_hosts_are_told_of_projects_that_ask_for_it_only(lines, acme):
    [host] = registered()
    assert not [line for line in lines() if "hostID=" in line]
    Project.objects.filter(pk=acme.pk).update(host_metrics=True)
    found = lines()
    line = next(line for line in found if line.startswith("edge_host_status{") and 'status="Running"' in line)
    assert line == (
        f'edge_host_status{{deviceGuid="",hostID="{host}",hostname="",name="{host}",projectId="{acme.uuid}"'
        ',serial="SN00000",status="Running"} 0.0'
    )


def test_a_host_has_a_series_for_each_text_of_the_list_and_for_its_own(lines, watched):
    first, second = registered(2)
    first.observe(host_status=Status("Running", Indicator.IDLE), onboarding_status=Status("Onboarded", Indicator.IDLE))
    found = lines()
    assert series(found, "edge_host_status", hostID=first.resource_id, status="Running") == 1
    assert series(found, "edge_host_status", hostID=first.resource_id, status="No Connection") == 0
    assert series(found, "edge_host_status", hostID=second.resource_id, status="Not Connected") == 1
    assert series(found, "edge_host_onboarding_status", hostID=first.resource_id, onboardingStatus="Onboarded") == 1
    assert series(found, "edge_host_provisioning_status", hostID=first.resource_id, provisioningStatus="") == 1
    of_first = [line for line in found if line.startswith("edge_host_status{") and first.resource_id in line]
    assert len(of_first) == 8


def test_schedules_count_for_the_host_its_site_and_all_regions_above(lines, watched):
    above = Region(name="above")
    above.ask()
    below = Region(name="below", parent_region=above)
    below.ask()
    site, elsewhere = Site(name="there", region=below), Site(name="elsewhere")
    site.ask(), elsewhere.ask()
    in_site, own, neither = registered(3)
    Host.objects.filter(pk=in_site.pk).update(site=site)
    Host.objects.filter(pk=neither.pk).update(site=elsewhere)
    always = dict.fromkeys(["cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week"], "*")
    RepeatedSchedule(name="always", target_region=above, duration_seconds=3600, **always).ask()
    soon = SingleSchedule(name="now", target_host=own, start_seconds=int(time.time()) + 60)
    soon.ask()
    assert series(lines(), "edge_host_schedule", hostID=own.resource_id) == 0
    SingleSchedule.objects.filter(pk=soon.pk).update(start_seconds=int(time.time()) - 60)
    found = lines()
    assert [series(found, "edge_host_schedule", hostID=str(host)) for host in (in_site, own, neither)] == [1, 1, 0]


def test_the_web_server_tells_what_it_served(client, public):
    client.get("/healthz")
    assert "django_http_requests_total_by_method_total" in client.get("/metrics").content.decode()


def test_an_instance_counts_by_its_state(lines, acme):
    [host] = registered()
    system = OperatingSystem(
        name="debian", sha256="a" * 64, os_type="OS_TYPE_MUTABLE", os_provider="OS_PROVIDER_KIND_INFRA"
    )
    system.ask()
    Instance(host=host, os=system).ask(state=InstanceState.RUNNING)
    found = lines()
    assert 'edge_instances{project="acme",state="INSTANCE_STATE_UNSPECIFIED"} 1.0' in found
    assert 'edge_instances_provisioning{project="acme",status="Not Provisioned"} 1.0' in found
    assert 'edge_instances_update{project="acme",status="No Current Update"} 1.0' in found

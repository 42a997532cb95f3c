"""Lists of all the smaller nouns: what a page costs, and what can be asked of it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import (
    CustomConfig,
    Customization,
    LocalAccount,
    OsUpdatePolicy,
    OsUpdateRun,
    RepeatedSchedule,
    SingleSchedule,
    TelemetryGroup,
    TelemetryProfile,
    Workload,
    WorkloadMember,
)
from tests.inventory.nouns import an_instance, made, refused, site_in

pytestmark = pytest.mark.django_db
CRON = {"cron_minutes": "0", "cron_hours": "*", "cron_day_month": "*", "cron_month": "*", "cron_day_week": "*"}
LISTS = {
    "localAccounts": 2, "customConfigs": 2, "os-update-policies": 2, "os-update-runs": 2, "schedules/single": 2,
    "schedules/repeated": 2, "schedules": 4, "workloads": 3, "workload_members": 2, "telemetry/groups/metrics": 2,
    "telemetry/profiles/metrics": 2, "telemetry/profiles/metrics?siteId={site}&showInherited=true": 4,
    "schedules?hostId={host}": 10, "schedules?unixEpoch=4000003230": 5,
}  # fmt: skip


def some_more(number: int, site, group: TelemetryGroup) -> None:
    instance = an_instance(f"SERIAL{number}", site)
    policy = made(OsUpdatePolicy(name=f"p{number}", update_policy="UPDATE_POLICY_LATEST"))
    made(OsUpdateRun(instance=instance, applied_policy=policy, start_time=1))
    made(LocalAccount(username=f"u{number}", ssh_key="ssh-ed25519 AAAA"))
    made(CustomConfig(name=f"c{number}", config="#cloud-config"))
    made(SingleSchedule(start_seconds=4_000_000_000, target_host=instance.host))
    made(RepeatedSchedule(duration_seconds=60, target_site=site, **CRON))
    workload = made(Workload(kind="WORKLOAD_KIND_CLUSTER"))
    made(WorkloadMember(kind="WORKLOAD_MEMBER_KIND_CLUSTER_NODE", workload=workload, instance=instance))
    made(TelemetryProfile(kind=group.kind, group=group, site=site, metrics_interval=number + 1))


def test_a_page_costs_the_same_number_of_queries_whatever_is_on_it(api, acme):
    site = site_in("Europe", "Germany")
    group = made(TelemetryGroup(
        name="g", kind="TELEMETRY_RESOURCE_KIND_METRICS", collector_kind="TELEMETRY_COLLECTOR_KIND_HOST", groups=["x"]
    ))  # fmt: skip

    def queries() -> dict[str, int]:
        host = OsUpdateRun.objects.first().instance.host
        counted = {}
        for path in LISTS:
            asked = path.format(site=site, host=host) + ("&" if "?" in path else "?") + "pageSize=100"
            with CaptureQueriesContext(connection) as captured:
                answer = api.get(f"{api.base}/{asked}")
            assert answer.status_code == 200 and answer.json()["totalElements"] > 0, path
            counted[path] = sum(1 for query in captured if not query["sql"].startswith("SET search_path"))
        return counted

    some_more(0, site, group)
    few = queries()
    for number in range(1, 12):
        some_more(number, site, group)
    assert queries() == few
    signing_in = few["localAccounts"] - 2
    assert {path: count - signing_in for path, count in few.items()} == LISTS


@pytest.mark.parametrize("path", ["workloads", "workload_members", "localAccounts", "customConfigs", "os-update-runs"])
def test_a_filter_or_an_order_that_makes_no_sense_is_refused(api, path):
    assert refused(api.get(f"{api.base}/{path}?filter=colour='red'"), "filter: colour: there is no field 'colour'")
    answer = api.get(f"{api.base}/{path}?orderBy=colour")
    assert answer.status_code == 400 and answer.json()["message"].startswith("orderBy: can't order ")


def test_a_filter_looks_into_what_the_smaller_nouns_refer_to(api, acme):
    group = made(TelemetryGroup(
        name="g", kind="TELEMETRY_RESOURCE_KIND_METRICS", collector_kind="TELEMETRY_COLLECTOR_KIND_HOST", groups=["x"]
    ))  # fmt: skip
    site = site_in("Europe")
    some_more(1, site, group)
    some_more(2, site, group)
    member = WorkloadMember.objects.get(instance__host__serial_number="SERIAL1")
    for path, query in {
        "workload_members": f"workload.resourceId='{member.workload_id}' AND instance.host.serialNumber='SERIAL1'",
        "workloads": f"members.instance.resource_id='{member.instance_id}'",
        "os-update-runs": "appliedPolicy.name='p1' AND startTime=1",
        "compute/instances": f"has(workloadMembers) AND workload_members.workload.resourceId='{member.workload_id}'",
        "os-update-policies": "updatePolicy=UPDATE_POLICY_LATEST AND name=p1",
    }.items():
        answer = api.get(f"{api.base}/{path}?filter={query}")
        assert answer.status_code == 200 and answer.json()["totalElements"] == 1, (path, answer.json())


def test_a_filter_follows_custom_configs_both_ways(api, acme):
    one, other = an_instance("SERIAL1"), an_instance("SERIAL2")
    config = made(CustomConfig(name="ntp", config="#cloud-config"))
    made(CustomConfig(name="dns", config="#cloud-config"))
    Customization.objects.create(instance=one, custom_config=config)

    def found(path: str, query: str) -> list[str]:
        [(_, page), *_] = api.get(f"{api.base}/{path}?filter={query}").json().items()
        return [resource["resourceId"] for resource in page]

    assert found("compute/instances", "has(customConfig)") == [str(one)]
    assert found("compute/instances", "NOT has(custom_config)") == [str(other)]
    assert found("compute/instances", f"customConfig.resourceId='{config}'") == [str(one)]
    assert found("customConfigs", "instances.host.serialNumber=SERIAL1") == [str(config)]
    assert found("customConfigs", "instances.host.serialNumber=SERIAL2") == []

"""Long lists: paged by key beyond the offset's wall, and without a page size sent whole, in constant memory."""

import json
import resource
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context
from psycopg import sql

from inventory.api import base
from inventory.models import (
    Host,
    HostState,
    Instance,
    OperatingSystem,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
    TelemetryGroup,
    TelemetryProfile,
)  # fmt: skip
from tests.conftest import client_of

pytestmark = pytest.mark.django_db


def regions(*names):
    for name in names:
        Region(name=name).ask()


def walk(api, path, order, size):
    """All pages of a list, by their tokens."""
    token, pages = "", []
    while token or not pages:
        page = api.get(f"{api.base}/{path}", {"orderBy": order, "pageSize": size, "pageToken": token})
        assert page.status_code == 200, page.content
        pages.append(page.json())
        token = pages[-1]["nextPageToken"]
    return pages


@pytest.mark.parametrize("order", ["", "name", "name desc", "createdAt desc, name", "resourceId desc"])
def test_pages_by_token_show_each_resource_once_in_the_order_of_the_list(api, order):
    regions("b", "a", "c", "a", "b", "d", "a")
    listed = api.get(f"{api.base}/regions", {"orderBy": order}).json()["regions"]
    pages = walk(api, "regions", order, 3)
    assert [region for page in pages for region in page["regions"]] == listed
    assert [(len(page["regions"]), page["totalElements"], page["hasNext"]) for page in pages] == [
        (3, 7, True), (3, 7, True), (1, 7, False),
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["uuid", "uuid desc", "siteId, uuid desc"])
def test_pages_by_token_know_that_nothing_comes_last(api, order):
    site = Site(name="s")
    site.ask()
    for number in range(3):
        Host(serial_number=f"SN0000{number}", site=site if number else None).ask(state=HostState.REGISTERED)
        Host(uuid=uuid4(), site=site if number else None).ask(state=HostState.REGISTERED)
    listed = api.get(f"{api.base}/compute/hosts", {"orderBy": order}).json()["hosts"]
    pages = walk(api, "compute/hosts", order, 1)
    assert [host for page in pages for host in page["hosts"]] == listed and len(listed) == 6


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("schedules/single", "singleSchedules"),
        ("schedules/repeated", "repeatedSchedules"),
        ("telemetry/metricgroups", "telemetryMetricsGroups"),
        ("telemetry/loggroups", "telemetryLogsGroups"),
        ("telemetry/profiles/metrics", "telemetryMetricsProfiles"),
        ("telemetry/profiles/logs", "telemetryLogsProfiles"),
    ],
)
def test_schedules_and_telemetry_are_paged_by_token_ordered_and_filtered_as_all_else(api, path, name):
    site = _made(Site(name="s"))
    for number in (2, 1, 3):
        said = {"name": f"n{number}", "start_seconds": 4_000_000_000 + number, "target_site": site}
        _made(SingleSchedule(**said))
        cron = dict.fromkeys(("cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week"), "*")
        _made(RepeatedSchedule(name=f"n{number}", duration_seconds=number, target_site=site, **cron))
        for kind, told in (("METRICS", {"metrics_interval": number}), ("LOGS", {"log_level": "SEVERITY_LEVEL_INFO"})):
            of_kind = {"kind": f"TELEMETRY_RESOURCE_KIND_{kind}"}
            collector = "TELEMETRY_COLLECTOR_KIND_HOST"
            group = _made(TelemetryGroup(name=f"n{number}", collector_kind=collector, groups=["a"], **of_kind))
            _made(TelemetryProfile(group=group, site=site, **told, **of_kind))
    order = "resourceId desc" if "profiles" in path else "name desc"
    of_site = "" if "groups" in path else f"&siteId={site}"
    listed = api.get(f"{api.base}/{path}?orderBy={order}{of_site}").json()[name]
    pages = walk(api, f"{path}?{of_site}", order, 2)
    assert [one for page in pages for one in page[name]] == listed
    assert [(len(page[name]), page["totalElements"]) for page in pages] == [(2, 3), (1, 3)]
    wanted = "group.name=n2" if "profiles" in path else "name=n2"
    found = api.get(f"{api.base}/{path}?filter={wanted}{of_site}").json()
    assert found["totalElements"] == 1 and found[name][0] in listed


def test_what_comes_and_goes_meanwhile_moves_no_page(api):
    regions("a", "b", "d")
    first = api.get(f"{api.base}/regions?orderBy=name&pageSize=2&pageToken=").json()
    Region.objects.get(name="a").delete()
    regions("c", "0")
    token = first["nextPageToken"]
    second = api.get(f"{api.base}/regions?orderBy=name&pageSize=2&pageToken={token}").json()
    assert [region["name"] for region in second["regions"]] == ["c", "d"]


def test_a_token_of_another_project_shows_nothing_of_it(api, beta):
    regions("a", "b")
    token = api.get(f"{api.base}/regions?pageSize=1&pageToken=").json()["nextPageToken"]
    theirs = client_of(beta, "im-rw")
    assert theirs.get(f"{theirs.base}/regions?pageSize=1&pageToken={token}").json()["regions"] == []


def test_an_answer_without_a_token_asked_for_has_the_old_names_only(api):
    regions("a", "b")
    assert api.get(f"{api.base}/regions?pageSize=1").json().keys() == {"regions", "totalElements", "hasNext"}


@pytest.mark.parametrize("rows", [3, 4, 5, 9])
def test_a_list_without_a_page_size_is_whole_however_it_is_sent(api, monkeypatch, rows):
    regions(*"abcdefghi"[:rows])
    whole = api.get(f"{api.base}/regions?orderBy=name desc&offset=1").json()
    monkeypatch.setattr(base, "CHUNK", 2)
    streamed = api.get(f"{api.base}/regions?orderBy=name desc&offset=1")
    assert streamed.streaming == (rows > 3) and streamed.headers["Content-Type"] == "application/json"
    body = b"".join(streamed) if streamed.streaming else streamed.content
    assert json.loads(body) == whole and whole["totalElements"] == rows and whole["hasNext"] is False


def test_a_stream_is_of_its_project_though_the_request_is_over(api, beta, monkeypatch):
    regions("a", "b", "c", "d")
    monkeypatch.setattr(base, "CHUNK", 2)
    streamed = api.get(f"{api.base}/regions?filter=name!=d&orderBy=name")
    assert streamed.streaming
    with schema_context(beta.schema_name):
        body = b"".join(streamed)
        assert connection.schema_name == beta.schema_name
    assert [region["name"] for region in json.loads(body)["regions"]] == ["a", "b", "c"]


def test_a_page_of_hosts_costs_five_queries_at_10_rows_and_at_1_000(api):
    site = Site(name="s", region=_made(Region(name="r", metadata=[{"key": "a", "value": "b"}])))
    site.ask()
    os = _made(OperatingSystem(sha256="a" * 64, os_type="OS_TYPE_MUTABLE", os_provider="OS_PROVIDER_KIND_INFRA"))

    def grow(rows):
        for number in range(Host.objects.count(), rows):
            host = Host(serial_number=f"SERIAL{number}", site=site)
            host.ask(state=HostState.REGISTERED)
            if number % 10 == 0:
                Instance(host=host, os=os).ask(state="INSTANCE_STATE_RUNNING")

    def queries():
        with CaptureQueriesContext(connection) as captured:
            page = api.get(f"{api.base}/compute/hosts?pageSize=100&filter=site.name=s").json()
        assert page["hosts"][0]["inheritedMetadata"] == [{"key": "a", "value": "b"}]
        of_tenant = [q["sql"] for q in captured if "inventory_" in q["sql"]]
        return len(of_tenant)

    grow(10)
    few = queries()
    grow(1000)
    assert queries() == few <= 5


def _made(resource):
    resource.ask()
    return resource


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_100_000_hosts_are_streamed_in_constant_memory(acme, api):
    Host(serial_number="SERIAL0", name="edge").ask(state=HostState.REGISTERED)
    columns = [f.column for f in Host._meta.concrete_fields if f.column not in ("id", "resource_id", "uuid")]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with connection.cursor() as cursor:
        copy = sql.SQL(
            "INSERT INTO inventory_host (resource_id, {0}) SELECT 'host-' || lpad(to_hex(n), 8, '0'), {0} "
            "FROM inventory_host, generate_series(1, 99999) n"
        )
        cursor.execute(copy.format(names))
    answer = api.get(f"{api.base}/compute/hosts")
    size = hosts = most = 0
    before = resident_bytes()
    for piece in answer:
        size, hosts = size + len(piece), hosts + piece.count(b'"hostStatusTimestamp"')
        most = max(most, resident_bytes() - before)
    assert hosts == 100_000 and piece == b'],"totalElements":100000,"hasNext":false}'
    assert most < 50 * 2**20 < size / 3

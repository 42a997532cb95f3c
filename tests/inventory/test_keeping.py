"""What was sent is sent again only while nothing of it was written, whoever wrote it, and only in its own project."""

from datetime import UTC, datetime

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.api import keeping
from inventory.api.keeping import keeper
from inventory.api.reading import reader
from inventory.api.urls import MOUNTS, RESOURCES
from inventory.models import (
    Customization,
    Host,
    HostState,
    Instance,
    LocalAccount,
    OperatingSystem,
    OsUpdatePolicy,
    Provider,
    Region,
    Site,
    WorkloadMember,
)
from tests.conftest import client_of
from tests.tenants.everything import one_of_everything

WIDE = {
    endpoint.serializer_class: path
    for endpoint, there, (path, *_), _ in MOUNTS
    if {*RESOURCES} <= {*there} and len(reader(endpoint.serializer_class).columns) >= keeping.WIDE
}
OF_A_MACHINE = {Host, Site, Region, Provider, Instance, OperatingSystem, LocalAccount, OsUpdatePolicy}
READ_ANEW = {"HTTP_ACCEPT": "application/json; indent=1"}  # JSON for people is made each time


@pytest.fixture
def everything(acme):
    """One of all, and each refers to what it can refer to."""
    made = one_of_everything()
    WorkloadMember.objects.all().delete()
    with connection.cursor() as cursor:
        ids = [str(made[kind]) for kind in (LocalAccount, OsUpdatePolicy)]
        cursor.execute("UPDATE inventory_instance SET local_account_id = %s, os_update_policy_id = %s", ids)
    return made


def hosts(*names: str) -> list[Host]:
    made = [Host(name=name, serial_number=f"SN{name.upper()}") for name in names]
    for host in made:
        host.ask(state=HostState.REGISTERED)
    return made


def names_of(api) -> list[str]:
    return [host["name"] for host in api.get(f"{api.base}/compute/hosts?orderBy=name").json()["hosts"]]


def test_hosts_and_instances_are_kept():
    assert {"compute/hosts", "compute/instances"} <= {*WIDE.values()}


@pytest.mark.parametrize("serializer", WIDE)
def test_whatever_is_written_of_what_a_resource_shows_is_shown_at_once(serializer, api, everything):
    path, model = WIDE[serializer], serializer.Meta.model
    urls = [f"{api.base}/{path}", f"{api.base}/{path}/{everything[model].resource_id}"]
    shows = set()
    for number, kind in enumerate(everything):
        if not hasattr(kind, "objects"):
            continue
        before = [api.get(url).json() for url in urls]
        assert [api.get(url).json() for url in urls] == before
        kind.objects.update(created_at=datetime(2020, 1, 1 + number, tzinfo=UTC))
        after = [api.get(url).json() for url in urls]
        assert after == [api.get(url, **READ_ANEW).json() for url in urls]
        shows |= {kind} if after != before else set()
    assert shows >= (OF_A_MACHINE if model in OF_A_MACHINE else {model})


@pytest.mark.parametrize("serializer", WIDE)
def test_a_version_is_of_each_row_that_is_joined(serializer, public):
    rows = keeper(serializer)
    version = rows._versions.partition("ROW(")[2].partition(")::text")[0]
    tables = [column.removesuffix(".xmin") for column in version.split(", ") if column.endswith(".xmin")]
    assert len(tables) == len({*tables}) == 1 + rows._everything.count(" JOIN ", rows._everything.rindex(' FROM "inv'))


def test_what_a_region_far_above_says_is_inherited_at_once(api):
    world = Region(name="world", metadata=[{"key": "a", "value": "1"}])
    world.ask()
    region = Region(name="europe", parent_region=world)
    region.ask()
    site = api.post(f"{api.base}/sites", {"name": "s", "regionId": region.resource_id}).json()["resourceId"]
    host = hosts("one")[0]
    Host.objects.update(site_id=site)
    for value in ("1", "1", "2", "2"):
        Region.objects.filter(name="world").update(metadata=[{"key": "a", "value": value}])
        for path in ("compute/hosts", "compute/hosts?filter=name=one"):
            [shown] = api.get(f"{api.base}/{path}").json()["hosts"]
            assert shown["inheritedMetadata"] == [{"key": "a", "value": value}]
        one = api.get(f"{api.base}/compute/hosts/{host.resource_id}").json()
        assert one["inheritedMetadata"] == [{"key": "a", "value": value}]


def test_lists_of_others_come_and_go(api, everything):
    path = f"{api.base}/compute/instances/{everything[Instance].resource_id}"
    assert api.get(path).json()["customConfigID"] == api.get(path).json()["customConfigID"] == []
    config = next(one for kind, one in everything.items() if kind.__name__ == "CustomConfig")
    Customization.objects.create(instance=everything[Instance], custom_config=config)
    for _ in range(2):
        assert api.get(path).json()["customConfigID"] == [config.resource_id]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_customconfig SET name = 'renamed'")
    assert [one["name"] for one in api.get(path).json()["customConfig"]] == ["renamed"]
    Customization.objects.all().delete()
    assert api.get(path).json()["customConfigID"] == []


def test_what_a_transaction_took_back_is_not_shown(api):
    hosts("before")
    assert names_of(api) == ["before"]
    with transaction.atomic():
        Host.objects.update(name="never")
        assert names_of(api) == ["never"]
        transaction.set_rollback(True)
    assert names_of(api) == ["before"]


def test_resources_of_the_same_id_are_each_of_their_own_project(api, beta):
    theirs = client_of(beta, "im-rw")
    hosts("ours")
    Host.objects.update(resource_id="host-0000000a")
    with schema_context(beta.schema_name):
        hosts("theirs")
        Host.objects.update(resource_id="host-0000000a")
    for _ in range(3):
        assert names_of(api) == ["ours"] and names_of(theirs) == ["theirs"]
        assert api.get(f"{api.base}/compute/hosts/host-0000000a").json()["name"] == "ours"
        assert theirs.get(f"{theirs.base}/compute/hosts/host-0000000a").json()["name"] == "theirs"


def test_only_what_was_written_is_read_again(api):
    made = hosts("a", "b", "c")
    assert names_of(api) == names_of(api) == ["a", "b", "c"]
    with CaptureQueriesContext(connection) as asked:
        assert names_of(api) == ["a", "b", "c"]
    assert not [one for one in asked.captured_queries if "cpu_model" in one["sql"]]
    Host.objects.filter(name="b").update(name="d")
    with CaptureQueriesContext(connection) as asked:
        assert names_of(api) == ["a", "c", "d"]
    assert len([one for one in asked.captured_queries if "cpu_model" in one["sql"]]) == 1
    made[0].delete()
    assert names_of(api) == ["c", "d"]
    assert api.get(f"{api.base}/compute/hosts/{made[0].resource_id}").status_code == 404


def test_no_more_is_kept_than_fits(api, monkeypatch):
    monkeypatch.setattr(keeping, "MOST", 3)
    hosts(*"abcde")
    path = f"{api.base}/compute/hosts?pageSize=2&orderBy=name"
    kept = keeper(next(kind for kind in WIDE if kind.Meta.model is Host))
    for offset in (0, 0, 0, 2, 2, 2, 0, 0):
        assert [host["name"] for host in api.get(f"{path}&offset={offset}").json()["hosts"]] == [*"abcd"[offset:][:2]]
    assert len(kept._kept) == 3 and len(kept._asked) == 3


def test_who_reads_a_list_to_its_end_leaves_nothing_behind(api, monkeypatch):
    monkeypatch.setattr(keeping, "MOST", 4)
    made = {host.resource_id for host in hosts(*"abcdef")}
    path = f"{api.base}/compute/hosts?pageSize=2&orderBy=name"
    for _ in range(3):
        pages = [api.get(f"{path}&offset={offset}").json()["hosts"] for offset in (0, 2, 4)]
        assert [host["name"] for page in pages for host in page] == [*"abcdef"]
    kept = keeper(next(kind for kind in WIDE if kind.Meta.model is Host))
    assert not made & {resource_id for _, resource_id in kept._kept}


def test_a_few_are_read_by_the_plan_that_is_kept(committed):
    api = client_of(committed, "im-r")
    with schema_context(committed.schema_name):
        hosts("a")
    for number in range(8):
        with schema_context(committed.schema_name):
            Host.objects.update(name=f"n{number}")
        assert names_of(api) == [f"n{number}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements")
        generic, custom = cursor.fetchone()
    assert generic >= 8 and custom == 0

"""Plans that connections keep, for what is read by ids: never one schema's for another, never one that has aged."""

import pytest
from django.db import connection
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Region
from tenants.statements import MOST_PLANS, fetch
from tests.conftest import client_of, fresh_project


@pytest.fixture
def two(committed, django_db_blocker):
    """Of two projects: the client, and the id of a host."""
    with django_db_blocker.unblock(), fresh_project() as other:
        yield [(client_of(project, "im-r"), host_in(project)) for project in (committed, other)]


def host_in(project) -> str:
    with schema_context(project.schema_name):
        host = Host(serial_number=project.name.upper())
        host.ask(state=HostState.REGISTERED)
        return host.resource_id


def kept_plans() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return cursor.fetchone()[0]


def test_two_schemas_that_alternate_on_one_connection_are_each_read_their_own(two):
    session = connection.connection
    for _ in range(12):  # Postgres goes over to a plan for all parameters after the fifth time
        for (api, own), (_, foreign) in (two, two[::-1]):
            assert api.get(f"{api.base}/compute/hosts/{own}").json()["resourceId"] == own
            assert api.get(f"{api.base}/compute/hosts/{foreign}").status_code == 404
    assert connection.connection is session and kept_plans()


def test_a_plan_outlives_the_change_of_a_columns_type(committed):
    api = client_of(committed, "im-rw")
    with schema_context(committed.schema_name):
        region = Region(name="north")
        region.ask()
    path = f"{api.base}/regions/{region.resource_id}"
    assert api.get(path).json()["name"] == "north" and kept_plans()
    migration = connection.copy()
    with migration.cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{committed.schema_name}".inventory_region ALTER COLUMN name TYPE varchar(77)')
    migration.close()
    assert api.get(path).json()["name"] == "north"


def test_a_connection_keeps_few_plans(committed):
    for number in range(2 * MOST_PLANS):
        assert fetch(f"SELECT {number} WHERE $1", [True]) == [(number,)]
    assert kept_plans() <= MOST_PLANS + 1  # the last is let go of before the next statement

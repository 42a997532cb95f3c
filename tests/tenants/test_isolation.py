"""Tenants never see each other, whichever way the rows are asked for."""

import pytest
from django.db import ProgrammingError, connection, transaction
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Region
from tenants import claims, credentials
from tenants.errors import AlreadyClaimed
from tenants.models import BulkImport, BulkImportState, BulkRow, Claim, EdgeCredential, Event, Ring
from tests.conftest import client_of, settle

pytestmark = pytest.mark.django_db

SHARED = [BulkImport, BulkRow, Claim, Event, Ring]


def test_the_role_that_we_connect_as_is_bound_by_row_level_security(acme):
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)


def test_every_shared_table_with_a_schema_column_has_row_level_security(acme):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            WHERE attname = 'schema' AND relkind = 'r' AND relnamespace = 'public'::regnamespace
              AND NOT (relrowsecurity AND relforcerowsecurity)
            """
        )
        assert cursor.fetchall() == []


@pytest.mark.parametrize("model", SHARED)
def test_rows_of_shared_tables_are_seen_from_their_own_schema_alone(acme, beta, model):
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    bulk = BulkImport(name="hosts.csv")
    bulk.ask(state=BulkImportState.DONE)
    BulkRow.objects.create(schema=acme.schema_name, bulk_import=bulk, number=1, cells={})
    assert model.objects.exists()
    with schema_context(beta.schema_name):
        assert not model.objects.exists()
        assert model.objects.all().delete()[0] == 0
    with schema_context("public"):
        assert model.objects.exists()


def test_a_row_in_anothers_name_cannot_be_written(acme, beta):
    with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
        Ring.objects.create(schema=beta.schema_name, label="inventory.Host", pk_rung=1)


def test_a_connection_that_nobody_has_put_anywhere_sees_nothing(acme):
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    with connection.cursor() as cursor:
        cursor.execute("""SET LOCAL search_path = "$user", public""")
        cursor.execute("SELECT count(*) FROM tenants_event")
        assert cursor.fetchone() == (0,)


def test_credentials_are_found_by_their_own_tenant_alone(acme, beta):
    host = Host(serial_number="SN00001", uuid="00000000-0000-0000-0000-00000000000a")
    host.ask(state=HostState.ONBOARDED)
    credentials.issue(host.uuid)
    with schema_context(beta.schema_name):
        assert not EdgeCredential.objects.exists()
        credentials.revoke(host.uuid)
    assert EdgeCredential.objects.exists()


def test_a_claim_is_refused_in_the_same_words_whoever_owns_it(acme, beta):
    refusals = []
    for project in (acme, acme, beta):
        with schema_context(project.schema_name):
            try:
                with transaction.atomic():
                    claims.claim(f"host-0000000{len(refusals)}", None, "SN00001")
                refusals.append("")
            except AlreadyClaimed as refusal:
                refusals.append(str(refusal))
    assert refusals == ["", *["A host with serial number SN00001 is already registered"] * 2]


def test_a_refused_machine_leaves_nothing_and_spoils_nothing_of_what_is_done_with_it(acme, beta):
    with schema_context(beta.schema_name):
        Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    events = Event.objects.count()
    with transaction.atomic():
        with pytest.raises(AlreadyClaimed):
            Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
        assert not Host.objects.exists() and Event.objects.count() == events
        Host(serial_number="SN00002").ask(state=HostState.REGISTERED)
    assert Host.objects.get().serial_number == "SN00002"


def test_a_deleted_host_gives_its_machine_free_for_any_tenant(acme, beta):
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    host.ask(state=HostState.DELETED)
    settle()
    with schema_context(beta.schema_name):
        Host(serial_number="SN00001").ask(state=HostState.REGISTERED)


def test_no_answer_of_any_list_or_page_holds_anything_of_another_tenant(acme, beta):
    with schema_context(beta.schema_name):
        Region(name="Secret Valley").ask()
        Host(serial_number="SECRET01", name="secret").ask(state=HostState.REGISTERED)
    api = client_of(acme, "im-rw")
    for collection in ("regions", "sites", "providers", "compute/os", "compute/hosts", "compute/instances"):
        answer = api.get(f"{api.base}/{collection}")
        assert answer.status_code == 200 and b"ecret" not in answer.content

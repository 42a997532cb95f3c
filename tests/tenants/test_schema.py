"""A tenant's schema is made by replaying the template, and is like one that was migrated."""

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django_tenants.utils import schema_context

from inventory.models import Region
from tenants import schema
from tenants.errors import SchemaMissing
from tenants.models import Organization, Project, SchemaTemplate
from tests.conftest import fresh_project


def structure(name: str) -> list:
    """Columns, constraints and indexes of a schema, without its name."""
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT 'column', table_name, column_name, data_type, column_default, is_nullable
            FROM information_schema.columns WHERE table_schema = %(schema)s
            UNION ALL SELECT 'index', tablename, indexname, replace(indexdef, %(schema)s, ''), '', ''
            FROM pg_indexes WHERE schemaname = %(schema)s
            UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
            FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
            ORDER BY 1, 2, 3
            """,
            {"schema": name},
        )
        return [tuple(str(part).replace(name, "") for part in row) for row in cursor.fetchall()]


def test_a_replayed_schema_equals_the_migrated_template(committed):
    assert structure(committed.schema_name) == structure(schema.TEMPLATE) != []


def test_without_pg_dump_a_tenant_is_migrated_instead_and_it_is_said(committed, monkeypatch, caplog):
    def gone():
        raise SchemaMissing("pg_dump is missing: apt-get install postgresql-client (as new as the server)")

    monkeypatch.setattr(schema, "template_sql", gone)
    with fresh_project() as migrated:
        assert structure(migrated.schema_name) == structure(committed.schema_name)
    assert "migrating a new tenant" in caplog.text


def test_the_dump_is_made_once_for_a_state_of_the_migrations(committed, monkeypatch):
    monkeypatch.setattr(schema, "_dump", lambda: pytest.fail("dumped again"))
    with fresh_project():
        assert SchemaTemplate.objects.count() == 1


def test_making_a_project_twice_is_harmless_and_a_name_belongs_to_one_organization(committed):
    call_command("create_project", committed.name, org="tests")
    assert Project.objects.filter(name=committed.name).count() == 1
    with pytest.raises(CommandError, match=f"{committed.name} belongs to organization tests"):
        call_command("create_project", committed.name, org="others")
    Organization.objects.filter(name="others").delete()


def test_a_name_that_cannot_be_in_a_url_is_refused(committed):
    with pytest.raises(CommandError, match="A name has lower-case letters"):
        call_command("create_project", "no spaces", org="tests")


def test_threads_stay_each_in_its_own_schema(committed):
    """django-tenants' `with tenant:` swaps the tenants of two threads; schema_context doesn't."""
    with fresh_project() as other:
        wrong = []

        def write(project):
            for number in range(10):
                with schema_context(project.schema_name):
                    Region(name=f"{project.name} {number}").ask()
                    wrong.extend(r for r in Region.objects.all() if not r.name.startswith(project.name))
            connections.close_all()

        threads = [threading.Thread(target=write, args=(project,)) for project in (committed, other)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert wrong == []
        for project in (committed, other):
            with schema_context(project.schema_name):
                assert Region.objects.count() == 10


def test_a_pooler_that_mixes_schemas_is_found_at_start(committed, monkeypatch):
    from tenants import checks

    assert checks.no_pooler_mixes_schemas(None, ["default"]) == []
    # As behind such a pooler: whatever a connection asks for, the server is where another one left it.
    monkeypatch.setattr("tenants.checks.schema_context", lambda schema: schema_context("public"))
    [found] = checks.no_pooler_mixes_schemas(None, ["default"])
    assert found.id == "tenants.C001" and "pool_mode=session" in found.hint

"""Connections to the database that one task or request leaves to the next."""

from contextlib import suppress

import psycopg
from django.db import connection, transaction
from django_tenants.utils import schema_context

from eim_project.celery import app
from tests.tenants.test_search_path import where


def test_a_connection_that_was_left_in_the_middle_of_something_is_not_used_again(public):
    other = connection.copy()
    try:
        other.ensure_connection()
        assert other.is_usable()
        other.connection.pgconn.send_query(b"SELECT pg_sleep(30)")
        assert not other.is_usable()
    finally:
        other.connection.cancel_safe()  # or its server sleeps on, and the database can't be dropped
        other.close()


def test_tasks_take_over_connections_that_are_looked_at_first(monkeypatch):
    looked = []
    monkeypatch.setattr("eim_project.celery.close_old_connections", lambda: looked.append(True))
    app.tasks["workers.tick"].before_start("id", (), {})
    assert looked == [True] and 1 < app.conf.get("CELERY_DB_REUSE_MAX") < 100


def test_a_commit_that_was_none_leaves_nobody_in_another_schema(committed):
    """The server rolls back what failed, and says no error then; so the schema that was set in there is undone."""
    connection.set_schema_to_public()
    assert where() == "public"
    with schema_context(committed.schema_name):
        with transaction.atomic():
            assert where() == committed.schema_name
            with suppress(psycopg.Error):
                connection.connection.execute("SELECT * FROM no_such_table")
        assert where() == committed.schema_name
    assert where() == "public"

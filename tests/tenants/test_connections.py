"""Connections to the database that one task or request leaves to the next."""

from django.db import connection

from eim_project.celery import app


def test_a_connection_that_was_left_in_the_middle_of_something_is_not_used_again(public):
    other = connection.copy()
    try:
        other.ensure_connection()
        assert other.is_usable()
        other.connection.pgconn.send_query(b"SELECT pg_sleep(30)")
        assert not other.is_usable()
    finally:
        other.close()


def test_tasks_take_over_connections_that_are_looked_at_first(monkeypatch):
    looked = []
    monkeypatch.setattr("eim_project.celery.close_old_connections", lambda: looked.append(True))
    app.tasks["workers.tick"].before_start("id", (), {})
    assert looked == [True] and 1 < app.conf.get("CELERY_DB_REUSE_MAX") < 100

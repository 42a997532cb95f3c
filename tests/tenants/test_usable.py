"""A connection that the server has ended is noticed by the next request, which gets a new one."""

import psycopg
from django.conf import settings
from django.db import connection

from tests.conftest import client_of


def test_the_next_request_after_the_server_has_ended_the_connection_is_answered(committed):
    api = client_of(committed, "im-r")
    assert api.get(f"{api.base}/regions").status_code == 200
    pid = connection.connection.info.backend_pid
    with psycopg.connect(settings.DATABASE_URL, autocommit=True, dbname=connection.settings_dict["NAME"]) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])  # waits until it is gone
    connection.health_check_done = False  # as it is when a request begins
    assert api.get(f"{api.base}/regions").status_code == 200
    assert connection.connection.info.backend_pid != pid

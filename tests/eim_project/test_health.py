"""/livez and /readyz: open to probes, quick, and without a secret."""

import subprocess
import sys

from django.db import connection
from django.test import Client
from django_tenants.utils import schema_context

from inventory.models import Host, HostState
from tests.conftest import settle
from tests.services import environment_without

AWAY = """
import django
django.setup()
from django.test import Client
client = Client(SERVER_NAME="localhost")
for path in ("/livez", "/healthz", "/readyz", "/readyz?strict"):
    answer = client.get(path)
    print(path, answer.status_code, answer.content.decode().strip().replace(chr(10), "; "))
"""


def ready(path: str = "/readyz"):
    with schema_context("public"):
        return Client().get(path, headers={"Accept": "application/json"})


def test_all_is_well_and_told_in_plain_words_or_json(public):
    plain = Client().get("/readyz")
    assert plain.status_code == 200 and plain["Content-Type"].startswith("text/plain")
    assert plain.content.decode().splitlines()[0] == "ready" and "no-store" in plain["Cache-Control"]
    assert ready().json()["status"] == "ready"
    assert [check["name"] for check in ready().json()["checks"]] == ["database", "redis", "broker", "work"]
    assert Client().post("/readyz").status_code == 405 and Client().get("/livez").json() == {"status": "ok"}


def test_a_wish_that_nobody_hears_makes_the_work_late_until_it_is_done(acme, settings):
    settings.WORK_LATE = 60
    Host(serial_number="SN1").ask(state=HostState.REGISTERED)
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute("UPDATE tenants_ring SET rung_at = now() - interval '10 min'")
    told = ready()
    assert told.status_code == 200 and told.json()["oldestDueSeconds"] >= 600
    assert told.json()["checks"][-1]["status"] == "warn" and ready("/readyz?strict").status_code == 503
    settle()
    assert ready("/readyz?strict").status_code == 200 and ready().json()["oldestDueSeconds"] < 60


def test_work_that_is_due_and_not_begun_is_late_and_what_is_not_due_or_refused_is_not(public):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO workers_work (schema, reconciler, target, queue, wish, made_at, due_at, generation, epoch,
                                      leased_until, attempts, refused, why)
            SELECT 'public', 'X', n, 'bmc', '', now(), now() + due, 1, 0, now() + leased, 0, refused, ''
            FROM (VALUES (1, interval '-100 s', NULL::interval, ''), (2, interval '-1 day', interval '1 min', ''),
                         (3, interval '-1 day', NULL, 'x'), (4, interval '1 day', NULL, ''))
                 AS given (n, due, leased, refused)
            """
        )
    assert 100 <= ready().json()["oldestDueSeconds"] < 600


def test_without_its_servers_a_process_lives_is_not_ready_and_tells_no_secret():
    nowhere = {
        "DATABASE_URL": "postgresql://eim:hunter2@127.0.0.1:1/eim", "REDIS_URL": "redis://:hunter2@127.0.0.1:1",
        "DJANGO_SETTINGS_MODULE": "eim_project.settings",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", AWAY], env=environment_without() | nowhere, capture_output=True, text=True, timeout=120
    )
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert told["/livez"] == told["/healthz"] == '200 {"status": "ok"}', done.stderr
    assert told["/readyz"].startswith("503 not ready; database fail: doesn't answer")
    assert "redis warn" in told["/readyz"] and told["/readyz?strict"] == told["/readyz"]
    assert "hunter2" not in done.stdout + done.stderr

"""The doctor finds what is broken, says what to do, and says it to programs, too."""

import datetime
import io
import json
import socket

import pytest
from django.core.management import call_command
from django.db import connection
from django_tenants.utils import schema_context

from eim_project import doctor, embedded, tls
from eim_project.health import Finding, Level

pytestmark = pytest.mark.django_db


def examined(**options) -> list[dict]:
    said = io.StringIO()
    call_command("doctor", json=True, stdout=said, **options)
    return json.loads(said.getvalue())


def worst(findings) -> Finding:
    return max(findings, key=lambda one: [*Level].index(one.level))


def test_a_sound_installation_has_no_failure_and_everything_is_looked_at(public):
    found = examined()
    assert [one for one in found if one["level"] == "fail"] == []
    looked_at = {
        "settings", "versions", "secret keys", "disk", "certificates", "ports", "tools", "database", "pooler", "clock",
        "migrations", "redis", "broker", "workers", "work",
    }  # fmt: skip
    assert {one["name"] for one in found} == looked_at
    assert all(one["advice"] for one in found if one["level"] != "ok"), "who finds something says what to do"


def test_a_warning_ends_with_1_only_if_that_is_asked_for(public):
    """Here no Celery worker runs, which is one."""
    with pytest.raises(SystemExit) as end:
        examined(strict=True)
    assert end.value.code == 1


def test_a_tenant_that_is_not_migrated_is_named_with_the_command_that_does_it(acme):
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations WHERE app = 'inventory')"
        )
    with schema_context("public"):
        found = worst(doctor._migrations())
    assert found.level == Level.FAIL and "project acme" in found.says and found.advice == "manage.py migrate_fleet"


def test_a_lost_secret_key_is_found_before_somebody_needs_it(public, settings, tmp_path):
    settings.EIM_DATA, settings.SECRET_KEY = tmp_path, "another" * 9  # without a ring's file
    found = worst(doctor._sealed())
    assert found.level == Level.FAIL and "SigningKey" in found.says and "backup" in found.advice


def test_a_broker_that_evicts_and_one_that_is_away_are_told(data, settings, monkeypatch):
    monkeypatch.setitem(embedded.VALKEY_SETTINGS, "maxmemory-policy", "allkeys-lru")
    monkeypatch.delenv("REDIS_URL")  # the database's stays, so Valkey alone is started
    with embedded.services(data) as urls:
        settings.BROKER_URL = f"{urls.redis}/0"
        found = worst(doctor._broker())
        assert found.level == Level.FAIL and "allkeys-lru" in found.says and "noeviction" in found.advice
    assert "broker" in {one["name"] for one in examined() if one["level"] == "warn"}


def test_certificates_that_machines_would_refuse_are_told(settings, tmp_path, monkeypatch):
    settings.EIM_TLS_CERT, settings.EIM_TLS_KEY = tmp_path / "server.crt", tmp_path / "server.key"
    settings.EIM_CA_FILE, settings.EIM_PUBLIC_HOST = tmp_path / "ca.crt", "eim.example"
    assert {one.level for one in doctor.certificates()} == {Level.WARN}, "there are none yet"
    tls.ensure(tmp_path, ["localhost", "eim.example"])
    assert {one.level for one in doctor.certificates()} == {Level.OK}
    settings.EIM_PUBLIC_HOST = "elsewhere.example"
    assert "isn't for elsewhere.example" in worst(doctor.certificates()).says
    settings.EIM_PUBLIC_HOST, settings.EIM_TLS_KEY = "eim.example", tmp_path / "server-rsa.key"
    assert "isn't the key" in worst(doctor.certificates()).says
    settings.EIM_TLS_KEY = tmp_path / "server.key"
    monkeypatch.setattr(tls, "SERVER_LIFETIME", datetime.timedelta(seconds=-1))
    tls.ensure(tmp_path, ["localhost", "eim.example", "new"])
    assert worst(doctor.certificates()).says.endswith("has expired")


def test_a_port_that_somebody_else_has_is_told(settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.EIM_HTTPS_PORT = other.getsockname()[1]
        settings.EIM_HTTP_PORT = settings.EIM_GRPC_PORT = settings.EIM_EXPORTER_PORT = 1
        other.listen()
        found = {one.says.split()[-1]: one for one in doctor._ports()}
    assert found["https"].level == Level.WARN and found["https"].advice == "set EIM_HTTPS_PORT"
    assert [one.level for one in found.values()].count(Level.OK) == 3


def test_a_secret_that_others_may_read_is_told(settings, tmp_path):
    settings.EIM_DATA = tmp_path
    (tmp_path / "secret_keys").write_text("x")
    (tmp_path / "secret_keys").chmod(0o644)
    found = worst(doctor._secret_files())
    assert found.level == Level.FAIL and found.advice == f"chmod 600 {tmp_path / 'secret_keys'}"

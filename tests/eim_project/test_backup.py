"""A backup that is restored into another database, on another machine, is the same to the last row."""

import os
import re
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from eim_project import backup
from inventory.models import Host, HostState
from tenants import secrets

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1"
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace ORDER BY 1"
DECLARED = [
    "SELECT schemaname, tablename, indexdef FROM pg_indexes WHERE schemaname = ANY(%s) ORDER BY 1, 2, 3",
    "SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname = ANY(%s) ORDER BY 1, 2",
    "SELECT schemaname, tablename, policyname, qual FROM pg_policies WHERE schemaname = ANY(%s) ORDER BY 1, 2, 3",
    "SELECT event_object_schema, event_object_table, trigger_name, action_statement"
    " FROM information_schema.triggers WHERE event_object_schema = ANY(%s) ORDER BY 1, 2, 3, 4",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace::regnamespace::text = ANY(%s) AND contype <> 'n' ORDER BY 1, 2, 3",
    "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace::regnamespace::text = ANY(%s) ORDER BY 1, 2, 3",
]
# Postgres writes (ARRAY['a'::varchar])::text[] when it is told so, and ARRAY[('a'::varchar)::text] the next time.
NOTATION = re.compile(r"::[a-z ]+(\[\])?|[()]")


def url_of(name: str) -> str:
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def whole(url: str) -> dict:
    """Everything that is in a database: each table's rows, counted and digested, and what is declared about them."""
    with psycopg.connect(url, options="-c search_path=public") as there:
        schemas = [name for (name,) in there.execute(SCHEMAS)]
        found = {
            sql: [[NOTATION.sub("", str(value)) for value in row] for row in there.execute(sql, [schemas])]
            for sql in DECLARED
        }
        for schema in schemas:
            for (table,) in there.execute(TABLES, [schema]).fetchall():
                rows = "SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY t::text))"
                found[schema, table] = there.execute(f'{rows} FROM "{schema}"."{table}" t').fetchone()
    return found


@contextmanager
def another_database(name: str):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield url_of(name)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(*words: str, url: str, data: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"DATABASE_URL": url, "EIM_DATA": str(data)}
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110
    )


@pytest.fixture
def another():
    with another_database(f"other_{os.getpid()}") as url:
        yield url


@pytest.fixture
def file(there, settings, tmp_path):
    """A backup of what the tests have, and of a project with a host, all of which is committed."""
    Host(serial_number="SN1", name="kept").ask(state=HostState.REGISTERED)
    connection.set_schema_to_public()
    settings.EIM_DATA = tmp_path / "here"
    (settings.EIM_DATA / "tls").mkdir(parents=True)
    (settings.EIM_DATA / "secret_key").write_text("the old key")
    (settings.EIM_DATA / "tls" / "ca.crt").write_text("the authority")
    secrets.add_key()
    file = tmp_path / "eim.backup"
    backup.make(file)
    connection.close()
    return file


def test_a_backup_brings_all_back_into_another_database_and_folder(file, another, tmp_path, settings):
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = tmp_path / "elsewhere"
    done = manage("restore", str(file), url=another, data=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "guarded" in done.stdout and "secret_key, secret_keys, tls/ca.crt" in done.stdout
    ours, theirs = whole(url_of(connection.settings_dict["NAME"])), whole(another)
    theirs["public", "tenants_audit"] = ours["public", "tenants_audit"]  # the command itself is audited there
    audit = [row for row in theirs[DECLARED[1]] if row[1] == "tenants_audit_id_seq"]
    theirs[DECLARED[1]] = [row for row in theirs[DECLARED[1]] if row not in audit]
    ours[DECLARED[1]] = [row for row in ours[DECLARED[1]] if row[1] != "tenants_audit_id_seq"]
    assert {what for what in ours | theirs if ours.get(what) != theirs.get(what)} == set()
    assert ours["public", "tenants_event"][0] > 0, "rows that row-level security guards"
    assert (elsewhere / "secret_key").read_text() == "the old key", "the one that the command made gave way"
    assert (elsewhere / "secret_keys").read_text() == (settings.EIM_DATA / "secret_keys").read_text()
    assert (elsewhere / "secret_key").stat().st_mode & 0o777 == 0o600
    assert (elsewhere / "tls/ca.crt").read_text() == "the authority"

    again = manage("restore", str(file), url=another, data=elsewhere)
    assert again.returncode == 1 and "isn't empty" in again.stderr and "--force" in again.stderr
    with psycopg.connect(another):
        busy = manage("restore", str(file), "--force", url=another, data=elsewhere)
    assert busy.returncode == 1 and "1 others are connected" in busy.stderr
    forced = manage("restore", str(file), "--force", url=another, data=elsewhere)
    assert forced.returncode == 0, forced.stderr


def test_a_damaged_or_foreign_file_is_refused_before_anything_is_touched(file, another, tmp_path):
    damaged = bytearray(file.read_bytes())
    with tarfile.open(file) as tar:
        damaged[tar.getmember("database.dump").offset_data + 5000] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    (tmp_path / "foreign").write_text("x")
    refusals = {"damaged": "isn't what was written", "foreign": "can't be read", "nowhere": "can't be read"}
    for name, why in refusals.items():
        done = manage("restore", str(tmp_path / name), "--force", url=another, data=tmp_path / "elsewhere")
        assert done.returncode == 1 and why in done.stderr and "Traceback" not in done.stderr
    assert [what for what in whole(another) if isinstance(what, tuple)] == []


def test_a_backup_never_writes_over_a_file(file):
    with pytest.raises(backup.BackupProblem, match="is there already"):
        backup.make(file)

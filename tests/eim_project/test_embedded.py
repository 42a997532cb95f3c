"""Postgres and Valkey out of wheels: they start, keep what they are given, and let nobody in who shouldn't be."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from eim_project import embedded
from eim_project.processes import StackError
from tests.eim_project.waiting import wait_until

pytestmark = pytest.mark.usefixtures("_no_other_servers")

HOLD = "import sys, time; from pathlib import Path; from eim_project import embedded\n"
HOLD += "with embedded.services(Path(sys.argv[1])): print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def killed_owner(data):
    """A process that held the servers, and was killed without a chance to stop them."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(data)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"ready\n"
    holder.kill()
    holder.communicate()


def test_what_was_written_is_there_after_a_restart(data):
    with embedded.services(data) as urls:
        with psycopg.connect(urls.database) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        redis.from_url(urls.redis).set("kept", "42")
    with embedded.services(data) as urls:
        with psycopg.connect(urls.database) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert redis.from_url(urls.redis).get("kept") == b"42"


def test_the_role_is_bound_by_row_level_security_and_may_make_databases(data):
    with embedded.services(data) as urls, psycopg.connect(urls.database, autocommit=True) as connection:
        role = "SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(role).fetchone() == (False, False, True)
        connection.execute("CREATE DATABASE a_test")
        connection.execute("DROP DATABASE a_test")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


@pytest.mark.parametrize("who", ["postgres:x", "eim:wrong", "eim:"])
def test_nobody_else_gets_into_postgres(data, who):
    with embedded.services(data) as urls:
        address = urls.database.rpartition("@")[2]
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry|authentication failed|no password"):
            psycopg.connect(f"postgresql://{who}@{address}")


def test_nobody_gets_into_valkey_without_its_password(data):
    with embedded.services(data) as urls:
        address = urls.redis.rpartition("@")[2]
        with pytest.raises(redis.AuthenticationError):
            redis.from_url(f"redis://{address}").get("kept")


def test_two_stacks_never_share_a_data_folder(data):
    with (
        embedded.claim(data),
        pytest.raises(StackError, match=rf"process {os.getpid()}: `make down` ends it, or set"),
        embedded.claim(data),
    ):
        pass


def test_the_folder_is_free_once_the_block_is_left(data):
    with embedded.claim(data):
        assert embedded.owner(data) == os.getpid()
    assert embedded.owner(data) is None


@pytest.mark.usefixtures("killed_owner")
def test_servers_end_with_a_killed_owner_and_start_again(data):
    wait_until(lambda: not running_in(data), seconds=10)
    with embedded.services(data) as urls:
        psycopg.connect(urls.database).close()


def test_a_pid_file_that_names_somebody_else_is_no_obstacle(data):
    with embedded.services(data):
        pass
    (data / "postgres/postmaster.pid").write_text(f"{os.getpid()}\n{data / 'postgres'}\n1\n1\n\n127.0.0.1\n\nready\n")
    with embedded.services(data) as urls:
        psycopg.connect(urls.database).close()


def test_a_server_that_was_left_behind_is_ended_first(data):
    with embedded.claim(data):
        programs, _ = embedded.prepare(data)
        left = subprocess.Popen(programs[0].argv, **programs[0].popen_options())
        wait_until(programs[0].ready, seconds=10)
    with embedded.services(data) as urls:
        assert left.wait(1) == 0
        psycopg.connect(urls.database).close()


def test_the_urls_of_the_environment_win(data, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone@db.example/eim")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example")
    with embedded.claim(data):
        programs, urls = embedded.prepare(data)
    assert programs == []
    assert urls == embedded.Urls("postgresql://someone@db.example/eim", "redis://cache.example")


@pytest.mark.skipif(os.geteuid() != 0, reason="others run Postgres as themselves")
def test_a_folder_that_the_servers_user_cannot_reach_is_named(data):
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    reason = rf"may not pass {closed}: `chmod o\+x {closed}`, or set EIM_DATA"
    with pytest.raises(StackError, match=reason), embedded.services(closed / "inner"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    reason = r"can't be used .*: set EIM_DATA to another folder"
    with pytest.raises(StackError, match=reason), embedded.claim(tmp_path / "file/inner"):
        pass


def running_in(folder: Path) -> list[int]:
    """The processes whose working folder lies in `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if folder.resolve() in link.resolve(strict=True).parents:
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def test_stop_signals_let_postgres_keep_what_was_committed(data):
    with embedded.claim(data):
        programs, _ = embedded.prepare(data)
    assert [(program.name, program.stop_signal) for program in programs] == [
        ("postgres", signal.SIGINT),
        ("valkey", signal.SIGTERM),
    ]

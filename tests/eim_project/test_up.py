"""The whole stack, as `manage.py up` runs it: it heals, it tells why it can't start, and nothing is left of it."""

import fcntl
import http.client
import json
import os
import random
import re
import signal
import ssl
import subprocess
import sys
import termios
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import settings

from eim_project.management.commands.memory import family
from tests.eim_project.waiting import alive, wait_until
from tests.services import environment_without

PASSWORD = "correct horse battery"
UP = [sys.executable, "manage.py", "up"]


class Up:
    """A stack of our own, apart from the one that the tests' servers belong to."""

    def __init__(self, data):
        ports = random.sample(range(20000, 30000), 4)  # where no stack of the developer's listens
        names = ("EIM_HTTP_PORT", "EIM_HTTPS_PORT", "EIM_GRPC_PORT", "EIM_FLOWER_PORT")
        own = {
            "EIM_DATA": str(data), "EIM_ARTIFACTS": str(data / "artifacts"), "EIM_ADMIN_PASSWORD": PASSWORD,
        }  # fmt: skip
        self.environment = {**environment_without(), **own, **dict(zip(names, map(str, ports), strict=True))}
        self.file = data / "stack.json"

    @contextmanager
    def started(self, terminal: int | None = None) -> Iterator[subprocess.Popen]:
        """Healthy when the block begins, and gone after it, whatever happens in it."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        if terminal is not None:
            own_it = partial(fcntl.ioctl, terminal, termios.TIOCSCTTY, 0)
            options = {**dict.fromkeys(("stdin", "stdout", "stderr"), terminal), "preexec_fn": own_it}
        process = subprocess.Popen(
            UP, cwd=settings.BASE_DIR, env=self.environment, start_new_session=True, text=True, **options
        )
        try:
            wait_until(lambda: self.file.exists() or process.poll() is not None, seconds=90)
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, command: list[str], **environment) -> subprocess.CompletedProcess:
        return subprocess.run(
            command,
            cwd=settings.BASE_DIR,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def stack(self) -> dict:
        return json.loads(self.file.read_text())


@pytest.fixture(scope="module")
def up(data):
    return Up(data)


@pytest.fixture(scope="module")
def running(up):
    with up.started() as process:
        yield process


def pids_of(stack: subprocess.Popen, part: str) -> list[int]:
    """The processes of a stack that have `part` in their command line."""
    return [pid for pid in family(stack.pid) if part in command_line(pid)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""  # it has ended meanwhile


def healthy(stack: dict) -> bool:
    context = ssl.create_default_context(cafile=stack["ca"])
    try:
        with urllib.request.urlopen(stack["https"] + "/healthz", context=context, timeout=5) as answer:  # noqa: S310
            return answer.status == 200
    except OSError:
        return False


def test_it_answers_over_tls_with_its_own_authority(up, running):
    assert healthy(up.stack)


def test_every_request_of_a_tls_connection_is_known_to_be_one(up, running):
    """The web server itself is told with the first alone."""
    server, port = up.stack["https"].removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=up.stack["ca"])
    with closing(http.client.HTTPSConnection(server, int(port), context=context, timeout=5)) as connection:
        for _ in range(3):
            connection.request("GET", settings.LOGIN_URL)
            answer = connection.getresponse()
            answer.read()
            assert "Secure" in answer.getheader("Set-Cookie") and answer.getheader("Connection") == "keep-alive"
    with urllib.request.urlopen(up.stack["http"] + settings.LOGIN_URL, timeout=5) as answer:  # noqa: S310
        assert "Secure" not in answer.headers["Set-Cookie"]


def test_flower_lets_administrators_in_while_they_are_signed_in_where_everybody_is(up, running):
    manage = [sys.executable, "manage.py"]
    up.run([*manage, "create_user", "bea", "--superuser"], EIM_PASSWORD=PASSWORD)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(url, **form):
        data = urlencode(form).encode() if form else None
        with browser.open(urllib.request.Request(url, data, {"Referer": url}), timeout=20) as answer:  # noqa: S310
            return answer.url, answer.read().decode()

    at, page = get(up.stack["flower"] + "/workers")
    assert at.startswith(up.stack["http"]) and "password" in page
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    query = parse_qs(urlsplit(at).query)
    at, page = get(at, username="bea", password=PASSWORD, csrfmiddlewaretoken=hidden, next=query["next"][0])
    assert at == up.stack["flower"] + "/workers" and "reconcilers@" in page
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(up.stack["flower"] + "/login?code=guessed&state=guessed")
    up.run([*manage, "set_password", "bea"], EIM_PASSWORD=f"another-{PASSWORD}")
    wait_until(lambda: "password" in get(up.stack["flower"] + "/workers")[1], seconds=20)


@pytest.mark.parametrize("part", ["gunicorn", "-n reconcilers", "southbound", "valkey-server", "postgres -D"])
def test_what_is_killed_is_started_again(up, running, part):
    killed = pids_of(running, part)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not alive(killed), seconds=5)
    wait_until(lambda: pids_of(running, part) and healthy(up.stack), seconds=30)


def test_the_memory_of_all_processes_is_told(up, running):
    told = up.run([sys.executable, "manage.py", "memory"]).stdout.splitlines()
    assert any("celery" in line for line in told)
    assert 100 < float(told[-1].split()[0]) < 800  # MiB; with 10,000 machines 1.2 GiB are promised
    assert told[-1].endswith("MiB  in all")


def test_a_second_stack_on_the_same_data_is_refused(up, running):
    second = up.run(UP)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"eim: {up.file.parent} is in use by process {running.pid}: "
        "`make down` ends it, or set EIM_DATA to another folder\n"
    )


def test_a_port_that_is_taken_is_named(up, running, tmp_path_factory):
    port = up.stack["http"].rpartition(":")[2]
    refused = up.run(UP, EIM_HTTP_PORT=port, EIM_DATA=str(up.file.parent / "other"))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"eim: EIM_HTTP_PORT={port} is taken: set another, or none to get a free one"
    )


def test_nothing_outlives_a_stack_that_is_killed(running):
    family_before = list(family(running.pid))
    assert len(family_before) > 10
    running.kill()
    wait_until(lambda: not any(alive(pid) for pid in family_before), seconds=15)


@pytest.mark.parametrize("terminal_does", ["ctrl-c", "close"])
def test_ctrl_c_or_a_closed_terminal_end_everything(up, terminal_does):
    """Also that a stack starts on the data of one that was killed."""
    up.file.unlink(missing_ok=True)
    keyboard, screen = os.openpty()
    with up.started(terminal=screen) as process:
        os.close(screen)
        family_before = list(family(process.pid))
        if terminal_does == "ctrl-c":
            os.write(keyboard, b"\x03")
        else:
            os.close(keyboard)
        assert process.wait(15) == 0
    assert not [pid for pid in family_before if alive(pid)]
    assert not up.file.exists()


def test_down_ends_it(up):
    with up.started() as process:
        assert up.run([sys.executable, "manage.py", "down"]).stdout == "Stopped.\n"
        assert process.wait(1) == 0
    assert up.run([sys.executable, "manage.py", "down"]).stdout == "Nothing runs here.\n"

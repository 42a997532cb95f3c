"""The supervisor with small real programs."""

import asyncio
import os
import signal
import sys

import pytest

from eim_project.processes import Program, StackError
from eim_project.supervisor import Supervisor
from tests.eim_project.waiting import alive, wait_until

LIVES = "import time; print('here I am', flush=True); time.sleep(600)"
HAS_A_CHILD = (
    "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
)
IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here I am', flush=True)\n"
IGNORES += "while True: time.sleep(1)"


class Heard(list):
    """Everything a supervisor told, as (who, what)."""

    def take(self, who: str, what: str) -> None:
        self.append((who, what))

    async def until(self, part: str, how_often: int = 1) -> str:
        async with asyncio.timeout(10):
            while len(found := [what for _, what in self if part in what]) < how_often:  # noqa: ASYNC110  they come one by one
                await asyncio.sleep(0.02)
        return found[-1]


@pytest.fixture
def said():
    return Heard()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def supervisor(tmp_path, said, heard):
    return Supervisor(tmp_path / "logs", said.take, heard.take)


def program(code: str, **options) -> Program:
    return Program("child", [sys.executable, "-c", code], **options)


def test_what_dies_is_started_again_and_that_is_said(supervisor, said, heard):
    async def scene():
        await supervisor.start(program("import os, time; print(os.getpid(), flush=True); time.sleep(600)"))
        first = int(await heard.until(""))
        os.kill(first, signal.SIGKILL)
        await said.until("was ended by SIGKILL; starting it again in 1 s")
        await said.until("runs again")
        await heard.until("", how_often=2)
        await supervisor.stop()

    asyncio.run(scene())


def test_what_dies_before_it_is_ready_is_reported_with_its_last_words(supervisor):
    crash = program("import sys; sys.exit('the door is locked')", ready=lambda: False)
    with pytest.raises(StackError, match="child doesn't start: the door is locked"):
        asyncio.run(supervisor.start(crash))


def test_ready_is_who_has_said_so(supervisor, heard):
    async def scene():
        await supervisor.start(program(LIVES, ready_line="here I am"))
        assert heard == [("child", "here I am")]
        await supervisor.stop()

    asyncio.run(scene())


def test_what_it_writes_is_in_its_log(supervisor, tmp_path):
    async def scene():
        await supervisor.start(program(LIVES, ready_line="here I am"))
        await supervisor.stop()

    asyncio.run(scene())
    assert (tmp_path / "logs/child.log").read_text() == "here I am\n"


def test_a_log_that_is_too_long_is_set_aside(supervisor, tmp_path, heard, monkeypatch):
    monkeypatch.setattr("eim_project.supervisor.LOG_BYTES", 1000)

    async def scene():
        await supervisor.start(
            program("for n in range(300): print('line', n, flush=True)\nimport time; time.sleep(600)")
        )
        await heard.until("line 299")
        await supervisor.stop()

    asyncio.run(scene())
    kept = [path.stat().st_size for path in (tmp_path / "logs").iterdir()]
    assert len(kept) == 2
    assert sum(kept) < 2100


def test_a_program_that_ignores_the_signal_is_ended_by_force(supervisor, monkeypatch):
    monkeypatch.setattr("eim_project.supervisor.STOP_SECONDS", 0.5)

    async def scene():
        await supervisor.start(program(IGNORES, ready_line="here I am"))
        async with asyncio.timeout(5):
            await supervisor.stop()

    asyncio.run(scene())


def test_what_a_program_has_started_ends_with_it(supervisor, heard):
    async def scene():
        await supervisor.start(program(HAS_A_CHILD))
        grandchild = int(await heard.until(""))
        await supervisor.stop()
        wait_until(lambda: not alive(grandchild), seconds=2)

    asyncio.run(scene())


def test_a_program_that_hangs_is_killed_and_started_again(supervisor, said, monkeypatch):
    monkeypatch.setattr("eim_project.supervisor.PROBE_EVERY", 0.05)
    monkeypatch.setattr("eim_project.supervisor.PROBES_TO_FAIL", 3)
    healthy = [True, False, False, False]

    async def scene():
        await supervisor.start(program(LIVES, ready=lambda: healthy.pop(0) if healthy else True))
        await said.until("and was killed; starting it again")
        await said.until("runs again")
        await supervisor.stop()

    asyncio.run(scene())


def test_the_output_of_a_command_is_returned_and_its_failure_has_a_reason(supervisor):
    assert asyncio.run(supervisor.output_of(program("print(42)"))) == "42\n"
    with pytest.raises(StackError, match="child failed: no luck"):
        asyncio.run(supervisor.output_of(program("import sys; sys.exit('no luck')")))


def test_a_program_apart_sees_nothing_of_our_environment(supervisor, monkeypatch):
    monkeypatch.setenv("EIM_SECRET_KEY", "hidden")
    code = "import os; print('EIM_SECRET_KEY' in os.environ)"
    assert asyncio.run(supervisor.output_of(program(code))) == "True\n"
    assert asyncio.run(supervisor.output_of(program(code, apart=True))) == "False\n"

"""Processes that are forked by the nursery, and watched by whoever asked for them.

Each scene is played in a process of its own: it adopts what loses its parent, which the tests' process shouldn't.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.eim_project.waiting import alive, wait_until

ROOT = Path(__file__).parent.parent.parent
BEGINS = """
import asyncio, json, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from eim_project.nursery import Nursery
from eim_project.processes import Program, StackError, adopt_orphans
from eim_project.supervisor import Supervisor

here, said, heard = Path(sys.argv[1]), [], []
adopt_orphans()
nursery = Nursery()
supervisor = Supervisor(here / "logs", lambda *told: said.append(told), lambda who, line: heard.append(line))

def program(code, **options):
    (here / "child.py").write_text(code)
    return Program("child", [sys.executable, str(here / "child.py"), "a word"], nursery=nursery, **options)

async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)

async def begin():
    await supervisor.start(nursery.program({"DJANGO_SETTINGS_MODULE": "eim_project.settings"}, Path.cwd()))

def told(what):
    print(json.dumps(what), flush=True)
"""


@pytest.fixture
def play(tmp_path):
    """Play a scene, the body of an async function, to its end; what it has told comes back."""

    def play(scene: str):
        code = f"{BEGINS}\nasync def scene():\n{textwrap.indent(textwrap.dedent(scene), '    ')}\nasyncio.run(scene())"
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return play


def test_what_it_forks_is_a_process_like_any_other(play):
    """A child of whoever asked, in a session of its own, with its own command, pipe and folder."""
    told = play("""
        code = '''
        import django, json, os, sys, time
        from django.apps import apps
        print(json.dumps([os.getpid(), os.getppid(), os.getsid(0), sys.argv[1:], sys.stdin.read(), os.getcwd(),
              apps.ready, __name__, open("/proc/self/cmdline").read().split("\\\\0")[0].split()[1:]]), flush=True)
        time.sleep(600)
        '''
        import textwrap
        await begin()
        await supervisor.start(program(textwrap.dedent(code), ready_line="__main__", cwd=here))
        process = supervisor._watched[-1].process
        told([process.pid, os.getpid(), str(here), json.loads(heard[-1])])
        await supervisor.stop()
    """)
    pid, asker, folder, found = told
    assert found == [pid, asker, pid, ["a word"], "", folder, True, "__main__", [f"{folder}/child.py", "a", "word"]]


def test_how_it_ended_is_known_and_it_is_started_again(play):
    told = play("""
        await begin()
        await supervisor.start(program("import os; print(os.getpid(), flush=True); os.read(os.pipe()[0], 1)"))
        await until(lambda: heard[1:])
        os.kill(int(heard[1]), signal.SIGKILL)
        await until(lambda: heard[2:])
        told([said[0], heard[1] != heard[2]])
        await supervisor.stop()
    """)
    assert told == [["child", "was ended by SIGKILL; starting it again in 1 s"], True]


def test_what_fails_says_why(play):
    told = play("""
        await begin()
        try:
            await supervisor.start(program("raise SystemExit('the door is locked')", ready=lambda: False))
        except Exception as why:
            told(str(why))
        await supervisor.stop()
    """)
    assert told.startswith("child doesn't start: the door is locked")


def test_the_end_of_the_nursery_ends_nobody_and_the_next_one_forks_again(play):
    told = play("""
        await begin()
        await supervisor.start(program("import os; print(os.getpid(), flush=True); os.read(os.pipe()[0], 1)"))
        await until(lambda: heard[1:])
        nurse, child = (watched.process.pid for watched in supervisor._watched)
        os.kill(nurse, signal.SIGKILL)
        await until(lambda: ("nursery", "runs again") in said)
        os.kill(child, 0)
        os.kill(child, signal.SIGTERM)
        await until(lambda: ("child", "runs again") in said)
        told(supervisor._watched[1].process.pid != child)
        await supervisor.stop()
    """)
    assert told is True


def test_one_that_comes_too_late_is_ended_and_is_not_taken_for_another(play):
    """The nursery stood still for longer than anybody waits."""
    told = play("""
        await begin()
        nurse = supervisor._watched[0].process.pid
        os.kill(nurse, signal.SIGSTOP)
        nursery._ours.settimeout(0.2)
        read, write = os.pipe()
        late = program("import os, time; os.write(1, b'late'); time.sleep(600)")
        try:
            nursery.fork(late, write)
        except StackError as why:
            assert "TimeoutError" in str(why)
            os.kill(nurse, signal.SIGCONT)
        nursery._ours.settimeout(10)
        assert os.read(read, 4) == b"late"
        process = nursery.fork(replace(late, argv=[*late.argv, "another"]), write)
        said = Path(f"/proc/{process.pid}/cmdline").read_text().strip("\\0")
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/cmdline")
                and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
                and str(here) in Path(f"/proc/{pid}/cmdline").read_text() and int(pid) != os.getpid()]
        told([said.endswith("another"), left == [str(process.pid)]])
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        await supervisor.stop()
    """)
    assert told == [True, True]


def test_a_nursery_that_is_gone_is_an_error_and_not_a_hang(play):
    told = play("""
        from eim_project.processes import end_group
        await begin()
        end_group(supervisor._watched[0].process.pid)
        began = time.monotonic()
        try:
            nursery.fork(program(""), 1)
        except StackError as gone:
            told([str(gone), time.monotonic() - began < 5])
        await supervisor.stop()
    """)
    said, at_once = told
    assert said.startswith("child can't be started: the nursery doesn't answer (") and "nursery.log" in said and at_once


def test_when_the_asker_is_killed_nobody_is_left(tmp_path):
    scene = """
        await begin()
        await supervisor.start(program("import os; print(os.getpid(), flush=True); os.read(os.pipe()[0], 1)"))
        await until(lambda: heard[1:])
        told([watched.process.pid for watched in supervisor._watched])
        await asyncio.sleep(600)
    """
    code = f"{BEGINS}\nasync def scene():\n{textwrap.indent(textwrap.dedent(scene), '    ')}\nasyncio.run(scene())"
    asker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        pids = json.loads(asker.stdout.readline())
        assert len(pids) == 2 and all(alive(pid) for pid in pids)
    finally:
        asker.kill()
        asker.wait()
        asker.stdout.close()
    wait_until(lambda: not any(alive(pid) for pid in pids), 5)


def test_what_a_killed_program_left_behind_is_buried(play):
    """A grandchild in a session of its own: it isn't of the group that ends with the program; nobody waits for it."""
    told = play("""
        code = '''
        import os, signal, subprocess, time
        left = subprocess.Popen(["sleep", "1"], start_new_session=True)
        print(left.pid, flush=True)
        time.sleep(600)
        '''
        import textwrap
        from eim_project import supervisor as module
        module.PROBE_EVERY = 0.2
        await begin()
        await supervisor.start(program(textwrap.dedent(code)))
        await until(lambda: heard[1:])
        left = int(heard[1])
        os.kill(supervisor._watched[1].process.pid, signal.SIGKILL)
        await until(lambda: Path(f"/proc/{left}/stat").read_text().split(")")[1].split()[1] == str(os.getpid()))
        await until(lambda: not Path(f"/proc/{left}").exists())
        told("buried")
        await supervisor.stop()
    """)
    assert told == "buried"

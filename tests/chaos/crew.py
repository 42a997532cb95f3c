"""Real worker and beat processes, and the ways in which they are killed, frozen and robbed of their broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import redis
from django.conf import settings
from django_tenants.utils import schema_context

from eim_project.processes import Program, end_group
from tenants.models import Ring
from tests.chaos.waiting import until
from workers.models import Work

LEASE = 3  # seconds; the sooner somebody takes over from the dead, the more rounds fit into a minute
STARTS_WITHIN = 180.0  # seconds, of a process beside many others that start
WORKERS = ("worker-1", "worker-2")  # while one is started again or frozen, the other takes over
BEAT, BMC = "beat", "bmc"
WITH_SLOW_TALKS = """
import os
import django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")
django.setup()
import tests.chaos.slow
from django.core.management import call_command
call_command("bmc")
"""


class Crew:
    """All that fulfils wishes. Whoever is killed is started again, as `manage.py up` would do."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder, self.broker = folder, redis.Redis.from_url(broker_url)
        self.environment = {"DATABASE_URL": database_url, "CELERY_BROKER_URL": broker_url, "EIM_LEASE": str(LEASE)}
        self.running: dict[str, subprocess.Popen] = {}
        self._orphans: list[psutil.Process] = []
        self._logs: dict[str, Path] = {}

    def start(self, name: str, queues: str = "wake,reconcile,tenant", processes: int = 2) -> None:
        if name == BEAT:
            arguments = ["beat", "--pidfile=", f"--schedule={self.folder / 'schedule'}"]
        else:
            arguments = f"worker --without-mingle --without-gossip -n {name}@%h -c {processes} -Q {queues}".split()
            arguments += ["-I", "tests.chaos.slow"]
        command = [sys.executable, "-m", "celery", "-A", "eim_project.celery:app", *arguments, "--loglevel=INFO"]
        if name == BMC:
            command = [sys.executable, "-c", WITH_SLOW_TALKS]
        program = Program(name, command, self.environment, cwd=settings.BASE_DIR)
        self._logs[name] = self.folder / f"{name} {time.monotonic():.3f}.log"
        with self._logs[name].open("w") as log:
            self.running[name] = subprocess.Popen(program.argv, stdout=log, stderr=log, **program.popen_options())

    def wait_until_ready(self) -> None:
        for name in self.running:
            line = "is starting." if name == BEAT else "ready."
            until(lambda name=name, line=line: line in self._logs[name].read_text(), f"{name} is ready", STARTS_WITHIN)

    def stop(self, *names: str) -> None:
        for name in names or [*self.running]:
            self._end(self.running.pop(name))
        for orphan in self._orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()

    def _children(self, name: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):  # ended by itself a moment ago
            return sorted(psutil.Process(self.running[name].pid).children(), key=lambda child: child.pid)
        return []

    @staticmethod
    def _end(process: subprocess.Popen) -> None:
        end_group(process.pid)
        process.wait()

    # What happens to it. `chance`, from 0 to 1, is the part that isn't decided by the worker's name. ------------------

    def kill_child(self, name: str, chance: float) -> str:
        if not (children := self._children(name)):
            return f"kill no child of {name}: it has none"
        victim = children[int(chance * len(children))]
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        return f"kill child {victim.pid} of {name}"

    def kill_child_at_work(self, name: str, chance: float) -> str:
        """At a random moment they are mostly idle; now one of them reconciles, or hears what was rung for."""
        at_work = Work.objects.filter(leased_until__isnull=False) if chance < 0.5 else Ring.objects.all()
        deadline = time.monotonic() + 0.5
        with schema_context("public"):
            while not at_work.exists() and time.monotonic() < deadline:
                time.sleep(0.002)
        time.sleep(chance * 100 % 1 / 100)
        return self.kill_child(name, chance * 1000 % 1)

    def kill_worker(self, name: str, chance: float) -> str:
        """The parent alone: its children finish what they are at, as orphans, beside those of the new one."""
        self._orphans += self._children(name)
        self.running[name].kill()
        self.running[name].wait()
        self.start(name)
        return f"kill {name}"

    def kill_session(self, name: str, chance: float) -> str:
        self._end(self.running[name])
        self.start(name)
        return f"kill {name} and its children"

    def kill_beat(self, name: str, chance: float) -> str:
        self._end(self.running[BEAT])
        self.start(BEAT)
        return "kill beat"

    def flush(self, name: str, chance: float) -> str:
        self.broker.flushdb()
        return "flush the broker"

    def freeze(self, name: str) -> Callable[[], None]:
        """Stop it and its children. Returns what makes it go on, as if nothing had happened: it doesn't know."""
        leader = self.running[name].pid
        os.killpg(leader, signal.SIGSTOP)

        def thaw() -> None:
            with suppress(ProcessLookupError):  # killed meanwhile
                os.killpg(leader, signal.SIGCONT)

        return thaw


@dataclass(frozen=True)
class Disturbance:
    at: float  # seconds after the lives began
    kind: str
    worker: str
    chance: float


class Timeline:
    """What happens to the crew in one round, and when; drawn from the seed before it begins."""

    KINDS = (
        *("kill_child", "kill_child", *["kill_child_at_work"] * 4, "kill_worker", "kill_session", "freeze_worker"),
        *("flush", "flush", "flush", "kill_beat", "freeze_beat", "freeze_beat"),
    )

    def __init__(self, seed: int) -> None:
        dice = Random(f"timeline {seed}")
        self.moments = [
            Disturbance(at, dice.choice(self.KINDS), dice.choice(WORKERS), dice.random())
            for at in sorted(dice.uniform(0, 1.5) for _ in range(dice.randint(3, 6)))
        ]
        self.told: list[str] = []

    def happen_to(self, crew: Crew) -> None:
        began, frozen = time.monotonic(), []  # (when it goes on, how)
        for moment in self.moments:
            time.sleep(max(0.0, began + moment.at - time.monotonic()))
            if moment.kind.startswith("freeze"):
                # A worker for longer than its lease: it wakes and believes that the work is still its own.
                name = BEAT if moment.kind == "freeze_beat" else moment.worker
                seconds = 0.5 + 2 * moment.chance if name == BEAT else LEASE + 0.5
                frozen.append((time.monotonic() + seconds, crew.freeze(name)))
                did = f"freeze {name} for {seconds:.1f} s"
            else:
                did = getattr(crew, moment.kind)(moment.worker, moment.chance)
            self.told.append(f"{moment.at:.3f} s: {did}")
        for when, thaw in sorted(frozen, key=lambda pair: pair[0]):
            time.sleep(max(0.0, when - time.monotonic()))
            thaw()

    def __str__(self) -> str:
        return "; ".join(self.told or map(str, self.moments))

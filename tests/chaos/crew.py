"""Real worker and beat processes, and the ways in which they are killed, frozen and robbed of their broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import redis
from django.conf import settings
from django_tenants.utils import schema_context

from tests.chaos.waiting import until
from workers.models import Work

LEASE = 3  # seconds; the sooner somebody takes over from the dead, the more rounds fit into a minute
WORKERS = ("worker-1", "worker-2")  # while one is started again or frozen, the other takes over
BEAT = "beat"


class Crew:
    """All that fulfils wishes. Whoever is killed is started again, as `manage.py up` would do."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder, self.broker = folder, redis.Redis.from_url(broker_url)
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": broker_url,
            "EIM_LEASE": str(LEASE),
            "PYTHONUNBUFFERED": "1",
        }
        self.running: dict[str, subprocess.Popen] = {}
        self._logs: dict[str, Path] = {}

    def start(self, name: str, queues: str = "wake,reconcile,tenant", processes: int = 2) -> None:
        """A session of its own for each, so that it can be ended with all its children."""
        if name == BEAT:
            arguments = ["beat", "--pidfile=", f"--schedule={self.folder / 'schedule'}"]
        else:
            arguments = f"worker --without-mingle --without-gossip -n {name}@%h -c {processes} -Q {queues}".split()
            arguments += ["-I", "tests.chaos.slow"]
        self._logs[name] = self.folder / f"{name} {time.monotonic():.3f}.log"
        with self._logs[name].open("w") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "eim_project.celery:app", *arguments, "--loglevel=INFO"],
                cwd=settings.BASE_DIR, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        for name in self.running:
            line = "is starting." if name == BEAT else "ready."
            until(lambda name=name, line=line: line in self._logs[name].read_text(), f"{name} is ready")

    def stop(self, *names: str) -> None:
        for name in names or [*self.running]:
            _kill_session(self.running.pop(name))

    # What happens to it. Each draws what it needs from the dice, and tells in a few words what it did. ----------------

    def kill_child(self, dice: Random) -> str:
        return self._kill_child(dice.choice(WORKERS), dice)

    def kill_child_at_work(self, dice: Random) -> str:
        """At a random moment they are mostly idle; this moment isn't."""
        name, deadline = dice.choice(WORKERS), time.monotonic() + 0.5
        with schema_context("public"):
            while not Work.objects.filter(leased_until__isnull=False).exists() and time.monotonic() < deadline:
                time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.01))
        return self._kill_child(name, dice)

    def _kill_child(self, name: str, dice: Random) -> str:
        with suppress(psutil.NoSuchProcess):  # killed itself a moment ago
            if children := psutil.Process(self.running[name].pid).children():
                victim = dice.choice(sorted(children, key=lambda child: child.pid))
                victim.kill()
                return f"kill child {victim.pid} of {name}"
        return f"kill no child of {name}: it has none"

    def kill_worker(self, dice: Random) -> str:
        """The parent alone: its children finish what they are at, as orphans, beside those of the new one."""
        name = dice.choice(WORKERS)
        self.running[name].kill()
        self.running[name].wait()
        self.start(name)
        return f"kill {name}"

    def kill_session(self, dice: Random) -> str:
        name = dice.choice(WORKERS)
        _kill_session(self.running[name])
        self.start(name)
        return f"kill {name} and its children"

    def kill_beat(self, dice: Random) -> str:
        _kill_session(self.running[BEAT])
        self.start(BEAT)
        return "kill beat"

    def flush(self, dice: Random) -> str:
        self.broker.flushdb()
        return "flush the broker"

    def freeze(self, name: str) -> Callable[[], None]:
        """Stop it and its children. Returns what makes it go on, as if nothing had happened: it doesn't know."""
        leader = self.running[name].pid
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGSTOP)

        def thaw() -> None:
            with suppress(ProcessLookupError):  # killed meanwhile
                os.killpg(leader, signal.SIGCONT)

        return thaw


def _kill_session(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Timeline:
    """What happens to the crew in one round, and when; drawn from the seed before it begins."""

    KINDS = (
        *("kill_child", "kill_child", *["kill_child_at_work"] * 4, "kill_worker", "kill_session", "freeze_worker"),
        *("flush", "flush", "flush", "kill_beat", "freeze_beat", "freeze_beat"),
    )

    def __init__(self, seed: int) -> None:
        self.dice = Random(f"timeline {seed}")
        self.moments = sorted(
            (round(self.dice.uniform(0, 1.5), 3), self.dice.choice(self.KINDS)) for _ in range(self.dice.randint(3, 6))
        )
        self.told: list[str] = []

    def happen_to(self, crew: Crew) -> None:
        began, frozen = time.monotonic(), []  # (when it goes on, how)
        for at, kind in self.moments:
            time.sleep(max(0.0, began + at - time.monotonic()))
            if kind.startswith("freeze"):
                name = BEAT if kind == "freeze_beat" else self.dice.choice(WORKERS)
                seconds = LEASE + 0.5 if name in WORKERS else self.dice.uniform(0.5, 2.5)
                frozen.append((time.monotonic() + seconds, crew.freeze(name)))
                did = f"freeze {name} for {seconds:.1f} s"
            else:
                did = getattr(crew, kind)(self.dice)
            self.told.append(f"{at:.3f} s: {did}")
        for when, thaw in sorted(frozen, key=lambda pair: pair[0]):
            time.sleep(max(0.0, when - time.monotonic()))
            thaw()

    def __str__(self) -> str:
        return "; ".join(self.told or (f"{at:.3f} s: {kind}" for at, kind in self.moments))

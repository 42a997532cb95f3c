"""Where the processes of a stack come from: one that has loaded what all of them need, and forks them.

What they have in common is then in memory once, not eight times, and it is loaded once: the whole stack holds half of
what it held, and starts sooner. Each is forked twice, so that its parent is the one that asked, which has adopted it
(prctl PR_SET_CHILD_SUBREAPER) by the time it runs: who watches it needn't know where it came from, and it doesn't end
with the nursery. What a process is given by the stack, the nursery was given: settings are read once, too.

The two talk over a pair of sockets: a request is JSON, with the pipe that the new process writes to; the answer is its
pid, with the number of the request. Only load() loads Django: who asks doesn't.
"""

import gc
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import time
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from eim_project.processes import Program, StackError, die_with_parent, end_group

PATIENCE = 10.0  # seconds that a fork may take
LONGEST = 2**16  # bytes of a request
READY = "nursery is ready."
# What they need beyond Django's apps. Not gRPC, which has threads and mustn't be forked.
COMMON = (
    "celery.apps.beat", "celery.apps.worker", "celery.bin.celery", "celery.concurrency.prefork",
    "celery.worker.consumer", "exporter.collectors", "jsonschema", "workers.bmc", "workers.telling",
)  # fmt: skip


class Child:
    """A process that was forked for us. What is here is as subprocess.Popen has it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            with open(os.pidfd_open(self.pid)) as ended:  # noqa: PTH123  it is a descriptor
                if not select.select([ended], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.poll()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """The end of it that asks."""

    _ours: socket.socket
    _theirs: socket.socket

    def __init__(self) -> None:
        self._numbers = count()  # of requests

    def program(self, environment: dict[str, str], cwd: Path) -> Program:
        """To be started before whoever is to be forked."""
        command = [sys.executable, "-m", "eim_project.nursery"]
        return Program(
            "nursery", command, environment, cwd=cwd, before=self._pair, stdin=lambda: self._theirs.fileno(),
            ready_line=READY,
        )  # fmt: skip

    def _pair(self) -> None:
        """Whatever an earlier nursery has not answered is lost with it."""
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(PATIENCE)

    def fork(self, program: Program, output: int) -> Child:
        """Raises StackError if the nursery doesn't answer."""
        try:
            return self._forked(program, output)
        except OSError as away:
            why = f"{program.name} can't be started: the nursery doesn't answer ({away!r}; see logs/nursery.log)"
            raise StackError(why) from away

    def _forked(self, program: Program, output: int) -> Child:
        self._theirs.close()  # or it would be never heard that the nursery has ended
        number = next(self._numbers)
        asked = {
            "number": number, "argv": program.argv, "cwd": str(program.cwd or Path.cwd()), "parent": os.getpid(),
            "orphan_signal": program.orphan_signal,
        }  # fmt: skip
        socket.send_fds(self._ours, [json.dumps(asked).encode()], [output])
        while answer := self._ours.recv(LONGEST):
            answered, pid = map(int, answer.split())
            if answered == number:
                return Child(pid)
            end_group(pid)  # it came too late: whoever asked for it has given up
        raise ConnectionAbortedError("the nursery has ended")


def start(program: Program, output: int) -> subprocess.Popen | Child:
    """Start a program that writes to `output`: by the nursery, if it has one."""
    if program.nursery:
        return program.nursery.fork(program, output)
    options = program.popen_options()
    return subprocess.Popen(program.argv, stdin=program.stdin(), stdout=output, stderr=output, **options)


# The nursery itself ---------------------------------------------------------------------------------------------------


def main() -> None:
    load()
    print(READY, flush=True)
    # Only a child comes back, and becomes what was asked for.
    argv = serve(socket.socket(fileno=os.dup(0)))
    if argv[1] == "-m":
        sys.argv = argv[2:]
        runpy.run_module(argv[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv[1:]
        runpy.run_path(argv[1], run_name="__main__")


def load() -> None:
    import django

    django.setup()
    from eim_project.celery import app

    app.loader.import_default_modules()
    for name in COMMON:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is there by now isn't looked through, or each child would copy it


def serve(asking: socket.socket) -> list[str]:
    """Fork whoever is asked for, until nobody can ask any more. Returns in children, the command of each."""
    while True:
        data, [*given], *_ = socket.recv_fds(asking, LONGEST, 1)
        if not data:
            sys.exit()
        asked, output = json.loads(data), given[0]
        if between := os.fork():
            os.close(output)
            os.waitpid(between, 0)
            continue
        if os.fork():
            os._exit(0)  # so that the stack adopts the child
        _become(asked, output)
        asking.send(f"{asked['number']} {os.getpid()}".encode())
        asking.close()
        return asked["argv"]


def _become(asked: dict[str, Any], output: int) -> None:
    """A process of the stack's, as Program.popen_options() makes others."""
    from setproctitle import setproctitle

    os.setsid()
    deadline = time.monotonic() + PATIENCE
    while os.getppid() != asked["parent"]:
        if time.monotonic() > deadline:
            sys.exit("nobody has adopted this process")
        time.sleep(0.001)
    die_with_parent(asked["orphan_signal"], asked["parent"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((0, nothing), (1, output), (2, output)):
        os.dup2(theirs, ours)
    os.close(nothing)
    os.close(output)
    os.chdir(asked["cwd"])
    setproctitle(" ".join([Path(asked["argv"][0]).name, *asked["argv"][1:]]))


if __name__ == "__main__":
    main()

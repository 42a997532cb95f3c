"""What a program of the stack is, and how it is started so that it never outlives the stack."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eim_project.nursery import Nursery

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_HARMLESS = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}


class StackError(Exception):
    """Why the stack can't run, and the way out, in one line for the operator."""


def always() -> bool:
    return True


def nothing() -> None:
    return None


def no_input() -> int:
    return subprocess.DEVNULL


@dataclass(frozen=True)
class Program:
    name: str
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)  # on top of the stack's own
    apart: bool = False  # knows nothing of the stack's own environment, with its secrets
    ready: Callable[[], bool] = always  # quick, asked until it is true, and every few seconds from then on
    ready_line: str = ""  # ready when it has written this; for programs that listen nowhere
    before: Callable[[], None] = nothing  # before every start: clears away what a crash left
    stop_signal: int = signal.SIGTERM
    orphan_signal: int = (
        signal.SIGKILL
    )  # when the stack is killed; a worker that waits for a dead broker hears no other
    user: pwd.struct_passwd | None = None  # whom to run as, when not as the one who started the stack
    cwd: Path | None = None
    stdin: Callable[[], int] = no_input
    nursery: "Nursery | None" = None  # who forks it, when it isn't started by itself

    def popen_options(self) -> dict[str, Any]:
        """A session of its own, so that a Ctrl-C reaches only the stack, which then stops everything in order."""
        options: dict[str, Any] = {
            "env": {**(_HARMLESS if self.apart else os.environ), **self.environment},
            "cwd": self.cwd,
            "start_new_session": True,
            "preexec_fn": partial(die_with_parent, self.orphan_signal, os.getpid()),
        }
        if self.user:
            options |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return options


def die_with_parent(number: int, parent: int) -> None:
    """In the child, after the change of user that would undo it: get this signal when the parent goes, even by kill."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """Whoever loses its parent below this process becomes its child: so it has children that were forked elsewhere."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_group(leader: int, number: int = signal.SIGKILL) -> None:
    """Signal whoever is left of the process group that `leader` founded."""
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(leader, number)


def succeeds(argv: list[str]) -> bool:
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10).returncode == 0

"""The machine's consoles, screen and serial lines alike: all are told what happens, on any one somebody can log in."""

import asyncio
import os
import termios
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import EdgeError

ACTIVE = Path("/sys/class/tty/console/active")  # what the kernel's command line names by console=
DEVICES = Path("/dev")
LONGEST_ANSWER = 256  # characters
PAUSE_AFTER_REFUSAL_SECONDS = 2.0


@dataclass(frozen=True)
class Login:
    """What somebody typed."""

    username: str
    password: str = field(repr=False)
    project: str = ""  # its UUID, from who onboards machines of several


def active(listed: Path = ACTIVE, devices: Path = DEVICES) -> list[Path]:
    """The consoles there are, like /dev/tty0 and /dev/ttyS0."""
    try:
        names = listed.read_text().split()
    except OSError:
        return []
    return [devices / name for name in names if (devices / name).exists()]


def say(text: str) -> None:
    """On every console, and on standard output where there is none. A console that takes nothing is left out."""
    line = f"micro-OS {time.monotonic():.2f} {text}\n"
    told = False
    for console in active():
        with suppress(OSError), console.open("w") as out:
            out.write(line)
            told = True
    if not told:
        print(line, end="", flush=True)


async def log_in(consoles: list[Path], accept: Callable[[Login], Awaitable[None]]) -> None:
    """Prompt on all consoles at once until somebody's login is accepted on one of them.

    `accept` raises EdgeError, which is shown where it was typed, for one that isn't.
    """
    prompts = [asyncio.create_task(_prompt(console, accept)) for console in consoles]
    try:
        async for ended in _as_they_end(prompts):
            if not ended.exception():
                return
        raise EdgeError("no console of this machine can be read")
    finally:
        for prompt in prompts:
            prompt.cancel()
        await asyncio.gather(*prompts, return_exceptions=True)


async def _as_they_end(tasks: list["asyncio.Task[None]"]):
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            yield task


async def _prompt(console: Path, accept: Callable[[Login], Awaitable[None]]) -> None:
    terminal = os.open(console, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        ask_project = False
        while True:
            _write(terminal, "\r\nThis machine is not registered. Log in to onboard it, or register it.\r\n")
            username = await _ask(terminal, "username: ")
            with _unseen(terminal):
                password = await _ask(terminal, "password: ")
            project = await _ask(terminal, "\r\nproject (its UUID): ") if ask_project else ""
            _write(terminal, "\r\n")
            try:
                await accept(Login(username, password, project))
            except (EdgeError, OSError) as refused:
                _write(terminal, f"{refused}\r\n")
                ask_project = ask_project or "activeprojectid" in str(refused)
                await asyncio.sleep(PAUSE_AFTER_REFUSAL_SECONDS)
            else:
                return
    finally:
        os.close(terminal)


async def _ask(terminal: int, question: str) -> str:
    """The next line typed that isn't empty. The terminal itself does the editing of the line."""
    termios.tcflush(terminal, termios.TCIFLUSH)
    _write(terminal, question)
    typed = b""
    while True:
        await _readable(terminal)
        with suppress(BlockingIOError):
            typed += os.read(terminal, LONGEST_ANSWER)
        if typed.endswith((b"\n", b"\r")) or len(typed) > LONGEST_ANSWER:
            if answer := typed.decode(errors="replace").strip(" \t\r\n;"):
                return answer[:LONGEST_ANSWER]
            typed = b""
            _write(terminal, question)


async def _readable(terminal: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(terminal, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(terminal)


@contextmanager
def _unseen(terminal: int) -> Iterator[None]:
    """What is typed isn't shown."""
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _write(terminal: int, text: str) -> None:
    with suppress(BlockingIOError):  # a serial line that nobody reads holds only so much
        os.write(terminal, text.encode())

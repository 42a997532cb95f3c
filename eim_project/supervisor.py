"""Keeps programs running: starts them, waits until they answer, restarts what dies or hangs, and ends them all."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from eim_project import nursery
from eim_project.processes import Program, StackError, end_group

START_SECONDS = 90
STOP_SECONDS = 6  # then by force; first the clients, then the servers, and all of it in less than 15 s
PROBE_EVERY = 10.0  # seconds
PROBES_TO_FAIL = 18  # so many in a row, and a program is taken to hang; a web server full of downloads isn't
LONGEST_PAUSE = 30.0  # seconds between two starts of a program that keeps dying
LOG_BYTES = 10 * 2**20  # a log that has grown so large is set aside, and the one before it goes

Say = Callable[[str, str], None]  # who, what; one line


class Supervisor:
    def __init__(self, logs: Path, say: Say, heard: Say) -> None:
        """say tells the operator what the supervisor does; heard gets every line that a program writes."""
        self.logs, self.say, self.heard = logs, say, heard
        self._watched: list[_Watched] = []
        self._dead = 0, 0.0  # the pid of a child that has ended and that nobody has waited for, and since when
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, *programs: Program) -> None:
        """Start them together, return when all are ready; a StackError with its last words if one isn't."""
        fresh = [_Watched(program, self) for program in programs]
        self._watched += fresh
        await asyncio.gather(*(watched.start() for watched in fresh))

    async def output_of(self, program: Program) -> str:
        """Run a program to its end. What it complains about goes to its log, its last words into a StackError."""
        process = await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **program.popen_options(),
        )
        try:
            output, complaints = await process.communicate()
        finally:
            end_group(process.pid)
        log = self.logs / f"{program.name}.log"
        log.write_bytes(complaints)
        if process.returncode:
            said = (complaints or output).decode(errors="replace").splitlines()
            raise StackError(f"{program.name} failed: {last_words(said)} (more in {log})")
        return output.decode()

    async def stop(self, *names: str) -> None:
        """End the named programs (all, if none is named) and whatever they started."""
        ending = [watched for watched in self._watched if not names or watched.program.name in names]
        await asyncio.gather(*(watched.stop() for watched in ending))
        self._watched = [watched for watched in self._watched if watched not in ending]

    def names(self) -> list[str]:
        return [watched.program.name for watched in self._watched]

    def kill(self) -> None:
        """End everything at once, by force."""
        for watched in self._watched:
            watched.kill()

    def bury_strangers(self) -> None:
        """What a program of ours left behind when it was killed has become our child (processes.adopt_orphans).

        Nobody waits for it; so it is what has been dead for a while.
        """
        with suppress(ChildProcessError):  # there is none
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            pid, now = dead.si_pid if dead else 0, time.monotonic()
            if pid and pid == self._dead[0] and now - self._dead[1] > PROBE_EVERY / 2:
                os.waitpid(pid, os.WNOHANG)
            if pid != self._dead[0]:
                self._dead = pid, now


class _Watched:
    """One program: its process, its log, its restarts."""

    process: subprocess.Popen | nursery.Child

    def __init__(self, program: Program, supervisor: Supervisor) -> None:
        self.program, self._supervisor = program, supervisor
        self._log = supervisor.logs / f"{program.name}.log"
        self._tail: deque[str] = deque(maxlen=20)
        self._said_ready = asyncio.Event()
        self._reader: asyncio.Task | None = None
        self._keeper: asyncio.Task | None = None

    async def start(self) -> None:
        await self._spawn()
        await self._become_ready()
        self._keeper = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
        if self._reader is None:
            return  # was never started
        self.process.send_signal(self.program.stop_signal)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):  # wait_for() of Python 3.11 may lose a cancellation
                await self._ended()
        self.kill()
        await self._ended()
        await self._drain()

    def kill(self) -> None:
        if self._reader:
            end_group(self.process.pid)

    async def _spawn(self) -> None:
        await asyncio.to_thread(self.program.before)
        self._said_ready.clear()
        read, write = os.pipe()  # which grandchildren may hold longer than the program lives
        try:
            self.process = nursery.start(self.program, write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._reader = asyncio.create_task(self._copy_output(read))

    async def _become_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not await self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"{self.program.name} doesn't start: {await self._last_words()}")
            await asyncio.sleep(0.1)

    async def _is_ready(self) -> bool:
        if self.program.ready_line and not self._said_ready.is_set():
            return False
        return await asyncio.to_thread(self.program.ready)

    async def _keep_running(self) -> None:
        pause = 1.0
        while True:
            born = time.monotonic()
            why = await self._end_of_life()
            end_group(self.process.pid)  # what it started must not live beside its successor
            if time.monotonic() - born > 2 * LONGEST_PAUSE:
                pause = 1.0
            self._supervisor.say(self.program.name, f"{why}; starting it again in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await self._spawn()
                await self._become_ready()
                self._supervisor.say(self.program.name, "runs again")
            except (OSError, StackError) as error:
                self._supervisor.say(self.program.name, str(error))

    async def _end_of_life(self) -> str:
        failures = 0
        while failures < PROBES_TO_FAIL:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY):
                    status = await self._ended()
                return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            self._supervisor.bury_strangers()
            failures = 0 if await self._is_ready() else failures + 1
        end_group(self.process.pid)
        await self._ended()
        return f"hasn't answered for {PROBES_TO_FAIL * PROBE_EVERY:.0f} s and was killed"

    async def _ended(self) -> int:
        """With which status; below zero, it is the signal that ended it."""
        while (status := self.process.poll()) is None:
            ended, loop, pidfd = asyncio.Event(), asyncio.get_running_loop(), os.pidfd_open(self.process.pid)
            loop.add_reader(pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        return status

    async def _copy_output(self, pipe: int) -> None:
        reader = asyncio.StreamReader(limit=2**20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
        )
        while line := await _line(reader):
            self._write(line)
            self._tail.append(line)
            if self.program.ready_line and self.program.ready_line in line:
                self._said_ready.set()
            self._supervisor.heard(self.program.name, line)
        transport.close()

    def _write(self, line: str) -> None:
        with suppress(OSError), self._log.open("a") as log:  # a full disk must not stop who only wants to talk
            log.write(f"{line}\n")
            if log.tell() > LOG_BYTES:
                self._log.rename(self._log.with_suffix(".log.1"))

    async def _last_words(self) -> str:
        await self._drain()
        return f"{last_words(self._tail)} (more in {self._log})"

    async def _drain(self) -> None:
        """Take in what a process that has ended still has in the pipe."""
        if self._reader:
            await asyncio.wait([self._reader], timeout=1)


def last_words(lines: Iterable[str]) -> str:
    """The line that says best why a program ended: the last that names an error, else the very last."""
    said = [line for line in lines if line.strip()]
    errors = [line for line in said if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit): ", line)]
    return (errors or said or ["it said nothing"])[-1]


async def _line(reader: asyncio.StreamReader) -> str:
    """The next line, blank ones left out; empty at the end."""
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            return "(a line longer than 1 MB)"
        if not line or line.strip():
            return line.decode(errors="replace").rstrip()

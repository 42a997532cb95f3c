"""Follows the server's word on updates: asks, waits for the window, prepares, installs, and tells how it went.

Once begun, an update is carried through, also where the machine was switched off in the middle, the server is away or
the window closes: a system half updated is worse than one updated late.
"""

import asyncio
import hashlib
import json
import logging
import subprocess
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge import windows
from edge.agent.failure import UpdateFailed
from edge.agent.memory import Job, Memory, Wanted, boot_id
from edge.link import RPC_SECONDS, Token
from wire import maintmgr_pb2 as mm

log = logging.getLogger(__name__)

ENDS = (mm.UpdateStatus.STATUS_TYPE_UPDATED, mm.UpdateStatus.STATUS_TYPE_FAILED)
POLL_SECONDS = 20.0  # as the archived system's agent
TRIES = 3  # of an update that is cut off again and again, before it counts as failed
AT_ONCE_SECONDS = 600.0  # before its window, an image is downloaded at once; earlier, at a moment of its own
CLOCK_SLACK_SECONDS = 300.0  # what was done later than now, by more than this, was done by a clock that was wrong


class System(Protocol):
    """What is updated: packages, or images."""

    os_type: mm.PlatformUpdateStatusResponse.OSType.ValueType

    def available(self) -> str: ...
    def refresh(self) -> None: ...
    def asked_for(self, answer: mm.PlatformUpdateStatusResponse) -> Wanted | None: ...
    def is_prepared(self, wanted: Wanted) -> bool: ...
    def prepare(self, wanted: Wanted) -> None: ...
    def install(self, job: Job) -> bool: ...
    def after_reboot(self, job: Job) -> None: ...
    def keep(self, job: Job) -> None: ...


def reboot() -> None:
    subprocess.run(["systemctl", "reboot"], check=True)


class Updates:
    """The updates of one machine. `restart` starts it again; clock: seconds since 1970."""

    def __init__(
        self,
        system: System,
        memory: Memory,
        token: Token,
        guid: str,
        *,
        restart: Callable[[], None] = reboot,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.system, self.memory, self.token, self.guid = system, memory, token, guid
        self.restart, self.clock = restart, clock
        self.working: asyncio.Task | None = None
        self.alone = asyncio.Lock()  # with apt
        self.heard = asyncio.Event()  # the server answered since this process began

    @property
    def is_busy(self) -> bool:
        """Whether a restart of this process would cut something off."""
        return self.working is not None and not self.working.done()

    async def poll(self, stub: Any) -> None:
        """Tell the server, and follow what it says; tell it at once what that changes."""
        told = None
        while told is None or told.status_type != self._status():
            told = await self._report()
            answer = await stub.PlatformUpdateStatus(
                mm.PlatformUpdateStatusRequest(host_guid=self.guid, update_status=told),
                metadata=await self.token.metadata(), timeout=RPC_SECONDS,
            )  # fmt: skip
            self.heard.set()
            if told.status_type in ENDS and self._status() == told.status_type:
                self.memory.status, self.memory.detail = "UP_TO_DATE", ""
                self.memory.save()
            if self.working is not None and self.working.done():
                self.working.result()  # what it raised is a mistake of ours, and ends the agent with its trace
                self.working = None
            if self.working is None and self.memory.status in ("UP_TO_DATE", "DOWNLOADED"):
                self._consider(answer)
                await asyncio.sleep(0)  # what has begun says so

    async def refresh(self) -> None:
        """Look at what there is to update to."""
        if not self.is_busy:
            async with self.alone:
                await asyncio.to_thread(self.system.refresh)

    def _status(self) -> int:
        return mm.UpdateStatus.StatusType.Value(f"STATUS_TYPE_{self.memory.status}")

    async def _report(self) -> mm.UpdateStatus:
        memory = self.memory
        told = mm.UpdateStatus(status_detail=memory.detail)
        told.status_type = self._status()  # type: ignore[assignment]
        told.profile_name = memory.image.get("profile_name", "")
        told.profile_version = memory.image.get("profile_version", "")
        told.os_image_id = memory.image.get("image_id", "")
        if not self.is_busy:
            told.os_update_available = await asyncio.to_thread(self.system.available)
        return told

    def _consider(self, answer: mm.PlatformUpdateStatusResponse) -> None:
        self.memory.detail = ""
        if answer.os_type != self.system.os_type:
            ours, theirs = map(mm.PlatformUpdateStatusResponse.OSType.Name, (self.system.os_type, answer.os_type))
            self.memory.detail = f"not updated: this system is {ours}, the server says {theirs}"
            return
        wanted, now = self.system.asked_for(answer), self.clock()
        if self.memory.status == "DOWNLOADED" and (wanted is None or not self.system.is_prepared(wanted)):
            self.memory.status = "UP_TO_DATE"
        if wanted is None:
            return
        schedule = answer.update_schedule
        opened = windows.opened_at(schedule, now)
        if opened is not None and not self._was_done(wanted, opened, now):
            self._begin(self._install(Job(wanted, began=now)))
        elif opened is None and not self.system.is_prepared(wanted):
            opens = windows.opens_at(schedule, now)
            is_time = opens is not None and now >= opens - self._earlier_by(wanted)
            if is_time and not self._was_done(wanted, now - windows.EARLIER_BY, now):
                self._begin(self._prepare(wanted))

    def _was_done(self, wanted: Wanted, since: float, now: float) -> bool:
        done = self.memory.done.get(wanted.key(), 0.0)
        return since <= done <= now + CLOCK_SLACK_SECONDS

    def _earlier_by(self, wanted: Wanted) -> float:
        """Seconds before its window: each machine's own, or all would download at once."""
        drawn = int.from_bytes(hashlib.sha256(f"{self.guid}{wanted.key()}".encode()).digest()[:4]) / 2**32
        return AT_ONCE_SECONDS + drawn * (windows.EARLIER_BY - AT_ONCE_SECONDS)

    def _begin(self, work: Any) -> None:
        self.working = asyncio.create_task(work)

    # The work ---------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with what was under way when this process, or the machine, went off."""
        if self.is_busy:
            return
        job, memory = self.memory.job, self.memory
        if memory.status == "DOWNLOADING":
            memory.status = "UP_TO_DATE"
        elif job is not None and job.stage == "rebooting":
            self._begin(self._after_reboot(job))
        elif job is not None:
            self._begin(self._install(job))

    async def _prepare(self, wanted: Wanted) -> bool:
        self.memory.status = "DOWNLOADING"
        try:
            await asyncio.to_thread(self.system.prepare, wanted)
        except (UpdateFailed, OSError) as failure:
            self._note_done(wanted)
            self._fail(failure)
            return False
        self.memory.status = "DOWNLOADED"
        self.memory.save()
        return True

    async def _install(self, job: Job) -> None:
        memory = self.memory
        if not self.system.is_prepared(job.wanted) and not await self._prepare(job.wanted):
            return
        memory.status, memory.detail, memory.job = "STARTED", "", job
        job.tries += 1
        memory.save()
        log.info("update begins, try %d of %d", job.tries, TRIES)
        try:
            if job.tries > TRIES:
                raise UpdateFailed(f"the update was cut off {TRIES} times")
            async with self.alone:
                needs_reboot = await asyncio.to_thread(self.system.install, job)
            if needs_reboot:
                job.stage, job.boot_id = "rebooting", boot_id()
                memory.save()
                await self._restart()
                return
        except (UpdateFailed, OSError, subprocess.SubprocessError) as failure:
            self._note_done(job.wanted)
            self._fail(failure)
            return
        self._succeed(job)

    async def _restart(self) -> None:
        log.info("the machine restarts to bring the update into use")
        await asyncio.to_thread(self.restart)
        await asyncio.Event().wait()  # until the restart ends this process

    async def _after_reboot(self, job: Job) -> None:
        if job.boot_id == boot_id():
            return await self._restart()
        try:
            await asyncio.to_thread(self.system.after_reboot, job)
            await self.heard.wait()  # a system that doesn't reach its server isn't one to keep
            await asyncio.to_thread(self.system.keep, job)
        except (UpdateFailed, OSError, subprocess.SubprocessError) as failure:
            self._note_done(job.wanted)
            return self._fail(failure)
        self._succeed(job)

    def _succeed(self, job: Job) -> None:
        self._note_done(job.wanted)
        detail = json.dumps({"update_log": job.log})
        log.info("updated: %s", ", ".join(f"{it['package_name']} {it['version']}" for it in job.log) or "nothing newer")
        self.memory.ended("UPDATED", detail, job.log, self.clock())

    def _fail(self, failure: Exception) -> None:
        known = failure if isinstance(failure, UpdateFailed) else UpdateFailed(str(failure))
        entries = [*(self.memory.job.log if self.memory.job else []), known.entry()]
        log.info("update failed: %s", known)
        self.memory.ended("FAILED", json.dumps({"update_log": entries}), entries, self.clock())

    def _note_done(self, wanted: Wanted) -> None:
        done = self.memory.done | {wanted.key(): self.clock()}
        self.memory.done = dict(sorted(done.items(), key=lambda item: item[1])[-20:])

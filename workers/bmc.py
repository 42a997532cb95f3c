"""What keeps an eye on all machines' power, and does what is wished of it: one process beside the other workers.

Talks with management controllers are slow, and some never end, so they have threads of their own without a connection
to the database; all the database's work is done by the one thread that hands them out. A controller that failed is
asked again after a growing pause, and only on slots that the others don't need: so it delays none of them.
"""

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connections
from django_tenants.utils import schema_context

from inventory.models import Host, PowerState
from tenants import schema
from tenants.errors import Gone
from tenants.events import acting_as
from tenants.models import Project
from workers import activation, engine, models, power
from workers.drivers.base import Driver, Fault, Machine, Unable
from workers.models import Due, Queue

log = logging.getLogger(__name__)

SLOTS = 64  # looks at once at controllers that answered the last time
DOUBTFUL = 32  # and at those that didn't
HANDS = 8  # wishes that are worked on at once
LOOK_EVERY = 0.25  # seconds, for what is due
CLEAN_EVERY = 600  # seconds, for profiles of projects that are gone
ME = "HostPower"  # as the journal has it


@dataclass(frozen=True)
class Seen:
    due: Due
    state: PowerState | None
    why: str = ""  # there is none


class Watcher:
    """Looks at the machines that are due."""

    def __init__(self, slots: int = SLOTS, doubtful: int = DOUBTFUL) -> None:
        self.free = {False: slots, True: doubtful}
        self.late = 0.0  # seconds that the latest look came late, at most, among those that answered before
        self._threads = ThreadPoolExecutor(slots + doubtful, thread_name_prefix="look")
        self._seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self._drivers: dict[tuple[str, int], tuple[Machine, Driver]] = {}

    def step(self) -> bool:
        """Hand out what is due, and write down what has been seen meanwhile. True if there was something to do."""
        did = False
        for doubtful, free in self.free.items():
            if free:
                due = models.claim_watches(free, timedelta(seconds=settings.POWER_POLL), doubtful=doubtful)
                self.late = max([self.late, *(one.late for one in due if not doubtful)])
                self._hand_out(due)
                did = did or bool(due)
        while not self._seen.empty():
            self._write_down(self._seen.get())
            did = True
        return did

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for _, driver in self._drivers.values():
            driver.close()

    def _hand_out(self, due: list[Due]) -> None:
        by_schema: dict[str, dict[int, Due]] = defaultdict(dict)
        for one in due:
            by_schema[one.schema][one.target] = one
        for name, theirs in by_schema.items():
            hosts = _hosts(name, [*theirs])
            models.unwatch([one.pk for target, one in theirs.items() if target not in hosts])
            for target in theirs.keys() - hosts.keys():
                self._forget(name, target)
            tenant = Project.objects.filter(schema_name=name).values_list("uuid", flat=True).first()
            for target, host in hosts.items():
                self._look(theirs[target], host, tenant)

    def _look(self, due: Due, host: Host, tenant: UUID) -> None:
        try:
            driver = self._driver(due, host, tenant)
        except Unable as never:
            return self._write_down(Seen(due, None, str(never)), taken=False)
        self.free[bool(due.failures)] -= 1
        self._threads.submit(self._ask, due, driver).add_done_callback(_told)

    def _driver(self, due: Due, host: Host, tenant: UUID) -> Driver:
        """The one of the last time, with its open connection, unless the provider has changed."""
        kind, machine = power.driver_for(host, tenant)
        kept = self._drivers.get((due.schema, due.target))
        if kept is None or kept[0] != machine:
            self._forget(due.schema, due.target)
            kept = self._drivers[due.schema, due.target] = machine, kind(machine)
        return kept[1]

    def _forget(self, schema: str, target: int) -> None:
        if kept := self._drivers.pop((schema, target), None):
            kept[1].close()

    def _ask(self, due: Due, driver: Driver) -> None:
        """On a thread of its own."""
        seen = Seen(due, None, "Looking at it failed; the server's log says why")
        try:
            seen = Seen(due, driver.get())
        except (Fault, Unable) as fault:
            seen = Seen(due, None, str(fault))
        finally:
            self._seen.put(seen)

    def _write_down(self, seen: Seen, *, taken: bool = True) -> None:
        """If it is what was seen before, there is nothing to write: the next look is set already."""
        due = seen.due
        self.free[bool(due.failures)] += taken
        said = str(seen.state) if seen.state is not None else seen.why
        if seen.state is None:
            after = power.pause(due.failures + 1)
            models.looked(due.schema, due.target, said, due.failures + 1, after)
            self._forget(due.schema, due.target)
        elif said != due.seen or due.failures:
            models.looked(due.schema, due.target, said, 0, timedelta(seconds=settings.POWER_POLL))
        if said != due.seen or (due.failures and seen.state is not None):
            _tell(due, seen)


def _told(look: Future) -> None:
    if not look.cancelled() and (fault := look.exception()):
        log.error("a talk failed", exc_info=fault)


def _hosts(name: str, targets: list[int]) -> dict[int, Host]:
    """Those that can be switched yet."""
    with schema_context(name):
        if not schema.exists(name):
            return {}
        rows = Host.objects.filter(power.switchable(), pk__in=targets)
        return {host.pk: host for host in rows.select_related("power_provider", "provider").only(*_COLUMNS)}


_COLUMNS = (
    "resource_id", "uuid", "serial_number", "bmc_ip", "current_amt_state", "power_provider", "provider",
    *(f"{via}__{name}" for via in ("power_provider", "provider") for name in (
        "resource_id", "name", "provider_kind", "provider_vendor", "api_endpoint", "credentials_sealed", "config",
    )),
)  # fmt: skip


def _tell(due: Due, seen: Seen) -> None:
    with schema_context(due.schema), acting_as(ME):
        host = Host.objects.filter(pk=due.target).first()
        try:
            if host is None:
                return
            if seen.state is None:
                power.failed(host, seen.why)
            else:
                power.saw(host, seen.state)
        except Gone:
            log.debug("gone before it could be told", extra={"resource_id": str(host)})


# The process ---------------------------------------------------------------------------------------------------------


def run(stop: threading.Event) -> None:
    """Until told to stop: watch, and do what is on the queue."""
    hands = threading.Semaphore(HANDS)
    cleaned = time.monotonic()

    def do(work: Callable, *about: object) -> None:
        try:
            work(*about)
        finally:
            connections.close_all()  # wishes are rare; a connection for each hand isn't kept open for them
            hands.release()

    with closing(Watcher()) as watcher, ThreadPoolExecutor(HANDS, thread_name_prefix="wish") as threads:
        while not stop.is_set():
            began = time.monotonic()
            close_old_connections()
            watcher.step()
            while hands.acquire(blocking=False):
                work = models.claim(Queue.BMC, engine.lease())
                if work is None:
                    hands.release()
                    break
                threads.submit(do, engine.run, work).add_done_callback(_told)
            if time.monotonic() - cleaned > CLEAN_EVERY and hands.acquire(blocking=False):
                cleaned = time.monotonic()
                threads.submit(do, activation.clean).add_done_callback(_told)
            stop.wait(max(0.0, LOOK_EVERY - (time.monotonic() - began)))
    connections.close_all()

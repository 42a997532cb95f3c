"""Which machines have something to do: they ask every few seconds, by the thousand, and mostly there is nothing.

Those that ask while the question before is under way are asked about together, in one statement about a table that all
tenants share. So the more of them ask at once, the less each costs, and no queue of them grows.
"""

import asyncio
from uuid import UUID

from django.db import connection

from provisioning.models import ACTIVE
from workers.southbound import in_database

BATCH = 500  # machines in one question

_WITH_RUNS = "SELECT schema, host_uuid FROM provisioning_workflow WHERE host_uuid = ANY(%s) AND state = ANY(%s)"

Machine = tuple[str, UUID]  # its tenant's schema, and its own UUID


class Polls:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Machine, asyncio.Future[bool]]] = []
        self._asking: asyncio.Task | None = None

    async def has_run(self, machine: Machine) -> bool:
        """Whether it has a run on its way."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((machine, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            told: set[Machine] | Exception
            try:
                told = await in_database(with_runs, [host_uuid for (_, host_uuid), _ in batch], poll=True)
            except Exception as fault:  # of whatever kind: each of those who asked is told
                told = fault
            for machine, answer in batch:
                if answer.done():  # its caller has gone
                    continue
                if isinstance(told, Exception):
                    answer.set_exception(told)
                else:
                    answer.set_result(machine in told)
        self._asking = None


def with_runs(host_uuids: list[UUID]) -> set[Machine]:
    """Of these, those that have a run on its way. Call from public.

    In SQL: it is asked many times a second, and Django would be at making it for longer than Postgres at answering.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITH_RUNS, [host_uuids, [*map(str, ACTIVE)]])
        return {*cursor.fetchall()}


_polls: dict[asyncio.AbstractEventLoop, Polls] = {}


def polls() -> Polls:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _polls:
        _polls[loop] = Polls()
    return _polls[loop]

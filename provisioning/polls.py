"""Which machines have something to do: they ask every few seconds, by the thousand, and mostly there is nothing.

Those that ask while the question before is under way are asked about together, in one statement about a table that all
tenants share. So the more of them ask at once, the less each costs, and no queue of them grows.
"""

import asyncio
from uuid import UUID

from django.db import connection

from provisioning.models import ACTIVE
from workers.southbound import OnceALoop, in_database

_WITH_RUNS = "SELECT schema, host_uuid FROM provisioning_workflow WHERE host_uuid = ANY(%s) AND state = ANY(%s)"

Machine = tuple[str, UUID]  # its tenant's schema, and its own UUID


class Polls:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._waiting: list[UUID] = []
        self._next: asyncio.Task[set[Machine]] | None = None  # asked when the one before is answered
        self._one_at_a_time = asyncio.Lock()

    async def has_run(self, machine: Machine) -> bool:
        """Whether it has a run on its way."""
        self._waiting.append(machine[1])
        if self._next is None:
            self._next = asyncio.create_task(self._ask())
        return machine in await asyncio.shield(self._next)  # it is others' too

    async def _ask(self) -> set[Machine]:
        async with self._one_at_a_time:
            asked, self._waiting, self._next = self._waiting, [], None
            return await in_database(with_runs, asked, poll=True)


def with_runs(host_uuids: list[UUID]) -> set[Machine]:
    """Of these, those that have a run on its way. Call from public.

    In SQL: it is asked many times a second, and Django would be at making it for longer than Postgres at answering.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITH_RUNS, [host_uuids, [*map(str, ACTIVE)]])
        return {*cursor.fetchall()}


polls = OnceALoop(Polls)

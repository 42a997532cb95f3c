"""Resources as they were sent last. Clients poll, and most of what they ask for hasn't changed since.

To ask whether any of the rows that a host is shown by was written since takes a sixth of reading and showing it. It is
asked each time, and of Postgres: nothing is shown that a transaction, a worker or another server has changed meanwhile.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import orjson
from django.db import connection
from django.db.models import CharField, Func

from inventory.api.fields import Derived
from inventory.api.reading import array, fetch, reader, statement

WIDE = 50  # columns, from which on it takes less to ask whether a resource has changed than to read it
MOST = 1000  # resources of a kind that are kept; a host takes 10 KB


class Version(Func):
    """Which rows of the database a resource is shown by: while it is the same, so is all that they say.

    A row that was written since is in another place (ctid), or by another transaction (xmin); another tenant's is in
    another table; and a server that was put back to what it was before has another start.
    """

    output_field = CharField()

    def as_sql(self, compiler, connection, **_):
        tables = [compiler.quote_name_unless_alias(of_each.alias) for of_each in self.get_source_expressions()]
        rows = ", ".join(f"{table}.xmin, {table}.ctid" for table in tables)
        return f"ROW((SELECT pg_postmaster_start_time()), {tables[0]}.tableoid, {rows})::text", []


@dataclass(frozen=True, slots=True)
class Kept:
    version: str
    updated_at: datetime
    json: bytes
    of: dict  # what some of it is derived from
    derived: list  # and what that was


class Keeper:
    """Sends resources of one kind."""

    def __init__(self, serializer: type) -> None:
        self._source = source = reader(serializer)
        derived = {name: it for name, it in serializer().fields.items() if isinstance(it, Derived)}
        self._derived, self._of = [*derived], {name for it in derived.values() for name in it.of}
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()  # by schema and id
        self._asked: OrderedDict[tuple[str, str], None] = OrderedDict()  # the last that were asked for
        some = source.rows.model.objects.order_by().filter(resource_id__any=[])
        version, lists = Version(*source.joined), [source.columns[each.place] for each in source.lists]
        self._everything = statement(some.values_list(*source.columns, "updated_at", version))
        self._versions = statement(some.values_list("resource_id", version, *lists))

    def is_polled(self, ids: Sequence[str]) -> bool:
        """Whether most of these were asked for a short while ago. Who reads a long list to its end asks for each once:

        nothing of that is worth keeping, nor forgetting for it what others poll.
        """
        schema = connection.schema_name
        asked = [(schema, resource_id) for resource_id in ids]
        new = [one for one in asked if one not in self._asked]
        self._asked.update(dict.fromkeys(new))
        while len(self._asked) > MOST:
            self._asked.popitem(last=False)
        return 2 * len(new) < len(ids)

    def sent(self, ids: Sequence[str], complete: Callable[[list[dict]], None]) -> dict[str, Kept]:
        """These resources, by their ids, in their order; without those that aren't there.

        complete: fills in what is derived from others, each time: they may have changed although these rows haven't.
        """
        schema = connection.schema_name
        found = self._unchanged(schema, ids, complete)
        missing = [resource_id for resource_id in ids if resource_id not in found]
        rows = fetch(self._everything, [array(missing)]) if missing else []
        page = self._source.page(rows)
        complete(page)
        for row, resource in zip(rows, page, strict=True):
            json = bytes(memoryview(orjson.dumps(resource)))  # without the room that orjson had for more
            of, derived = {name: resource[name] for name in self._of}, [resource[name] for name in self._derived]
            found[resource["resourceId"]] = kept = Kept(row[-1], row[-2], json, of, derived)
            if not any(row[each.place] for each in self._source.lists):  # what is in them has rows of its own
                self._kept[schema, resource["resourceId"]] = kept
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return {resource_id: found[resource_id] for resource_id in ids if resource_id in found}

    def _unchanged(self, schema: str, ids: Sequence[str], complete: Callable[[list[dict]], None]) -> dict[str, Kept]:
        """Those that are kept and still so; nobody is asked where most are not kept."""
        kept = {resource_id: found for resource_id in ids if (found := self._kept.get((schema, resource_id)))}
        if not kept or 2 * len(kept) < len(ids):
            return {}
        now = {
            resource_id: version
            for resource_id, version, *lists in fetch(self._versions, [array(ids)])
            if not any(lists)
        }
        kept = {resource_id: found for resource_id, found in kept.items() if now.get(resource_id) == found.version}
        page = {resource_id: {**found.of} for resource_id, found in kept.items()}
        complete([*page.values()])
        return {
            resource_id: found for resource_id, found in kept.items()
            if [page[resource_id][name] for name in self._derived] == found.derived
        }  # fmt: skip


@cache
def keeper(serializer: type) -> Keeper | None:
    """Of what has many columns; the others' rows are read as fast as versions."""
    return Keeper(serializer) if len(reader(serializer).columns) >= WIDE else None

"""The compiled read path: from a serializer's declaration, one query of plain rows and a function for what GET answers.

The serializer's fields name columns, the query fetches rows of them, and a function generated once for each serializer
turns a row into what goes over the wire. No model instances are made, so a page of 100 hosts costs what its SQL costs.

What is read by ids has SQL that never changes. It is written once, and Postgres keeps its plan: to plan the joins of
a host takes ten times as long as to find it. So lists find their ids first: the joins are then made for a page alone.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import orjson
from django.db import NotSupportedError, connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import CharField, Func, JSONField, Model, QuerySet
from rest_framework import serializers

from inventory.api.fields import (
    EMPTY,
    Constant,
    Flag,
    HardwarePart,
    Nested,
    NestedMany,
    Reference,
    Retired,
    Rfc3339,
    SecretTexts,
    Texts,
    Uint64,
    Uuid,
)  # fmt: skip

MOST_PLANS = 24  # that a connection keeps; a host's takes 380 KB of Postgres' memory


class JsonText(Func):
    """A JSON document as its text, which orjson reads in half the time that Django's own way takes."""

    template = "%(expressions)s::text"
    output_field = CharField()


Columns = list[str | Rfc3339 | JsonText]


@dataclass(frozen=True)
class Reader:
    """Reads resources of one kind."""

    rows: QuerySet  # all of them, in no order, as plain rows; to derive others from
    columns: Columns  # of a row
    as_json: Callable[[list], dict]
    documents: tuple[int, ...]  # which columns are JSON
    lists: tuple["Filler", ...]

    def page(self, rows: Iterable[tuple]) -> list[dict]:
        """What GET answers of these rows, which are `self.rows`, filtered and ordered."""
        page = [self.as_json(self._read(row)) for row in rows]
        for filler in self.lists:
            filler.fill(page)
        return page

    def find(self, ids: Sequence[str]) -> list[tuple]:
        """The rows of these resources, in their order; without those that aren't there."""
        place = self.columns.index("resource_id")
        rows = {row[place]: row for row in fetch(self._some, [[*ids]])} if ids else {}
        return [rows[resource_id] for resource_id in ids if resource_id in rows]

    def find_one(self, resource_id: str) -> list[tuple]:
        """The row of this resource, if it is there. Not find(), whose plan is for many, and so isn't kept for one."""
        return fetch(self._one, [resource_id])

    def _read(self, row: tuple) -> list:
        read = [*row]
        for place in self.documents:
            if (text := read[place]) is not None:
                read[place] = orjson.loads(text)
        return read

    @cached_property
    def _some(self) -> str:
        return self._finding(resource_id__any=[])

    @cached_property
    def _one(self) -> str:
        return self._finding(resource_id="")

    def _finding(self, **wanted) -> str:
        return self.rows.filter(**wanted).query.sql_with_params()[0]


class _PreparedCursor(ServerBindingCursor):
    def _convert_query(self, query, params=None):
        """Kept for whoever looks at the statements of a connection, which psycopg does for unprepared ones alone."""
        self._query = super()._convert_query(query, params)
        return self._query


def fetch(sql: str, params: Sequence[Any]) -> list[tuple]:
    """The rows of a statement that is always the same but for its parameters; its plan is kept by the connection.

    Postgres plans it anew where search_path has changed since: a plan is of one schema's tables alone.
    """
    with connection.cursor() as cursor:
        session = connection.connection
        session.prepare_threshold, session.prepared_max = 0, MOST_PLANS
        cursor.cursor = _PreparedCursor(session)
        try:
            cursor.execute(sql, params)
        except NotSupportedError:
            if connection.in_atomic_block:
                raise
            # A migration has changed the type of a column: "cached plan must not change result type".
            session.execute("DEALLOCATE ALL")
            cursor.execute(sql, params)
        return cursor.fetchall()


@dataclass(frozen=True)
class Filler:
    """Fills in a list of other resources, for all resources of a page by one query."""

    path: tuple[str, ...]  # from the resource to the object that has the list
    name: str
    field: NestedMany

    def fill(self, page: list[dict]) -> None:
        holders: dict[str, list[dict]] = {}
        for resource in page:
            at: Any = resource
            for step in self.path:
                at = at and at[step]
            if at and at["resourceId"]:
                holders.setdefault(at["resourceId"], []).append(at)
        if not holders:
            return
        inner = reader(self.field.serializer, self.field.without, self.field.edge)
        rows = fetch(self._statement, [[*holders]])
        for row, shown in zip(rows, inner.page(rows), strict=True):
            for holder in holders[row[-1]]:
                holder[self.name] = [*holder[self.name], shown]
                if self.field.ids:
                    holder[self.field.ids] = [*holder[self.field.ids], shown["resourceId"]]

    @cached_property
    def _statement(self) -> str:
        # Filtered first: over a table between, a filter after the columns were chosen would join it once more.
        wanted = self.field.serializer.Meta.model.objects.filter(**{f"{self.field.edge}__any": []})
        columns, _, _ = _compiled(self.field.serializer, self.field.without, self.field.edge)
        return wanted.order_by("resource_id").values_list(*columns).query.sql_with_params()[0]


@cache
def reader(serializer: type, without: Set[str] = frozenset(), beside: str | None = None) -> Reader:
    """beside: one column more, the row's last, for the caller's own use.

    The query is kept, for choosing its 90 columns takes Django longer than Postgres takes to find a host.
    """
    columns, source, lists = _compiled(serializer, without, beside)
    rows = serializer.Meta.model.objects.order_by().values_list(*columns)
    documents = tuple(place for place, column in enumerate(columns) if isinstance(column, JsonText))
    as_json = eval(f"lambda row: {source}", dict(_NAMES))  # noqa: S307  our own, no input
    return Reader(rows, columns, as_json, documents, tuple(lists))


@cache
def _compiled(serializer: type, without: Set[str], beside: str | None) -> tuple[Columns, str, list[Filler]]:
    columns: Columns = []
    lists: list[Filler] = []
    source = _object(serializer(), without, "", (), columns, lists)
    if beside:
        columns.append(beside)
    return columns, source, lists


_NAMES: dict[str, Any] = {}  # what generated functions call


def _object(
    serializer: serializers.Serializer, without: Set[str], prefix: str, path: tuple, columns: Columns, lists: list
) -> str:
    model = serializer.Meta.model if hasattr(serializer, "Meta") else None
    items = []
    for name, field in serializer.fields.items():
        if name in without:
            items.append(f"{name!r}: {empty_of(field)!r}")
            continue
        if isinstance(field, NestedMany):
            lists.append(Filler(path, name, field))
        items.append(f"{name!r}: {_value(field, model, prefix, (*path, name), columns, lists)}")
    return "{" + ", ".join(items) + "}"


def _value(
    field: serializers.Field, model: type[Model] | None, prefix: str, path: tuple, columns: Columns, lists: list
) -> str:
    match field:
        case NestedMany() | Constant() | Retired() | SecretTexts():
            return repr(empty_of(field))
        case Nested():
            inner = field.serializer()
            below = f"{prefix}{field.source.replace('.', '__')}__"
            there = _column(f"{below}resource_id", columns)
            shown = _object(inner, field.without, below, path, columns, lists)
            return f"({shown} if {there} is not None else {_absent(field)!r})"
        case serializers.BaseSerializer():  # timestamps: columns of the same resource under a name of their own
            return _object(field, frozenset(), prefix, path, columns, lists)
        case Reference():
            return f"({_column(f'{prefix}{field.source}_id', columns)} or '')"
        case HardwarePart():
            _NAMES[f"shown_{field.part}"] = field.shown
            document = _column(JsonText(f"{prefix}{field.source}"), columns)
            return f"[*map(shown_{field.part}, {document}[{field.part!r}])]"
    if model and model._meta.get_field(field.source).many_to_many:
        return "[]"  # ids that a NestedMany fills in
    name = f"{prefix}{field.source}"
    if isinstance(field, serializers.DateTimeField):
        column = _column(Rfc3339(name), columns)
    elif model and isinstance(model._meta.get_field(field.source), JSONField):
        column = _column(JsonText(name), columns)
    else:
        column = _column(name, columns)
    match field:
        case Uint64():
            return f"str({column} or 0)"
        case Uuid() | serializers.UUIDField():
            given = getattr(field, "as_given", "")
            text = f"{_column(f'{prefix}{given}', columns)} or str({column})" if given else f"str({column})"
            return f"({text} if {column} else '')"
    if model and model._meta.get_field(field.source).null:
        return f"({column} if {column} is not None else {empty_of(field)!r})"
    return column


def _column(column: str | Rfc3339 | JsonText, columns: Columns) -> str:
    if column not in columns:
        columns.append(column)
    return f"row[{columns.index(column)}]"


# How nothing looks ------------------------------------------------------------------------------------------------


def empty_of(field: serializers.Field) -> Any:
    """What old clients find where nothing is: never a missing name."""
    match field:
        case Constant():
            return field.value
        case NestedMany() | HardwarePart() | Texts() | serializers.ListField() | serializers.JSONField():
            return []
        case Nested():
            return _absent(field)
        case serializers.BaseSerializer():
            return None
        case Flag() | serializers.BooleanField():
            return False
        case Uint64():
            return "0"
        case serializers.IntegerField():
            return 0
        case serializers.ChoiceField():
            return next(iter(field.choices), "")
    return ""


def _absent(field: Nested) -> Any:
    if field.absent != EMPTY:
        return None
    return {name: empty_of_nested(inner) for name, inner in field.serializer().fields.items()}


def empty_of_nested(field: serializers.Field) -> Any:
    """Within an empty resource no other one is, empty or not."""
    return None if type(field) is Nested else empty_of(field)

"""The compiled read path: from a serializer's declaration, one query of plain rows and a function for what GET answers.

The serializer's fields name columns, the query fetches rows of them, and a function generated once for each serializer
turns a row into what goes over the wire. No model instances are made, so a page of 100 hosts costs what its SQL costs.
What many rows of a page show of one resource, a hundred hosts of their one site, is made once.

What is read by ids has SQL that never changes. It is written once, and Postgres keeps its plan: to plan the joins of
a host takes ten times as long as to find it. So lists find their ids first: the joins are then made for a page alone.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import CharField, Exists, Func, JSONField, Model, OuterRef, QuerySet
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
from tenants.statements import fetch

DOCUMENTS = 1000  # that are kept as they are shown; a host's takes 7 KB


class AsText(Func):
    """A JSON document or a UUID as its text, which Postgres writes faster than Python makes objects of it."""

    template = "%(expressions)s::text"
    output_field = CharField()


Columns = list[str | Rfc3339 | AsText | Exists]


@dataclass(frozen=True)
class Reader:
    """Reads resources of one kind."""

    rows: QuerySet  # all of them, in no order, as plain rows; to derive others from
    columns: Columns  # of a row
    as_json: Callable[[tuple, list[dict]], dict]
    shared: int  # how many resources, at most, a row shows that other rows show, too
    lists: tuple["Filler", ...]
    joined: list[str]  # the ids of all rows that a resource is shown by

    def page(self, rows: Iterable[tuple]) -> list[dict]:
        """What GET answers of these rows, which are `self.rows`, filtered and ordered."""
        rows, seen = [*rows], [{} for _ in range(self.shared)]
        page = [self.as_json(row, seen) for row in rows]
        for filler in self.lists:
            filler.fill([shown for row, shown in zip(rows, page, strict=True) if row[filler.place]])
        return page

    def find(self, ids: Sequence[str]) -> list[tuple]:
        """The rows of these resources, in their order; without those that aren't there."""
        place = self.columns.index("resource_id")
        rows = {row[place]: row for row in fetch(self._some, [[*ids]])} if ids else {}
        return [rows[resource_id] for resource_id in ids if resource_id in rows]

    def find_one(self, resource_id: str) -> list[tuple]:
        """The row of this resource, if it is there. Not find(), whose plan is for many, and so isn't kept for one."""
        return fetch(self._one, [resource_id])

    @cached_property
    def _some(self) -> str:
        return statement(self.rows.filter(resource_id__any=[]))

    @cached_property
    def _one(self) -> str:
        return statement(self.rows.filter(resource_id=""))


def statement(rows: QuerySet) -> str:
    """Its SQL, for fetch(). The last parameter is asked for each time; those before it, flags, are written into it."""
    sql, params = rows.query.sql_with_params()
    *parts, rest = sql.split("%s")
    constants = [connection.ops.compose_sql("%s", [value]) for value in params[:-1]]
    return "".join([*map("".join, zip(parts, [*constants, "$1"], strict=True)), rest])


def fetch_instances(model: type[Model], sql: str, params: Sequence[Any]) -> list[Any]:
    """The same as instances of the model; the statement selects all its columns, in their order."""
    fields = model._meta.concrete_fields
    names = [field.attname for field in fields]
    converted = [(n, field.from_db_value) for n, field in enumerate(fields) if hasattr(field, "from_db_value")]
    found = []
    for row in fetch(sql, params):
        values = [*row]
        for number, convert in converted:
            values[number] = convert(values[number], None, connection)
        found.append(model.from_db(connection.alias, names, values))
    return found


def array(ids: Iterable[str]) -> str:
    """As Postgres reads it. psycopg would look at each for what is to be quoted, and in ids nothing is."""
    return f"{{{','.join(ids)}}}"


@dataclass(frozen=True)
class Filler:
    """Fills in a list of other resources, for all resources of a page by one query; by none if there are no others."""

    path: tuple[str, ...]  # from the resource to the object that has the list
    name: str
    field: NestedMany
    place: int  # of the row's column that says if there are others

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
        columns = reader(self.field.serializer, self.field.without, self.field.edge).columns
        return statement(wanted.order_by("resource_id").values_list(*columns))


@cache
def reader(serializer: type, without: Set[str] = frozenset(), beside: str | None = None) -> Reader:
    """beside: one column more, the row's last, for the caller's own use.

    The query is kept, for choosing its 90 columns takes Django longer than Postgres takes to find a host.
    """
    made = _Compiler()
    source = made.object(serializer(), without, "", ())
    exec(f"def as_json(row, seen): return {source}", made.names)  # noqa: S102  our own, no input
    columns = [*made.columns, *(filled for *_, filled in made.lists), *([beside] if beside else [])]
    lists = tuple(Filler(*found, len(made.columns) + number) for number, (*found, _) in enumerate(made.lists))
    rows = serializer.Meta.model.objects.order_by().values_list(*columns)
    return Reader(rows, columns, made.names["as_json"], made.shared, lists, made.joined)


def _reading(shown: dict[str, Callable[[dict], dict]]) -> Callable[[str], dict[str, list[dict]]]:
    """Makes of a document's text its lists, as they are shown. Who shows them changes nothing in them: they are kept.

    Clients poll, and machines seldom have new hardware. To parse what a host has takes as long as all else that is made
    of its row.
    """

    @lru_cache(maxsize=DOCUMENTS)
    def read(text: str) -> dict[str, list[dict]]:
        document = orjson.loads(text)
        return {part: [*map(show, document[part])] for part, show in shown.items()}

    return read


class _Compiler:
    """Writes the function that makes of a row what GET answers, and notes which columns it needs."""

    def __init__(self) -> None:
        self.columns: Columns = []
        self.lists: list[tuple[tuple[str, ...], str, NestedMany, Exists]] = []
        self.shared = 0
        self.joined = ["id"]
        self.names: dict[str, Any] = {"loads": orjson.loads}  # what the function calls
        self._parts: dict[str, dict[str, Callable[[dict], dict]]] = {}  # of documents, by the variables that have them
        self._read: set[str] = set()  # of these, those that the function has met already

    def object(self, serializer: serializers.Serializer, without: Set[str], prefix: str, path: tuple[str, ...]) -> str:
        model = serializer.Meta.model if hasattr(serializer, "Meta") else None
        items = []
        for name, field in serializer.fields.items():
            if name in without:
                items.append(f"{name!r}: {empty_of(field)!r}")
                continue
            if isinstance(field, NestedMany):
                others = field.serializer.Meta.model.objects.order_by()
                filled = Exists(others.filter(**{field.edge: OuterRef(f"{prefix}resource_id")}))
                self.lists.append((path, name, field, filled))
            items.append(f"{name!r}: {self._value(field, model, prefix, (*path, name))}")
        return "{" + ", ".join(items) + "}"

    def _value(self, field: serializers.Field, model: type[Model] | None, prefix: str, path: tuple[str, ...]) -> str:
        match field:
            case NestedMany() | Constant() | Retired() | SecretTexts():
                return repr(empty_of(field))
            case Nested():
                return self._nested(field, model, prefix, path)
            case serializers.BaseSerializer():  # timestamps: columns of the same resource under a name of their own
                return self.object(field, frozenset(), prefix, path)
            case Reference():
                return f"({self._column(f'{prefix}{field.source}_id')} or '')"
            case HardwarePart():
                return f"{self._document(f'{prefix}{field.source}', field)}[{field.part!r}]"
        if model and model._meta.get_field(field.source).many_to_many:
            return "[]"  # ids that a NestedMany fills in
        name = f"{prefix}{field.source}"
        if isinstance(field, serializers.DateTimeField):
            column = self._column(Rfc3339(name))
        elif model and isinstance(model._meta.get_field(field.source), JSONField):
            text = self._column(AsText(name))
            column = f"(loads({text}) if {text} is not None else None)"
        elif isinstance(field, Uuid | serializers.UUIDField):
            given = getattr(field, "as_given", "")
            text = self._column(AsText(name))
            return f"({text} and {self._column(f'{prefix}{given}')} or {text} or '')" if given else f"({text} or '')"
        else:
            column = self._column(name)
        if isinstance(field, Uint64):
            return f"str({column} or 0)"
        if model and model._meta.get_field(field.source).null:
            return f"({column} if {column} is not None else {empty_of(field)!r})"
        return column

    def _nested(self, field: Nested, model: type[Model] | None, prefix: str, path: tuple[str, ...]) -> str:
        """What many rows refer to is made when the first of them is read, and is the others', too.

        Not if it has lists: those are filled in later, each into an object of its own.
        """
        below = f"{prefix}{field.source.replace('.', '__')}__"
        self.joined.append(f"{below}id")
        there = self._column(f"{below}resource_id")
        before, read = len(self.lists), self._read
        self._read = set()
        shown = self.object(field.serializer(), field.without, below, path)
        self._read = read
        is_of_many = model and "." not in field.source and model._meta.get_field(field.source).many_to_one
        if is_of_many and len(self.lists) == before:
            number, self.shared = self.shared, self.shared + 1
            lines = f"def made_{number}(row, seen):\n seen[{number}][{there}] = made = {shown}\n return made"
            exec(lines, self.names)  # noqa: S102  our own, no input
            shown = f"(seen[{number}].get({there}) or made_{number}(row, seen))"
        return f"({shown} if {there} is not None else {_absent(field)!r})"

    def _document(self, name: str, part: HardwarePart) -> str:
        """The lists that are shown of a document, made where the function meets the first of them."""
        column = self._column(AsText(name))
        variable = f"document_{column[4:-1]}"
        if variable not in self._parts:
            self._parts[variable] = {}
            self.names[f"read_{variable}"] = _reading(self._parts[variable])
        self._parts[variable][part.part] = part.shown
        if variable in self._read:
            return variable
        self._read.add(variable)
        return f"({variable} := read_{variable}({column}))"

    def _column(self, column: str | Rfc3339 | AsText) -> str:
        if column not in self.columns:
            self.columns.append(column)
        return f"row[{self.columns.index(column)}]"


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

"""The compiled read path: from a serializer's declaration, one query of plain rows and a function for what GET answers.

The serializer's fields name columns, the query fetches rows of them, and a function generated once for each serializer
turns a row into what goes over the wire. No model instances are made, so a page of 100 hosts costs what its SQL costs.
"""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db.models import Model, QuerySet
from rest_framework import serializers

from inventory.api.fields import (
    EMPTY,
    Constant,
    Flag,
    HardwarePart,
    Nested,
    NestedMany,
    Reference,
    Rfc3339,
    Texts,
    Uint64,
    Uuid,
)  # fmt: skip

Columns = list[str | Rfc3339]


@dataclass(frozen=True)
class Reader:
    """Reads resources of one kind."""

    rows: QuerySet  # all of them, in no order, as plain rows; to derive others from
    as_json: Callable[[tuple], dict]
    lists: tuple["Filler", ...]

    def page(self, rows: Iterable[tuple]) -> list[dict]:
        """What GET answers of these rows, which are `self.rows`, filtered and ordered."""
        page = [self.as_json(row) for row in rows]
        for filler in self.lists:
            filler.fill(page)
        return page


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
        rows = [*self._referring(inner, [*holders]).order_by("resource_id")]
        for row, shown in zip(rows, inner.page(rows), strict=True):
            for holder in holders[row[-1]]:
                holder[self.name] = [*holder[self.name], shown]
                if self.field.ids:
                    holder[self.field.ids] = [*holder[self.field.ids], shown["resourceId"]]


    def _referring(self, inner: Reader, ids: list[str]) -> QuerySet:
        wanted = {f"{self.field.edge}__in": ids}
        if "__" not in self.field.edge:
            return inner.rows.filter(**wanted)
        # Over a table between: filtered first, for a filter after the columns were chosen would join it once more.
        rows = inner.rows.model.objects.filter(**wanted)
        return rows.values_list(*_compiled(self.field.serializer, self.field.without, self.field.edge)[0])


@cache
def reader(serializer: type, without: Set[str] = frozenset(), beside: str | None = None) -> Reader:
    """beside: one column more, the row's last, for the caller's own use.

    The query is kept, for choosing its 90 columns takes Django longer than Postgres takes to find a host.
    """
    columns, source, lists = _compiled(serializer, without, beside)
    rows = serializer.Meta.model.objects.order_by().values_list(*columns)
    return Reader(rows, eval(f"lambda row: {source}", dict(_NAMES)), tuple(lists))  # noqa: S307  our own, no input


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
        if not field.write_only:
            items.append(f"{name!r}: {_value(field, model, prefix, (*path, name), columns, lists)}")
    return "{" + ", ".join(items) + "}"


def _value(
    field: serializers.Field, model: type[Model] | None, prefix: str, path: tuple, columns: Columns, lists: list
) -> str:
    match field:
        case NestedMany() | Constant():
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
            return f"[*map(shown_{field.part}, {_column(f'{prefix}{field.source}', columns)}[{field.part!r}])]"
    if model and model._meta.get_field(field.source).many_to_many:
        return "[]"  # ids that a NestedMany fills in
    name = f"{prefix}{field.source}"
    column = _column(Rfc3339(name) if isinstance(field, serializers.DateTimeField) else name, columns)
    match field:
        case Uint64():
            return f"str({column} or 0)"
        case Uuid() | serializers.UUIDField():
            return f"(str({column}) if {column} else '')"
    if model and model._meta.get_field(field.source).null:
        return f"({column} if {column} is not None else {empty_of(field)!r})"
    return column


def _column(column: str | Rfc3339, columns: Columns) -> str:
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

"""What all resources' endpoints share: one declaration, a serializer, from which the fast read path is compiled.

Writing goes through the serializer and ask(). Reading goes by: the serializer's fields name columns, one query fetches
plain rows of them, and a function generated once for each serializer turns a row into what goes over the wire. No
model instances are made, so a page of 100 hosts costs what its SQL costs.
"""

from __future__ import annotations  # the view's method `list` hides the type of that name

import copy
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import CharField, ForeignKey, Func, PositiveBigIntegerField, Q, QuerySet
from rest_framework import exceptions, serializers, viewsets
from rest_framework.response import Response
from rest_framework.validators import UniqueValidator

from inventory import errors, filtering
from inventory.models.base import EpochField, Resource
from tenants.events import acting_as
from tenants.permissions import name_of

LARGEST_PAGE = 100
FARTHEST_OFFSET = 10_000


def camel(name: str) -> str:
    """`host_status_timestamp` -> `hostStatusTimestamp`"""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


# Fields of the wire -----------------------------------------------------------------------------------------------


class Uint64(serializers.CharField):
    """A 64-bit number: a string in JSON, as protobuf has it. None of ours is written by clients."""


class Reference(serializers.SlugRelatedField):
    """Another resource by its id; the empty string is none."""

    def __init__(self, **kwargs):
        super().__init__(**{"slug_field": "resource_id", "required": False, "allow_null": True, **kwargs})

    def to_internal_value(self, data):
        if data in ("", None):
            return None
        return _by_id(self.get_queryset(), data)


class Same(serializers.CharField):
    """The same id under the name that older clients read."""

    def __init__(self, source: str = "resource_id"):
        super().__init__(source=source, read_only=True)


class HardwarePart(serializers.ListField):
    """One of the lists in a host's hardware document, as it is stored."""

    def __init__(self, part: str):
        self.part = part
        super().__init__(source="hardware", read_only=True, child=serializers.DictField())

    def to_representation(self, hardware):
        return hardware[self.part]


class Timestamps(serializers.Serializer):
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")


class Rfc3339(Func):
    """A point in time as clients read it: UTC, to the millisecond. Made by Postgres: a page of hosts has 1,000 of them,

    which took Python a quarter of the request to parse and to write.
    """

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    output_field = CharField()


class ResourceSerializer(serializers.ModelSerializer):
    """All columns of the model, camelCased. Wishes and facts are read-only; so is what Meta.writable doesn't name.

    Meta.writable: JSON names. Meta.asks: what creating one wishes, {"state": "HOST_STATE_ONBOARDED"}.
    Meta.when_absent: what a nested resource that isn't there looks like, {"site": None}.
    """

    timestamps = Timestamps(source="*", read_only=True)

    class Meta:
        fields = "__all__"
        validators: list = []  # the database finds duplicates, also those of the same moment
        hidden: set[str] = set()
        writable: set[str] = set()
        asks: dict[str, str] = {}
        when_absent: dict[str, Any] = {}

    def get_fields(self):
        declared = copy.deepcopy(self._declared_fields)
        skipped = {"created_at", "updated_at", *self.Meta.hidden}
        columns = {
            camel(column.name): column
            for column in self.Meta.model._meta.concrete_fields
            if not (column.primary_key or column.name in skipped or isinstance(column, ForeignKey))
        }
        return {name: self.column_field(name, column) for name, column in columns.items()} | declared

    def column_field(self, name: str, column) -> serializers.Field:
        source = {} if name == column.name else {"source": column.name}
        if isinstance(column, PositiveBigIntegerField):
            return Uint64(read_only=True, **source)
        if isinstance(column, EpochField):
            return serializers.IntegerField(read_only=True, **source)
        kind, kwargs = self.build_standard_field(column.name, column)
        kwargs["validators"] = [v for v in kwargs.get("validators", []) if not isinstance(v, UniqueValidator)]
        if name in self.Meta.writable:
            return kind(**kwargs, **source)
        return kind(read_only=True, **source, **{key: kwargs[key] for key in {"choices"} & kwargs.keys()})

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise exceptions.ValidationError("a JSON object is needed")
        for name in data.keys() - {n for n, field in self.fields.items() if not field.read_only}:
            field = self.fields.get(name)
            if field is None or not isinstance(field, serializers.BaseSerializer | serializers.ListField):
                raise exceptions.ValidationError({name: "can't be written" if field else "there is no such field"})
        return super().to_internal_value(data)

    def create(self, plain):
        resource = self.Meta.model(**plain)
        resource.ask(**self.Meta.asks)
        return resource

    def update(self, resource, plain):
        for name, value in plain.items():
            setattr(resource, name, value)
        resource.full_clean(exclude=[*resource.guarded()], validate_unique=False, validate_constraints=False)
        resource.save()
        return resource


# The compiled read path -------------------------------------------------------------------------------------------


@cache
def reader(serializer: type[ResourceSerializer]) -> tuple[QuerySet, Callable[[tuple], dict]]:
    """All resources as plain rows, in no order, and the function that makes of a row what GET answers.

    A query to derive others from: choosing its 90 columns takes Django longer than Postgres takes to find a host.
    """
    columns: list[str | Rfc3339] = []
    source = _object(serializer(), "", columns)
    rows = serializer.Meta.model.objects.order_by().values_list(*columns)
    return rows, eval(f"lambda row: {source}")  # noqa: S307  our own declaration, no input


def _object(serializer: serializers.BaseSerializer, prefix: str, columns: list[str | Rfc3339]) -> str:
    absent = getattr(serializer.Meta, "when_absent", {}) if hasattr(serializer, "Meta") else {}
    items = (
        f"{name!r}: {_value(field, prefix, columns, absent.get(name, {}))}"
        for name, field in serializer.fields.items()
        if not (field.write_only and not isinstance(field, Reference))
    )
    return "{" + ", ".join(items) + "}"


def _value(field: serializers.Field, prefix: str, columns: list[str | Rfc3339], absent: Any) -> str:
    path = prefix + field.source.replace(".", "__")
    if isinstance(field, serializers.BaseSerializer):
        if field.source == "*":
            return _object(field, prefix, columns)
        there = _column(f"{path}__resource_id", columns)
        return f"({_object(field, f'{path}__', columns)} if {there} is not None else {absent!r})"
    if isinstance(field, Reference):
        return f"({_column(f'{path}_id', columns)} or '')"
    column = _column(Rfc3339(path) if isinstance(field, serializers.DateTimeField) else path, columns)
    match field:
        case HardwarePart():
            return f"{column}[{field.part!r}]"
        case Uint64():
            return f"str({column})"
        case serializers.UUIDField():
            return f"(str({column}) if {column} else '')"
    return column


def _column(column: str | Rfc3339, columns: list[str | Rfc3339]) -> str:
    if column not in columns:
        columns.append(column)
    return f"row[{columns.index(column)}]"


# Endpoints --------------------------------------------------------------------------------------------------------


class ResourceViewSet(viewsets.GenericViewSet):
    """GET list and one, POST, PUT, PATCH, DELETE, with the status codes and bodies that the old clients know."""

    serializer_class: type[ResourceSerializer]
    collection: str  # the list's name in the answer
    lookup_field = "resource_id"
    lookup_value_regex = "[^/]+"

    @property
    def model(self) -> type[Resource]:
        return self.serializer_class.Meta.model

    def get_queryset(self) -> QuerySet:
        return self.model.objects.all()

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        self._who = acting_as(name_of(request.user))
        self._who.__enter__()

    def finalize_response(self, request, response, *args, **kwargs):
        if who := self.__dict__.pop("_who", None):
            who.__exit__(None, None, None)
        return super().finalize_response(request, response, *args, **kwargs)

    def list(self, request, *args, **kwargs):
        wanted = filtering.condition(self.model, request.query_params.get("filter", ""))
        order, size, offset = self._paging(request.query_params)
        total = self.get_queryset().filter(wanted).count()
        page = self.read(wanted, order, slice(offset, offset + size if size else None))
        return Response({self.collection: page, "totalElements": total, "hasNext": offset + len(page) < total})

    def retrieve(self, request, resource_id, *args, **kwargs):
        return Response(self.read_one(resource_id))

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(self.read_one(serializer.save().resource_id))

    @transaction.atomic
    def update(self, request, resource_id, *args, partial=False, **kwargs):
        resource = _by_id(self.get_queryset(), resource_id)
        serializer = self.get_serializer(resource, data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(self.read_one(resource_id))

    def partial_update(self, request, resource_id, *args, **kwargs):
        return self.update(request, resource_id, partial=True)

    def destroy(self, request, resource_id, *args, **kwargs):
        _by_id(self.get_queryset(), resource_id).delete()
        return Response({})

    def read(self, wanted: Q, order: Sequence[str] = (), window: slice = slice(None)) -> list[dict]:
        rows, as_json = reader(self.serializer_class)
        return [as_json(row) for row in rows.filter(wanted).order_by(*order)[window]]

    def read_one(self, resource_id: str) -> dict:
        check_id(self.model, resource_id)
        found = self.read(Q(resource_id=resource_id))
        if not found:
            raise errors.NotFound(not_found_sentence(self.model))
        return found[0]

    def _paging(self, query) -> tuple[list[str], int, int]:
        """(columns to order by, page size or 0 for all, offset)"""
        size = _number(query, "pageSize", 1, LARGEST_PAGE) if "pageSize" in query else 0
        offset = _number(query, "offset", 0, FARTHEST_OFFSET) if "offset" in query else 0
        return self._order(query.get("orderBy", "")) or ["resource_id"], size, offset

    def _order(self, text: str) -> list[str]:
        names = {camel(f.name): f.name for f in self.model._meta.concrete_fields if not f.primary_key}
        order = []
        for item in text.split(",") if text.strip() else []:
            name, _, direction = item.strip().partition(" ")
            column = names.get(camel(name))
            if column is None or direction.strip().lower() not in ("", "asc", "desc"):
                raise errors.InventoryError(f"orderBy: can't order {self.collection} by {item.strip()!r}")
            order.append(f"{'-' if direction.strip().lower() == 'desc' else ''}{column}")
        return order


def _number(query, name: str, least: int, most: int) -> int:
    text = query[name]
    if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
        raise errors.InventoryError(f"{name} is a number from {least} to {most}, not {text!r}")
    return int(text)


def check_id(model: type[Resource], resource_id: str) -> None:
    if not isinstance(resource_id, str) or not resource_id.startswith(f"{model.prefix}-"):
        raise errors.InventoryError(f"{resource_id!r} is not the id of a {model._meta.verbose_name}")


def _by_id(rows: QuerySet, resource_id: str) -> Resource:
    check_id(rows.model, resource_id)
    found = rows.filter(resource_id=resource_id).first()
    if found is None:
        raise errors.NotFound(not_found_sentence(rows.model))
    return found


def not_found_sentence(model: type[Resource]) -> str:
    """In the words that the archived command line looks for: "region_resource not found"."""
    kind = {"inst": "instance", "os": "operating_system"}.get(model.prefix, model.prefix)
    return f"{kind}_resource not found"

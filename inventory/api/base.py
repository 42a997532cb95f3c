"""What all resources' endpoints share: one declaration, from which reading, writing and the document come.

Writing goes through the serializer and ask(). Reading goes by the compiled path of reading.py.
"""

from __future__ import annotations  # the view's method `list` hides the type of that name

import copy
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

import orjson
from django.core import validators
from django.core.exceptions import EmptyResultSet
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, ForeignKey, PositiveBigIntegerField, Q, QuerySet, Subquery, Window
from django.http import HttpResponse, StreamingHttpResponse
from django_tenants.utils import schema_context
from psycopg.errors import UniqueViolation
from rest_framework import exceptions, serializers, viewsets
from rest_framework.response import Response

from inventory import errors, filtering
from inventory.api import paging
from inventory.api.body import Browsable, FormBody, Json, JsonBody
from inventory.api.fields import (
    EMPTY,
    Choice,
    Constant,
    Derived,
    Document,
    Flag,
    HardwarePart,
    Metadata,
    Nested,
    NestedMany,
    Pattern,
    Reference,
    Retired,
    Same,
    SecretTexts,
    Text,
    Texts,
    Timestamps,
    Uint64,
    Uuid,
    Whole,
    by_id,
    check_id,
    not_found_sentence,
    whole,
)  # fmt: skip
from inventory.api.keeping import keeper
from inventory.api.queries import ListQuery, Nothing, PatchQuery, Query
from inventory.api.reading import fetch_instances, reader, statement
from inventory.models.base import EpochField, Resource
from inventory.models.metadata import MetadataField
from inventory.naming import camel, squashed

__all__ = [
    "EMPTY", "Choice", "Constant", "Derived", "Document", "Flag", "HardwarePart", "Nested", "NestedMany", "Pattern",
    "Reference", "ResourceSerializer", "ResourceViewSet", "Retired", "Same", "SecretTexts", "Text", "Texts", "Uint64",
    "Uuid", "Whole", "by_id", "camel", "check_id", "not_found_sentence",
]  # fmt: skip

LONGEST_TEXT = 500_000  # letters, of columns that have no limit of their own
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where one word of a JSON name ends
CHUNK = 500  # rows of a long list that are in memory at once


class ResourceSerializer(serializers.ModelSerializer):
    """All columns of the model, camelCased. Wishes and facts are read-only; so is what Meta.writable doesn't name.

    Meta.writable: JSON names of columns that a body may carry.
    Meta.patterns: by JSON names, of which letters they are, where the API is stricter than the model.
    Meta.needed: those of them that POST and PUT must have although the model could do without.
    Meta.mutable: JSON names, references included, that PUT and PATCH change; what else a body may carry, they ignore,
        as they always have. None means all that can be written.
    Meta.kept: those of `mutable` that PUT leaves as they are when the body doesn't have them; it clears all others.
    Meta.asks: what creating one wishes, {"state": "HOST_STATE_ONBOARDED"}.
    """

    timestamps = Timestamps(source="*", read_only=True)

    class Meta:
        fields = "__all__"
        validators: list = []  # the database finds duplicates, also those of the same moment
        hidden: set[str] = set()
        writable: set[str] = set()
        patterns: dict[str, str] = {}
        needed: set[str] = set()
        mutable: set[str] | None = None
        kept: set[str] = set()
        asks: dict[str, str] = {}

    def get_fields(self):
        """Where a body is written: those that it may carry; where a part of a resource is: those that it does carry.

        Each is a copy of one that is kept: to make it, with all that it checks, takes longer than to check.
        """
        kept, sent = self._unbound(), getattr(self, "initial_data", None)
        if sent is not None:
            kept = {name: field for name, field in kept.items() if not field.read_only}
        if self.partial and isinstance(sent, dict) and self.context.get("mask") is None:
            kept = {name: field for name, field in kept.items() if name in sent}
        fields = {name: copy.copy(field) for name, field in kept.items()}
        if self.instance is not None:
            for name in self.Meta.kept & fields.keys():
                fields[name].required = False
        return fields

    @classmethod
    @cache
    def _unbound(cls) -> dict[str, serializers.Field]:
        """All fields, as no serializer has them yet."""
        made = cls()
        fields = {name: made.column_field(name, column) for name, column in cls._columns().items()}
        fields |= copy.deepcopy(made._declared_fields)
        for name, field in fields.items():
            field.label = field.label or _WORDS.sub(" ", name).capitalize()
        return fields

    @classmethod
    @cache
    def _columns(cls) -> dict[str, Any]:
        """By their names on the wire."""
        skipped = {"created_at", "updated_at", *cls.Meta.hidden}
        return {
            camel(column.name): column
            for column in cls.Meta.model._meta.concrete_fields
            if not (column.primary_key or column.name in skipped or isinstance(column, ForeignKey))
        }

    @classmethod
    @cache
    def _known(cls) -> dict[str, serializers.Field]:
        """All fields, also those that no body may carry."""
        return dict(cls().fields)

    def column_field(self, name: str, column: Any) -> serializers.Field:
        """The field of the wire for a column of the model."""
        options: dict[str, Any] = {} if name == column.name else {"source": column.name}
        if name in self.Meta.writable:
            must = not (column.blank or column.null or column.has_default())
            options["required"] = must or name in self.Meta.needed
        else:
            options["read_only"] = True
        if column.help_text:
            options["help_text"] = column.help_text
        if column.choices:
            return Choice(choices=column.choices, **options)
        match column:
            case MetadataField():
                return Metadata(**options)
            case models.JSONField():
                return Document(**options)
            case models.UUIDField():
                return Uuid(**options)
            case models.BooleanField():
                return Flag(**options)
            case EpochField():
                return serializers.IntegerField(**options)
            case PositiveBigIntegerField():
                return Uint64(**{**options, "read_only": True, "required": False})
            case models.IntegerField():
                return Whole(**options, **_bounds(column))
        if options.get("read_only"):
            return Text(**options, max_length=column.max_length)
        longest = [v.limit_value for v in column.validators if isinstance(v, validators.MaxLengthValidator)]
        options |= {"allow_blank": column.blank, "max_length": min([*longest, column.max_length or LONGEST_TEXT])}
        if name in self.Meta.patterns:
            return Pattern(self.Meta.patterns[name], **options)
        return Text(**options, validators=_validators_of_text(column))

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise exceptions.ValidationError({"non_field_errors": "a JSON object is needed"})
        for name in data.keys() - self.fields.keys():
            field = self._known().get(name)
            if field is None:
                raise exceptions.ValidationError({name: "there is no such field"})
            if not _is_ignored(field):
                raise exceptions.ValidationError({name: "can't be written"})
        try:
            plain = super().to_internal_value(data)
        except exceptions.ValidationError as wrong:
            raise exceptions.ValidationError(with_values(wrong.detail, data)) from wrong
        return plain if self.instance is None else self._changes(plain, data)

    def _changes(self, plain: dict, data: dict) -> dict:
        """What of a valid body becomes of the resource: PUT clears what isn't there, PATCH leaves it alone.

        A field mask is the exact list of what PATCH changes; what it names and the body hasn't is cleared.
        """
        mutable = {
            name: field
            for name, field in self.fields.items()
            if self.Meta.mutable is None or name in self.Meta.mutable
        }
        mask = self.context.get("mask")
        if mask is not None:
            names = self._unmasked(mask) & mutable.keys()
        elif self.partial:
            names = data.keys() & mutable.keys()
        else:
            names = mutable.keys() - (self.Meta.kept - data.keys())
        sources = {mutable[name].source for name in names}
        return {source: plain[source] if source in plain else self._cleared(source) for source in sources}

    def _unmasked(self, mask: str) -> set[str]:
        fields = self._known()
        known = {squashed(spelling): name for name, field in fields.items() for spelling in (field.source, name)}
        names = set()
        for path in filter(None, (part.strip() for part in mask.split(","))):
            name = known.get(squashed(path.split(".")[0]))
            if name is None:
                raise errors.InventoryError(f"fieldMask: there is no field {path!r}")
            # `site` names both what is shown of a site and the id that is written.
            names |= {n for n, field in fields.items() if field.source == fields[name].source}
        return names

    def _cleared(self, source: str) -> Any:
        return self.Meta.model._meta.get_field(source).get_default()

    def create(self, plain):
        resource = self.Meta.model(**plain)
        try:
            resource.ask(**self.Meta.asks)
        except errors.Duplicate as taken:
            raise errors.Duplicate(taken_sentence(resource)) from taken
        return resource

    def update(self, resource, plain):
        wishes = {
            column.removeprefix("desired_"): plain.pop(column) for column in resource.wish_columns() & plain.keys()
        }
        for name, value in plain.items():
            setattr(resource, name, value)
        resource.ask(**wishes) if wishes else resource.save(update_fields=plain)
        return resource

    def to_representation(self, resource):
        """What a form of the browsable API begins with; what clients read comes by the compiled path."""
        written = {name: field for name, field in self.fields.items() if not field.read_only}
        return {name: _shown_in_form(field, resource) for name, field in written.items()}


def _is_ignored(field: serializers.Field) -> bool:
    """Objects and lists that a client sends back as it read them were never looked at; plain values are refused."""
    if isinstance(field, Constant):
        return not isinstance(field.value, str | int)
    return isinstance(field, serializers.BaseSerializer | serializers.ListField | serializers.JSONField | Nested)


def _bounds(column: Any) -> dict[str, int]:
    """The strictest that the model's validators and the column's size allow."""
    least = [v.limit_value for v in column.validators if isinstance(v, validators.MinValueValidator)]
    most = [v.limit_value for v in column.validators if isinstance(v, validators.MaxValueValidator)]
    lowest, highest = connection.ops.integer_field_range(column.get_internal_type())
    return {"min_value": max([*least, lowest]), "max_value": min([*most, highest])}


def _validators_of_text(column: Any) -> list:
    """The model's, with patterns that mean the whole text."""
    checks: list[Any] = []
    for check in column.validators:
        if isinstance(check, validators.RegexValidator):
            pattern = whole(check.regex.pattern)
            message = str(check.message).replace("%", "%%")  # which Django formats
            checks.append(validators.RegexValidator(pattern, message, flags=check.regex.flags & ~re.UNICODE))
        elif not isinstance(check, validators.MaxLengthValidator | validators.ProhibitNullCharactersValidator):
            checks.append(check)
    return checks


def with_values(detail: Any, data: dict) -> Any:
    """The same refusals, each saying what was sent."""
    if not isinstance(detail, dict):
        return detail
    return {
        name: f"{errors.sentence(why).rstrip('.')}, not {shown(data[name])}" if name in data else errors.sentence(why)
        for name, why in detail.items()
    }


def shown(value: Any) -> str:
    """A value as a refusal quotes it: as JSON, and not all of a long one."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} letters)"


def taken_sentence(resource: Resource) -> str:
    """The model's own, and which other resource has the same in which fields."""
    meta, sentence = resource._meta, resource.duplicate_sentence()
    single = [[f.name] for f in meta.concrete_fields if f.unique and f.name not in ("id", "resource_id")]
    together = [[*c.fields] for c in meta.constraints if isinstance(c, models.UniqueConstraint)]
    for names in [*single, *together]:
        values = {name: getattr(resource, meta.get_field(name).attname) for name in names}
        if "" in values.values() or None in values.values():
            continue  # nothing is never taken
        if holder := type(resource).objects.filter(**values).exclude(pk=resource.pk).first():
            return f"{sentence} ({holder} has this {' and '.join(map(camel, names))})"
    return sentence


def _shown_in_form(field: serializers.Field, resource: Any) -> Any:
    try:
        value = field.get_attribute(resource)
    except (AttributeError, KeyError, serializers.SkipField):
        return None  # a form before anything is there, or a field that nothing is read from
    if value is None or (isinstance(field, Whole) and value < field.min_value):
        return None  # 0 is how a column says that there is nothing, and a body can't
    return field.to_representation(value)


class Total(Subquery):
    """How many rows another query has, beside each row of this one: a list and its total in one statement."""

    template = "(SELECT count(*) FROM (%(subquery)s) counted)"
    output_field = models.BigIntegerField()


# Endpoints --------------------------------------------------------------------------------------------------------


class Read(NamedTuple):
    resource: dict | orjson.Fragment  # as GET shows it
    updated_at: datetime


class ResourceViewSet(viewsets.GenericViewSet):
    """GET list and one, POST, PUT, PATCH, DELETE, with the status codes and bodies that the old clients know."""

    serializer_class: type[ResourceSerializer]
    collection: str  # the list's name in the answer
    service: str  # of the archived system's, which operation ids begin with
    nouns: tuple[str, str]  # "Host", "Hosts": as operation ids have it
    ending = ""  # of operation ids: which of its paths this is
    parser_classes = [JsonBody, FormBody]
    renderer_classes = [Json, Browsable]
    lookup_field = "resource_id"
    examples: dict[str, dict] = {}  # bodies by their actions, for the document; PUT takes what POST does
    answers: dict[str, type] = {}  # what an action answers, where it isn't the resource
    ignored: dict[str, str] = {}  # parameters of paths and queries that nobody looks at, and why
    queries: dict[str, type[Query]] = {"list": ListQuery, "partial_update": PatchQuery}  # what actions can be asked

    @property
    def model(self) -> type[Resource]:
        return self.serializer_class.Meta.model

    def get_queryset(self) -> QuerySet:
        return self.model.objects.all()

    def shown_in_forms(self) -> Resource | None:
        """The resource whose page this is, if it is one's."""
        return self.get_queryset().filter(resource_id=self.kwargs.get("resource_id", "")).first()

    def asked(self) -> dict[str, Any]:
        """The valid query parameters of this action, by name. Raises InventoryError."""
        return self.queries.get(self.action, Nothing).read(self.request.query_params)

    # Reading

    def list(self, request, *args, **kwargs):
        asked = self.asked()
        text, narrowed = asked.get("filter", ""), self.narrowed(asked)
        wanted = filtering.condition(self.model, text) & narrowed
        order = paging.order(self.model, self.collection, asked.get("orderBy", ""))
        size, offset = asked.get("pageSize"), asked.get("offset", 0)
        if "pageToken" in asked:
            return self._answer(self._page_after(asked["pageToken"], wanted, order, size or paging.LARGEST_PAGE))
        if size is None and request.accepted_renderer.format == "api":
            size = paging.LARGEST_PAGE  # nobody reads more than that in a browser
        if size is None:
            return self._unlimited(wanted, order, offset)
        if narrowed:
            found = [*self._chosen(wanted, order, offset, size)]
        else:
            found = self._look_for(text, order, offset, size)
        total = found[0][1] if found else self.get_queryset().filter(wanted).count()
        page = self.shown(resource_id for resource_id, _ in found)
        return self._answer(self._envelope(page.values(), total, offset + len(found) < total))

    def _chosen(self, wanted: Q, order: Sequence[str], offset: int, size: int) -> QuerySet:
        """The ids of a page, each with the list's total.

        What a filter finds is looked for once, and counted with it. Where all are wanted, one index has the page, and
        another the total.
        """
        chosen = self.get_queryset().filter(wanted).order_by(*order)
        total = Window(Count("*")) if wanted else Total(chosen.order_by().values("pk"))
        return chosen.values_list("resource_id", total)[offset : offset + size]

    @classmethod
    def _look_for(cls, text: str, order: Sequence[str], offset: int, size: int) -> list[tuple[str, int]]:
        """What _chosen() finds of a filter, by SQL that is kept."""
        statement = cls._statement(text, tuple(order), offset, size)
        if statement is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(*statement)
            return cursor.fetchall()

    @classmethod
    @lru_cache(maxsize=256)  # clients poll with the same few; Django takes longer to write one than Postgres to answer
    def _statement(cls, text: str, order: Sequence[str], offset: int, size: int) -> tuple[str, tuple] | None:
        """None if nothing can be found, which Django knows of numbers that are too large for their columns."""
        view = cls()
        try:
            chosen = view._chosen(filtering.condition(view.model, text), order, offset, size)
            return chosen.query.sql_with_params()
        except EmptyResultSet:
            return None

    def narrowed(self, asked: dict[str, Any]) -> Q:
        """The condition of a list's query parameters other than the filter."""
        return Q()

    def complete(self, page: list[dict]) -> None:
        """Fill in what is derived from other resources, for all of a page at once."""

    def retrieve(self, request, resource_id, *args, **kwargs):
        return self._one(resource_id)

    def read(self, wanted: Q, order: Sequence[str] = (), window: slice = slice(None)) -> dict[str, Read]:
        chosen = self.get_queryset().filter(wanted).order_by(*order)
        return self.shown(chosen.values_list("resource_id", flat=True)[window])

    def shown(self, ids: Iterable[str]) -> dict[str, Read]:
        """These resources as the answer has them, by their ids, in this order; without those that went meanwhile."""
        renderer, media_type = self.request.accepted_renderer, self.request.accepted_media_type
        for_machines = isinstance(renderer, Json) and not renderer.get_indent(media_type, {})
        kept, ids = keeper(self.serializer_class) if for_machines else None, [*ids]
        if kept and kept.is_polled(ids):
            found = kept.sent(ids, self.complete).items()
            return {resource_id: Read(orjson.Fragment(one.json), one.updated_at) for resource_id, one in found}
        source = reader(self.serializer_class, beside="updated_at")
        rows = source.find(ids)
        page = source.page(rows)
        self.complete(page)
        return {shown["resourceId"]: Read(shown, row[-1]) for row, shown in zip(rows, page, strict=True)}

    def written(self, resource_id: str) -> Response:
        """The answer to a write: the resource, without what is derived from others, as it always was."""
        source = reader(self.serializer_class, beside="updated_at")
        [row] = source.find_one(resource_id)
        [found] = source.page([row])
        return Response(found, headers={"ETag": _etag(row[-1])})

    def _one(self, resource_id: str) -> HttpResponse:
        check_id(self.model, resource_id)
        found = self.shown([resource_id]).get(resource_id)
        if found is None:
            raise errors.NotFound(not_found_sentence(self.model))
        return self._answer(found.resource, {"ETag": _etag(found.updated_at)})

    def _answer(self, shown: Any, headers: dict[str, str] | None = None) -> HttpResponse:
        """What was read, as JSON at once. An answer of DRF's refers to itself, so what is in it stays until the garbage

        is collected; and to look through the rests of pages took a tenth of the time that pages take.
        """
        renderer, media_type = self.request.accepted_renderer, self.request.accepted_media_type
        if not isinstance(renderer, Json):
            return Response(shown, headers=headers)
        return HttpResponse(renderer.render(shown, media_type), content_type=renderer.media_type, headers=headers)

    def _envelope(self, page: Iterable[Read], total: int, has_next: bool) -> dict:
        return {self.collection: [read.resource for read in page], "totalElements": total, "hasNext": has_next}

    def _page_after(self, token: str, wanted: Q, order: list[str], size: int) -> dict:
        """A page by key: as fast at the end of 100,000 rows as at their beginning."""
        if token:
            place = paging.Place.read(self.model, order, token)
        else:
            place = paging.Place(self.get_queryset().filter(wanted).count())
        page = self.read(wanted & place.beyond(self.model, order), order, slice(size + 1))
        ids, more = [*page][:size], len(page) > size
        following = place.at(self.model, order, ids[-1]).text(order) if more else ""
        return {**self._envelope(map(page.__getitem__, ids), place.total, more), "nextPageToken": following}

    def _unlimited(self, wanted: Q, order: list[str], offset: int) -> HttpResponse | StreamingHttpResponse:
        """All of them, because old clients rely on it; a long list is sent as it is read, in constant memory."""
        page = self.read(wanted, order, slice(offset, offset + CHUNK + 1))
        if len(page) <= CHUNK:
            total = offset + len(page) if page or not offset else self.get_queryset().filter(wanted).count()
            return self._answer(self._envelope(page.values(), total, False))
        chunks = self._streamed(wanted, order, offset, connection.schema_name)
        return StreamingHttpResponse(chunks, content_type="application/json")

    def _streamed(self, wanted: Q, order: list[str], offset: int, schema: str) -> Iterator[bytes]:
        """The same JSON, in pieces. The middleware has left the tenant's schema by the time that a server asks."""
        with schema_context(schema):
            source = reader(self.serializer_class)
            rows = source.rows.filter(wanted).order_by(*order)[offset:].iterator(chunk_size=CHUNK)
            sent = 0
            yield f'{{"{self.collection}":['.encode()
            while chunk := [*islice(rows, CHUNK)]:
                page = source.page(chunk)
                self.complete(page)
                yield b"," * bool(sent) + orjson.dumps(page)[1:-1]
                sent += len(page)
            yield f'],"totalElements":{offset + sent},"hasNext":false}}'.encode()

    # Writing

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.written(serializer.save().resource_id)

    def update(self, request, resource_id, *args, partial=False, **kwargs):
        mask = self.asked().get("fieldMask") or None if partial else None
        context = {**self.get_serializer_context(), "mask": mask}
        try:
            with transaction.atomic():
                resource = self.locked(resource_id)
                serializer = self.get_serializer_class()(resource, data=request.data, partial=partial, context=context)
                serializer.is_valid(raise_exception=True)
                serializer.save()
                return self.written(resource_id)
        except IntegrityError as wrong:
            if isinstance(wrong.__cause__, UniqueViolation):
                raise errors.Duplicate(taken_sentence(resource)) from wrong
            raise

    def partial_update(self, request, resource_id, *args, **kwargs):
        return self.update(request, resource_id, partial=True)

    @transaction.atomic
    def destroy(self, request, resource_id, *args, **kwargs):
        self.remove(self.locked(resource_id))
        return Response({})

    def remove(self, resource: Any) -> None:
        """What DELETE does."""
        resource.delete()

    def locked(self, resource_id: str) -> Any:
        """The resource, until the transaction's end ours alone. Raises Changed if it isn't the one that If-Match names.

        PATCH writes all its plain columns, so of two at once one would undo the other.
        """
        check_id(self.model, resource_id)
        found = fetch_instances(self.model, self._lock(), [resource_id])
        if not found:
            raise errors.NotFound(not_found_sentence(self.model))
        [resource] = found
        wanted = self.request.headers.get("If-Match", "*").strip()
        if wanted != "*" and _etag(resource.updated_at) not in (tag.strip() for tag in wanted.split(",")):
            raise errors.Changed(f"{resource_id} has changed since you read it: read it again")
        resource.hold()
        return resource

    @classmethod
    @cache
    def _lock(cls) -> str:
        return statement(cls().get_queryset().select_for_update(of=("self",)).order_by().filter(resource_id=""))


def _etag(updated_at) -> str:
    return f'"{updated_at:%Y%m%d%H%M%S%f}"'


_by_id = by_id  # the name that other files know

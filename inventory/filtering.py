"""The filter language of lists: `site.name = "Berlin" AND NOT has(instance)` becomes a condition for the database.

A subset of AIP-160. Names are those of the models' fields, in camelCase or snake_case, so what a model has can be
filtered by without a line here. OR binds tighter than AND. `=` on text means "contains", in whatever case.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from inspect import isfunction
from typing import Any, get_args, get_type_hints, is_typeddict
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q
from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken

from inventory.errors import InventoryError
from inventory.lookups import Item, like
from inventory.models.base import Resource
from inventory.models.hardware import Uint64
from inventory.naming import squashed
from tenants.secrets import SealedField

LONGEST = 1000  # letters
MOST_COMPARISONS = 100
DEEPEST = 20  # NOT, AND and OR within each other
MOST_EDGES = 5  # from resource to resource in one name

GRAMMAR = Lark(
    r"""
    ?start: all
    ?all: any (_AND any)*
    ?any: one (_OR one)*
    ?one: _NOT simple -> none
        | simple
    ?simple: "(" all ")"
        | NAME OPERATOR (BARE | QUOTED) -> comparison
        | _HAS "(" NAME ")" -> has

    _AND.2: /AND\b/
    _OR.2: /OR\b/
    _NOT.2: /NOT\b/
    _HAS.2: /has(?=\s*\()/
    NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/
    OPERATOR: /!=|<=|>=|=|<|>/
    QUOTED: /"[^"]*"|'[^']*'/
    BARE: /[^\s()"'=<>!]+/
    %ignore /[ \t\r\n]+/
    """,
    parser="lalr",
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # NUL can't even reach Postgres
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"-?[0-9]+")
_ONLY_EQUAL = "only = and != can be asked here; < and > compare numbers, times and text"
_LOOKUPS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


@lru_cache(maxsize=64)  # clients poll with the same few; what is kept asks the database anew each time
def condition(model: type[Resource], text: str) -> Q:
    """What the filter says about resources of this kind. Raises InventoryError if it can't be understood."""
    if not text.strip():
        return Q()
    if len(text) > LONGEST:
        raise _refusal(f"{len(text)} letters are too many; {LONGEST} is the most")
    if strange := _CONTROL.search(text):
        raise _refusal(f"{strange[0]!r} at {strange.start()} is not a letter that a filter can have")
    try:
        tree = GRAMMAR.parse(text)
    except UnexpectedInput as unexpected:
        raise _refusal(_what_is_unexpected(text, unexpected)) from None
    if sum(1 for _ in tree.find_pred(lambda part: part.data in ("comparison", "has"))) > MOST_COMPARISONS:
        raise _refusal(f"more than {MOST_COMPARISONS} comparisons")
    return _condition(model, tree)


def _refusal(sentence: str) -> InventoryError:
    return InventoryError(f"filter: {sentence}")


def _what_is_unexpected(text: str, unexpected: UnexpectedInput) -> str:
    if isinstance(unexpected, UnexpectedToken) and unexpected.token.type == "$END":
        return "it ends too early"
    at = unexpected.pos_in_stream or 0
    return f"can't read {text[at : at + 20]!r} at {at}; it takes name = 'value', has(name), AND, OR, NOT and ( )"


def _condition(model: type[Resource], tree: Tree, depth: int = 0, *, is_denied: bool = False) -> Q:
    """is_denied: somewhere above is a NOT, under which unknown isn't false."""
    if depth > DEEPEST:
        raise _refusal(f"conditions lie in each other at most {DEEPEST} deep")
    parts: list[Any] = tree.children
    match tree.data:
        case "has":
            return _at(model, parts[0], _has)
        case "comparison":
            name, operator, constant = parts
            return _at(model, name, lambda target: _compare(target, str(operator), _text(constant)))
    is_denied = is_denied or tree.data == "none"
    inner = [_condition(model, part, depth + 1, is_denied=is_denied) for part in parts]
    match tree.data:
        case "none":
            return ~inner[0]
        case "any" if is_denied:
            return Q(*inner, _connector=Q.OR)
        case "any":
            return _any(model, inner)
    return Q(*inner)


def _any(model: type[Resource], conditions: list[Q]) -> Q:
    """Any of them. What is asked of other resources is looked up apart, and then all that was found is put together:

    Postgres uses no index for an OR over several tables, and a search box asks for that. It is put together as an
    array of ids, since Postgres takes what many tables find together for much, and would read all rows beside it.
    """
    of_others: list[Q] = []
    of_itself: list[Q] = []
    for one in conditions:
        asks_others = any(isinstance(part, Exists) for part in one.flatten())
        (of_others if asks_others else of_itself).append(one)
    if not of_others or not (of_itself or of_others[1:]):
        return Q(*conditions, _connector=Q.OR)
    own = [Q(*of_itself, _connector=Q.OR)] if of_itself else []
    found = [model.objects.filter(one).order_by().values("resource_id") for one in own + of_others]
    return Q(resource_id__any=ArraySubquery(found[0].union(*found[1:])))


def _text(constant: Token) -> str | None:
    """Whatever it is quoted by; None for null."""
    if constant.type == "QUOTED":
        return constant[1:-1]
    return None if constant == "null" else str(constant)


# Names ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    path: str  # as Django's lookups name it
    field: Any  # a models.Field, of whatever kind


@dataclass(frozen=True)
class Edge:
    """What leads to other resources: `far` of theirs has the value that `near` of this one has."""

    to: type[Resource]
    near: str
    far: str
    id: Column | None  # of the other resource, if this one has it in a column

    def where(self, others: Q) -> Q:
        return Q(Exists(self.to.objects.filter(others, **{self.far: OuterRef(self.near)})))


@dataclass(frozen=True)
class Items:
    """Objects in a JSON document; `shape` is their TypedDict."""

    column: str
    path: str
    shape: type

    def where(self, sql: str, *params: Any) -> Q:
        return Q(**{f"{self.column}__has_item": Item(self.path, sql, params)})


@dataclass(frozen=True)
class ItemField:
    items: Items
    key: str
    kind: Any


Target = Column | Edge | Items | ItemField


def _at(model: type[Resource], name: str, say: Callable[[Target], Q]) -> Q:
    """What is said about the end of a dotted name, as a condition on the resources at its beginning."""
    if name.count(".") > MOST_EDGES:
        raise _refusal(f"{name}: names lead over at most {MOST_EDGES} edges")
    target, edges = _find(model, name)
    try:
        said = say(target)
    except ValueError as wrong:
        raise _refusal(f"{name}: {wrong}") from None
    for edge in reversed(edges):
        said = edge.where(said)
    return said


def _find(model: type[Resource], name: str) -> tuple[Target, list[Edge]]:
    """What a dotted name stands for, and the edges to follow to the resource that has it."""
    *along, last = name.split(".")
    names = _names(model)
    edges: list[Edge] = []
    for part in along:
        match _pick(names, part, name):
            case Edge() as edge:
                edges.append(edge)
                names = _names(edge.to)
            case Items() as items:
                names = _fields(items)
            case _:
                names = {}
    target = _pick(names, last, name)
    match target, edges:
        case Column(path=path), [*before, Edge(id=Column() as own, far=far)] if path == far:
            return own, before  # `site.resourceId` of a host is in the host itself
    return target, edges


def _pick(names: Mapping[str, Target], part: str, name: str) -> Target:
    try:
        return names[squashed(part)]
    except KeyError:
        raise _refusal(f"{name}: there is no field {part!r}") from None


@cache
def _names(model: type[Resource]) -> Mapping[str, Target]:
    """All that a resource can be asked for."""
    names: dict[str, Target] = {}
    fields: list[Any] = model._meta.get_fields()
    for field in fields:
        name = field.get_accessor_name() if field.auto_created and not field.concrete else field.name
        if field.is_relation:
            if edge := _edge(field):
                names[squashed(name)] = edge
                if not field.concrete:
                    names.setdefault(squashed(f"{name}s"), edge)  # workloadMembers, of which there is one at most
                names |= {squashed(f"{name}_id"): edge.id} if edge.id else {}
        elif lists := _lists(getattr(field, "default", None)):
            for part, shape in lists.items():
                names[squashed(f"{model.__name__}{part}")] = Items(field.name, f"$.{part}[*]", shape)
        elif not field.primary_key and not isinstance(field, SealedField):
            names[squashed(name)] = Column(name, field)
    for own_id in (f"{model.__name__}id", f"{model.prefix}resourceid"):  # instanceID, osResourceID
        names.setdefault(squashed(own_id), names["resourceid"])
    if "parentregion" in names:
        names["parentid"] = names["parentregionid"]
    return names


def _edge(field: Any) -> Edge | None:
    """Leads from one resource to others, never out of the inventory."""
    if not issubclass(field.related_model or object, Resource):
        return None
    to = field.related_model
    if field.many_to_many:
        there = field.related_query_name() if field.concrete else field.remote_field.name
        return Edge(to, "pk", there, None)
    if field.concrete:
        far = field.target_field
        return Edge(to, field.attname, far.name, Column(f"{field.name}__{far.name}", far))
    return Edge(to, field.field.target_field.name, field.field.attname, None)


def _lists(default: Any) -> dict[str, type]:
    """The lists in a JSON document, and what is in them: its default is a function that promises a TypedDict."""
    document = get_type_hints(default).get("return") if isfunction(default) else None
    return _lists_of(document) if is_typeddict(document) else {}


def _lists_of(shape: Any) -> dict[str, type]:
    kinds = get_type_hints(shape)
    return {key: get_args(kind)[0] for key, kind in kinds.items() if is_typeddict((*get_args(kind), None)[0])}


@cache
def _fields(items: Items) -> Mapping[str, Target]:
    kinds = get_type_hints(items.shape)
    fields: dict[str, Target] = {squashed(key): ItemField(items, key, kind) for key, kind in kinds.items()}
    for key, shape in _lists_of(items.shape).items():
        fields[squashed(key)] = Items(items.column, f"{items.path}.{key}[*]", shape)
    return fields


# What is said of them ---------------------------------------------------------------------------------------------


def _has(target: Target) -> Q:
    match target:
        case Edge(id=Column(path=path)):
            return Q(**{f"{path}__isnull": False})
        case Edge():
            return target.where(Q())
        case Items():
            return target.where("true")
    raise ValueError("has() asks for related resources, and this is a plain field")


def _compare(target: Target, operator: str, text: str | None) -> Q:
    match target:
        case Column():
            return _compare_column(target, operator, text)
        case Edge(id=Column() as own):
            return _compare_column(own, operator, text)
        case Edge() if text is None:
            return _is_or_not(operator, ~_has(target))
        case Edge(to=to):
            return target.where(_compare(_names(to)["resourceid"], operator, text))
        case ItemField():
            return _compare_item(target, operator, text)
    raise ValueError("this is a list; name a field of its items, or ask has()")


def _compare_column(column: Column, operator: str, text: str | None) -> Q:
    path, field = column.path, column.field
    if text is None:
        return _is_or_not(operator, Q(**{f"{path}__isnull": True}))
    value = _value(field, text)
    if operator == "=" and _is_part_of_text(field, value):
        return Q(**{f"{path}__like": value})
    if operator in ("=", "!="):
        return _is_or_not(operator, _exactly(path, field, value))
    if field.choices or isinstance(field, models.BooleanField | models.UUIDField | models.JSONField):
        raise ValueError(_ONLY_EQUAL)
    return Q(**{f"{path}__{_LOOKUPS[operator]}": value})


def _is_or_not(operator: str, is_so: Q) -> Q:
    if operator not in ("=", "!="):
        raise ValueError(_ONLY_EQUAL)
    return is_so if operator == "=" else ~is_so


def _value(field: Any, text: str) -> Any:
    """The constant as what the field holds. Raises ValueError if it can't be that."""
    if field.choices:
        return _one_of([value for value, _ in field.flatchoices], text)
    match field:
        case models.BooleanField():
            return _one_of(["true", "false"], text) == "true"
        case models.IntegerField():
            return _number(text)
        case models.DateTimeField():
            return _time(text)
        case models.UUIDField():
            return UUID(text) if _UUID.fullmatch(text) else text
        case models.CharField() | models.TextField() | models.JSONField():
            return text
    try:
        return field.to_python(text)
    except ValidationError as wrong:
        raise ValueError("; ".join(wrong.messages)) from None


def _one_of(values: list[str], text: str) -> str:
    if text not in values:
        raise ValueError(f"{text!r} is none of {', '.join(values)}")
    return text


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time like 2026-01-31T12:00:00Z") from None


def _is_part_of_text(field: Any, value: Any) -> bool:
    """If `=` looks for the value anywhere in the text. A whole id contains itself only, so an index finds it."""
    if not isinstance(value, str) or not value or field.choices:
        return False
    return not (field.name == "resource_id" and re.fullmatch(rf"{field.model.prefix}-[0-9a-f]{{8}}", value))


def _exactly(path: str, field: Any, value: Any) -> Q:
    match field, value:
        case models.DateTimeField(), _:  # the JSON shows milliseconds, the database has microseconds
            milliseconds = value.microsecond // 1000 * 1000
            span = (value.replace(microsecond=milliseconds), value.replace(microsecond=milliseconds + 999))
            return Q(**{f"{path}__range": span})
        case models.UUIDField(), "":
            return Q(**{f"{path}__isnull": True})
        case models.UUIDField(), str():
            raise ValueError(f"{value!r} is not a UUID")
        case models.JSONField(), "":
            value = field.get_default()
        case models.JSONField(), _:
            raise ValueError("this is = a part of its text, or empty")
    equal = Q(**{path: value})
    return equal if value else equal | Q(**{f"{path}__isnull": True})  # nothing, 0 and false are what unset looks like


def _compare_item(field: ItemField, operator: str, text: str | None) -> Q:
    """True if any item compares so."""
    where, value = field.items.where, f"(item ->> '{field.key}')"
    if operator not in ("=", "!=") and (text is None or field.kind is bool):
        raise ValueError(_ONLY_EQUAL)
    if text is None:
        return where(f"{value} IS {'' if operator == '=' else 'NOT'} NULL")
    if field.kind in (int, Uint64):
        is_number = f"{value} ~ '^-?[0-9]+$'"
        return where(f"CASE WHEN {is_number} THEN {value}::numeric {operator} %s END", _number(text))
    if field.kind is bool:
        return where(f"coalesce({value}, 'false') {operator} %s", _one_of(["true", "false"], text))
    if operator == "=" and text:
        return where(f"{value} ILIKE %s", like(text))
    return where(f"coalesce({value}, '') {operator} %s", text)

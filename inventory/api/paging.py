"""The order of a list, and the place in it that a page token stands for."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import JSONField, Q

from inventory import errors
from inventory.models.base import Resource
from inventory.naming import squashed
from tenants.secrets import SealedField

LARGEST_PAGE = 100
FARTHEST_OFFSET = 10_000


def order(model: type[Resource], collection: str, text: str) -> list[str]:
    """The columns to order by, the resource_id last, so that no two pages show the same. Raises InventoryError."""
    shown = [f for f in model._meta.concrete_fields if not f.primary_key and not isinstance(f, SealedField)]
    columns = {squashed(f.attname): f.attname for f in shown}
    found = []
    for item in text.split(",") if text.strip() else []:
        name, _, direction = item.strip().partition(" ")
        column = columns.get(squashed(name))
        if column is None or direction.strip().lower() not in ("", "asc", "desc"):
            raise errors.InventoryError(f"orderBy: can't order {collection} by {item.strip()!r}")
        found.append(f"{'-' if direction.strip().lower() == 'desc' else ''}{column}")
    return found if {"resource_id", "-resource_id"} & {*found} else [*found, "resource_id"]


@dataclass(frozen=True)
class Place:
    """Behind which resource of a list a page begins: the values it is ordered by. None is the list's beginning."""

    total: int  # resources in the list when its first page was read
    values: tuple[Any, ...] | None = None

    @classmethod
    def read(cls, model: type[Resource], order: list[str], token: str) -> "Place":
        """Raises InventoryError if we haven't given this token, or not for a list in this order."""
        try:
            total, of_order, values = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
            if of_order != order or type(total) is not int or len(values) != len(order):
                raise errors.InventoryError("pageToken is of a list in another order: begin again with an empty one")
            values = tuple(_value(model, name, value) for name, value in zip(order, values, strict=True))
        except (ValueError, TypeError, RecursionError, binascii.Error, ValidationError):
            raise errors.InventoryError("pageToken is none that we have given: begin again with an empty one") from None
        return cls(total, values)

    def at(self, model: type[Resource], order: list[str], resource_id: str) -> "Place":
        """Behind this resource, which was the last of a page."""
        if order in (["resource_id"], ["-resource_id"]):
            return Place(self.total, (resource_id,))
        names = [name.lstrip("-") for name in order]
        return Place(self.total, model.objects.values_list(*names).get(resource_id=resource_id))

    def text(self, order: list[str]) -> str:
        values = [str(value) if isinstance(value, UUID | datetime) else value for value in self.values or ()]
        return base64.urlsafe_b64encode(json.dumps([self.total, order, values]).encode()).decode()

    def beyond(self, model: type[Resource], order: list[str]) -> Q:
        """What comes behind this place."""
        if self.values is None:
            return Q()
        behind, same = Q(pk__in=[]), Q()
        for name, value in zip(order, self.values, strict=True):
            behind |= same & _behind(name, value)
            same &= _same(name.lstrip("-"), value)
        return behind


def _value(model: type[Resource], name: str, value: Any) -> Any:
    field: Any = next(f for f in model._meta.concrete_fields if f.attname == name.lstrip("-"))
    if isinstance(field, JSONField):
        raise errors.InventoryError(f"orderBy: pages by token can't be ordered by {field.name}")
    if value is not None and not isinstance(value, str | int):
        raise ValueError(value)
    value = field.target_field.to_python(value) if field.is_relation else field.to_python(value)
    if isinstance(value, str) and "\x00" in value:
        raise ValueError(value)
    return value


def _same(column: str, value: Any) -> Q:
    return Q(**{f"{column}__isnull": True}) if value is None else Q(**{column: value})


def _behind(name: str, value: Any) -> Q:
    """Postgres puts NULL last, and first in descending order."""
    column = name.lstrip("-")
    if name.startswith("-"):
        return Q(**{f"{column}__isnull": False}) if value is None else Q(**{f"{column}__lt": value})
    return Q(pk__in=[]) if value is None else Q(**{f"{column}__gt": value}) | Q(**{f"{column}__isnull": True})

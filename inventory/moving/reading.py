"""What an answer of the REST API means for our columns, whichever server wrote it.

Numbers may be texts, what is empty may be missing, and what nobody here knows is passed over. What is neither fails
with ValidationError, which names it; of what machines told, only that one value is lost.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

from django.core.exceptions import ValidationError
from django.db import models

from inventory.models import Resource, hardware
from inventory.models.hardware import Uint64
from inventory.models.metadata import MetadataField
from inventory.naming import camel

# Columns that no answer has, or that mean something on one server only.
NOT_READ = {
    "id", "resource_id", "created_at", "updated_at", "hardware", "uuid_as_given", "power_command",
    "power_commanded_at", "credentials_sealed", "from_profile", "retracted",
}  # fmt: skip
# A session of a remote console ends with the server that leads it.
CONSOLES = {
    f"{start}_{end}"
    for kind in ("kvm", "sol")
    for start, end in (
        (f"desired_{kind}", "state"), (f"current_{kind}", "state"), (kind, "status"), (kind, "session_status"),
        (kind, "session_status_indicator"), (kind, "session_status_timestamp"),
    )
}  # fmt: skip
PARTS = {
    "storages": ("hostStorages", hardware.Storage), "nics": ("hostNics", hardware.Nic),
    "usbs": ("hostUsbs", hardware.Usb), "gpus": ("hostGpus", hardware.Gpu),
}  # fmt: skip
KUBECONFIG = "kubeconfig"  # a secret that the archived system shows among a host's metadata


def columns_of(model: type[Resource], body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The plain columns, wishes and facts that it says, references left out; and what of it can't be kept."""
    columns: dict[str, Any] = {}
    lost: list[str] = []
    told = model.facts() - model.wish_columns()
    for column in model._meta.concrete_fields:
        name = camel(column.name)
        if column.is_relation or column.name in NOT_READ | CONSOLES or body.get(name) is None:
            continue
        try:
            columns[column.name] = _value(column, name, body[name])
            if column.name in told:
                column.run_validators(columns[column.name])
        except ValidationError as wrong:
            if column.name not in told or column.name.startswith("current_"):
                raise
            columns.pop(column.name, None)
            lost.append(f"{name}: {'; '.join(wrong.messages)}")
    if any(said in body for said, _ in PARTS.values()):
        columns["hardware"] = {
            part: [_part(kind, one) for one in _listed(said, body.get(said))] for part, (said, kind) in PARTS.items()
        }
    pairs = columns.get("metadata")
    if isinstance(pairs, list) and (kept := [pair for pair in pairs if pair["key"] != KUBECONFIG]) != pairs:
        columns["metadata"] = kept
        lost.append("the kubeconfig in its metadata is a secret, and stays there")
    return columns, lost


def said_at(body: Mapping[str, Any], *places: str) -> str:
    """The first text at these places, each "siteId" or "site.resourceId"; "" if none says anything."""
    for place in places:
        found: Any = body
        for name in place.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if found and isinstance(found, str):
            return found
    return ""


def made_at(body: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(said_at(body, "timestamps.createdAt"))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _value(column: Any, name: str, value: Any) -> Any:
    if column.choices:
        known = {choice for choice, _ in column.choices}
        if value in ("", *known):
            return value or column.get_default()
        raise ValidationError(f"{name}: {_short(value)} is none of those known here")
    match column:
        case MetadataField():
            return [_pair(name, pair) for pair in _listed(name, value)]
        case models.JSONField():
            return [_text(name, text) for text in _listed(name, value)]
        case models.UUIDField():
            return _text(name, value) or None
        case models.BooleanField() if isinstance(value, bool):
            return value
        case models.IntegerField():
            return _whole(name, value)
    return _text(name, value)


def _pair(name: str, pair: Any) -> dict[str, str]:
    if not isinstance(pair, dict):
        raise ValidationError(f"{name}: {_short(pair)} is no key and value")
    return {part: _text(name, pair.get(part) or "") for part in ("key", "value")}


def _listed(name: str, value: Any) -> list:
    if not isinstance(value or [], list):
        raise ValidationError(f"{name}: {_short(value)} is no list")
    return value or []


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"{name}: {_short(value)} is no text") from None
        if "\0" not in value:
            return value
    raise ValidationError(f"{name}: {_short(value)} is no text")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    if value == "":
        return 0
    raise ValidationError(f"{name}: {_short(value)} is no whole number")


def _part(kind: type, told: Any) -> dict[str, Any]:
    """A part of a machine, of one of the types in inventory/models/hardware.py."""
    if not isinstance(told, dict):
        raise ValidationError(f"hardware: {_short(told)} is no part of a machine")
    return {name: _said_of(name, said, told.get(name)) for name, said in get_type_hints(kind).items()}


def _said_of(name: str, kind: Any, value: Any) -> Any:
    if get_origin(kind) is list:
        [item] = get_args(kind)
        return [_text(name, one) if item is str else _part(item, one) for one in _listed(name, value) if one != ""]
    if kind is Uint64:
        return str(_whole(name, value or 0))
    if kind is int:
        return _whole(name, value or 0)
    if kind is bool:
        return value is True
    if isinstance(value, dict):
        value = value.get("type")  # of a link's state
    return _text(name, value or "")


def _short(value: Any) -> str:
    return ascii(value)[:60]

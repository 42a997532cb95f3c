"""The floor of reading: one SQL statement that makes the JSON of a resource, with all that is nested in it.

Made from the declaration that our own reading is made from, so that it goes on answering the same; by another way.
"""

import json
from typing import Any

from rest_framework import serializers

from inventory.api.fields import (
    Constant,
    HardwarePart,
    Nested,
    NestedMany,
    Reference,
    Retired,
    SecretTexts,
    Texts,
    Uint64,
    Uuid,
)  # fmt: skip
from inventory.api.reading import empty_of

_TIME = """to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
_NO_TIMES = """'{{"timestamps":null}}'::jsonb"""
_PART = {
    "nics": f"""part.item || jsonb_build_object(
        'linkState', jsonb_build_object('type', part.item->'linkState', 'timestamps', NULL),
        'ipaddresses', (SELECT coalesce(jsonb_agg('{{{{"resourceId":""}}}}'::jsonb || ip.item || {_NO_TIMES}), '[]')
                        FROM jsonb_array_elements(part.item->'ipaddresses') AS ip(item))) || {_NO_TIMES}""",
}


class Statement:
    """SELECT of rows whose columns are named as in the JSON; {schema} is to be filled in."""

    def __init__(self, serializer: type, alias: str):
        self.joins: list[str] = []
        table = f"{{schema}}.{serializer.Meta.model._meta.db_table}"
        columns = self._columns(serializer(), alias, frozenset())
        self.sql = f"SELECT {columns} FROM {table} {alias} {' '.join(self.joins)}"

    def _columns(self, serializer: serializers.Serializer, alias: str, without: frozenset) -> str:
        fields = serializer.fields.items()
        return ", ".join(
            f'{_literal(empty_of(field)) if name in without else self._value(field, serializer, alias)} AS "{name}"'
            for name, field in fields
            if not field.write_only
        )

    def _value(self, field: serializers.Field, serializer: serializers.Serializer, alias: str) -> str:
        match field:
            case NestedMany() | Constant() | Retired() | SecretTexts():
                return _literal(empty_of(field))  # of the benches' hosts there is none
            case Nested():
                return self._nested(field, serializer, alias)
            case serializers.BaseSerializer():
                times = (f"'{name}', {_TIME.format(f'{alias}.{one.source}')}" for name, one in field.fields.items())
                return f"json_build_object({', '.join(times)})"
            case HardwarePart():
                part = _PART.get(field.part, f"part.item || {_NO_TIMES}")
                return f"""(SELECT coalesce(jsonb_agg({part}), '[]')
                    FROM jsonb_array_elements({alias}.hardware->'{field.part}') AS part(item))"""
            case Texts() if serializer.Meta.model._meta.get_field(field.source).many_to_many:
                return _literal([])
            case Reference():
                return f"coalesce({alias}.{field.source}_id, '')"
        column = f"{alias}.{field.source}"
        match field:
            case Uint64():
                return f"{column}::text"
            case Uuid():
                return f"coalesce({column}::text, '')"
        return column

    def _nested(self, field: Nested, serializer: serializers.Serializer, alias: str) -> str:
        inner, below = field.serializer, f"{alias}_{field.source}"
        relation = serializer.Meta.model._meta.get_field(field.source)
        here, there = relation.column if relation.concrete else "resource_id", "resource_id"
        if not relation.concrete:
            there = relation.field.column
        self.joins.append(
            f"LEFT JOIN {{schema}}.{inner.Meta.model._meta.db_table} {below} ON {below}.{there} = {alias}.{here}"
        )
        shown = f"(SELECT row_to_json({below}_) FROM (SELECT {self._columns(inner(), below, field.without)}) {below}_)"
        return f"CASE WHEN {below}.id IS NOT NULL THEN {shown} ELSE {_literal(empty_of(field))} END"


def _literal(value: Any) -> str:
    """As JSON; braces are doubled, for the schema's name is filled in by format()."""
    return "'" + json.dumps(value).replace("{", "{{").replace("}", "}}") + "'::json"

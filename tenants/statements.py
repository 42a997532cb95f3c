"""Statements that are always the same but for their parameters. Each is written once, and a connection has its plan

made once: to write an UPDATE anew takes Django, and to plan it Postgres, longer than to carry it out.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from django.db import NotSupportedError, connection
from django.db.models import Model
from psycopg import RawCursor
from psycopg.types.numeric import Int8

MOST_PLANS = 40  # that a connection keeps; a host's takes 380 KB of Postgres' memory, those of writes next to none
KEPT = 512  # statements of each of these kinds


class _PlainCursor(RawCursor):
    """Sends what it is given: nothing of 10 KB is parsed each time."""

    def _convert_query(self, query, params=None):
        """Kept for whoever looks at the statements of a connection, which psycopg does for unprepared ones alone."""
        self._query = super()._convert_query(query, params)
        return self._query


def fetch(sql: str, params: Sequence[Any]) -> list[tuple]:
    """The rows of a statement that is always the same but for its parameters; its plan is kept by the connection.

    Postgres plans it anew where search_path has changed since: a plan is of one schema's tables alone.
    """
    params = [Int8(value) if type(value) is int else value for value in params]  # small numbers have types of their own
    with connection.cursor() as cursor:
        session = connection.connection
        session.prepare_threshold, session.prepared_max = 0, MOST_PLANS
        cursor.cursor = _PlainCursor(session)
        try:
            cursor.execute(sql, params)
        except NotSupportedError:
            if connection.in_atomic_block:
                raise
            # A migration has changed the type of a column: "cached plan must not change result type".
            session.execute("DEALLOCATE ALL")
            cursor.execute(sql, params)
        return [] if cursor.rownumber is None else cursor.fetchall()


def insert(model: type[Model], **values: Any) -> None:
    """Make a row of these columns; its others are their defaults."""
    fetch(insertion(model, tuple(values)), saved(model, values))


def saved(model: type[Model], values: Mapping[str, Any]) -> list[Any]:
    """The values of these columns as parameters. Columns are named as Django names what holds them."""
    fields = _fields(model)
    return [fields[name].get_db_prep_save(value, connection) for name, value in values.items()]


@lru_cache(maxsize=KEPT)
def insertion(model: type[Model], names: Iterable[str], before: int = 0) -> str:
    """Makes a row of these columns, by parameters that come after so many others; its other columns are their defaults,

    which are written into the statement.
    """
    given = {name: f"${number}" for number, name in enumerate(names, before + 1)}
    values = [
        given.get(name) or connection.ops.compose_sql("%s", saved(model, {name: field.get_default()}))
        for name, field in _fields(model).items()
    ]
    columns = [connection.ops.quote_name(field.column) for field in _fields(model).values()]
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({', '.join(values)})"


@lru_cache(maxsize=KEPT)
def updating(model: type[Model], names: Iterable[str], before: int = 0) -> str:
    """Writes these columns of a row, whose key is the parameter after theirs."""
    columns = [connection.ops.quote_name(_fields(model)[name].column) for name in names]
    *written, key = (
        f"{column} = ${number}" for number, column in enumerate([*columns, model._meta.pk.column], before + 1)
    )
    return f"UPDATE {model._meta.db_table} SET {', '.join(written)} WHERE {key}"


@cache
def _fields(model: type[Model]) -> dict[str, Any]:
    return {field.attname: field for field in model._meta.concrete_fields if not field.primary_key}

"""Conditions that filters need and Django has not: text with wildcards, and items of a JSON document."""

from dataclasses import dataclass
from typing import Any

from django.db import models


def like(text: str) -> str:
    """The LIKE pattern of a text that contains this one; `*` stands for any letters, all others for themselves."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text.replace('*', '%')}%"


class Contains(models.Lookup):
    """Text that contains another, in whatever case. ILIKE, which an index of trigrams can serve."""

    lookup_name = "like"
    prepare_rhs = False
    text = "{}::text"

    def as_sql(self, compiler, connection):
        column, params = self.process_lhs(compiler, connection)
        return f"{self.text.format(column)} ILIKE %s", [*params, like(self.rhs)]


class CompactJsonContains(Contains):
    """The same of a JSON document written without blanks, as clients wrote it; none of its own letters is a blank."""

    text = "replace({}::text, ' ', '')"


@dataclass(frozen=True)
class Item:
    """A condition on items of lists in a JSON document: `sql` speaks of `item`, a value of jsonb."""

    path: str
    sql: str
    params: tuple[Any, ...] = ()


class HasItem(models.Lookup):
    """JSON that has, at a path, an item for which a condition is true."""

    lookup_name = "has_item"
    prepare_rhs = False

    def as_sql(self, compiler, connection):
        column, params = self.process_lhs(compiler, connection)
        return (
            f"EXISTS (SELECT FROM jsonb_path_query({column}, %s::jsonpath) AS item WHERE {self.rhs.sql})",
            [*params, self.rhs.path, *self.rhs.params],
        )


class AnyOf(models.Lookup):
    """One of a list, or of an array that the database makes. Unlike Django's `in`, the statement is the same however

    long the list is.
    """

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler, connection):
        column, params = self.process_lhs(compiler, connection)
        listed, more = self.process_rhs(compiler, connection)
        return f"{column} = ANY({listed})", [*params, *more]


for kind in (models.CharField, models.TextField, models.UUIDField):
    kind.register_lookup(Contains)
models.CharField.register_lookup(AnyOf)
models.ForeignKey.register_lookup(AnyOf)
models.JSONField.register_lookup(CompactJsonContains)
models.JSONField.register_lookup(HasItem)

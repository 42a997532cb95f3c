"""Sealing all secrets anew with the newest key, in every schema; what was done already is left alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django_tenants.utils import schema_context

from tenants.errors import SealedByAnotherKey
from tenants.models import Project
from tenants.secrets import SealedField, is_sealed_by_the_newest, seal, unseal

BATCH = 500  # rows


@dataclass
class Rotated:
    """How many secrets were sealed anew, how many were so already, and the rows that no key opens."""

    anew: int = 0
    already: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    schema: str
    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.schema} {self.model._meta.label}.{self.name}"


def columns() -> Iterator[Column]:
    """Every sealed column of every schema; of shared tables once, from public, where all rows are seen."""
    in_tenants = {name.rsplit(".", 1)[-1] for name in settings.TENANT_APPS}
    found = [
        (model, column.name)
        for model in apps.get_models()
        for column in model._meta.local_fields
        if isinstance(column, SealedField)
    ]
    for model, name in found:
        if model._meta.app_label not in in_tenants:
            yield Column("public", model, name)
    theirs = [(model, name) for model, name in found if model._meta.app_label in in_tenants]
    for schema in Project.objects.ready().order_by("pk").values_list("schema_name", flat=True) if theirs else ():
        for model, name in theirs:
            yield Column(schema, model, name)


def rotate(column: Column, rotated: Rotated, tell: Callable[[], None] = lambda: None) -> None:
    """Seal the column anew, batch by batch, each in a transaction of its own."""
    with schema_context(column.schema):
        rows = column.model._base_manager.exclude(**{column.name: ""}).exclude(**{column.name: None})
        last: object = None
        while batch := list(
            (rows if last is None else rows.filter(pk__gt=last)).order_by("pk").values_list("pk", column.name)[:BATCH]
        ):
            with transaction.atomic():
                for pk, sealed in batch:
                    _seal_anew(column, pk, sealed, rotated)
            last = batch[-1][0]
            tell()


def _seal_anew(column: Column, pk: object, sealed: str, rotated: Rotated) -> None:
    if is_sealed_by_the_newest(sealed):
        rotated.already += 1
        return
    try:
        fresh = seal(unseal(sealed))
    except SealedByAnotherKey:
        rotated.lost.append(f"{column} of row {pk}")
        return
    # Only if it is still the same: whoever wrote a new secret meanwhile has sealed it with the newest key.
    same = {"pk": pk, column.name: sealed}
    rotated.anew += column.model._base_manager.filter(**same).update(**{column.name: fresh})

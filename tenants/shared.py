"""The rows of a tenant in the tables that all tenants share: which tables those are, and how its rows go."""

from collections.abc import Iterator

from django.apps import apps
from django.db import connection
from django.db.models import Model

ROWS_AT_ONCE = 5_000  # deleted in one transaction: its locks are held for some 50 ms


def tables() -> list[type[Model]]:
    """The models with a column `schema`, which says whose a row is, but for those that say `outlives_tenant = True`.

    The journal goes with its tenant: its readers are the tenant's. That a project was made and deleted, and by whom,
    is in the journal of public, and stays.
    """
    return [
        model for model in apps.get_models()
        if "schema" in {field.name for field in model._meta.concrete_fields}
        and not getattr(model, "outlives_tenant", False)
    ]  # fmt: skip


def forgetting(schema: str) -> Iterator[int]:
    """Delete this tenant's rows, some in a transaction, while it is iterated over; yields after each how many.

    Call from public.
    """
    for model in tables():
        table = connection.ops.quote_name(model._meta.db_table)
        while True:
            with connection.cursor() as cursor:  # not by the model: it may refuse to have its rows deleted one by one
                cursor.execute(
                    f"DELETE FROM {table} WHERE ctid = ANY("
                    f"ARRAY(SELECT ctid FROM {table} WHERE schema = %s LIMIT {ROWS_AT_ONCE}))",
                    [schema],
                )
                gone = cursor.rowcount
            if not gone:
                break
            yield gone

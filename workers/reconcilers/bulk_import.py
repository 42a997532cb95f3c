"""Imports the rows of an uploaded file, some in a step: a step is there whole, with what it tells, or not at all."""

import json
from collections import Counter
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from inventory.bulk.importer import Importer
from inventory.bulk.rows import Row, read
from inventory.bulk.sheet import Line
from inventory.bulk.wanted import Outcome
from tenants.events import acting_as
from tenants.models import BulkImport, BulkImportState, BulkRow
from workers.engine import Done, Later, Reconciler, register

STEP = 200  # rows: less than a second, after which others have their turn
COUNTED = {
    Outcome.IMPORTED: "imported", Outcome.COMPLETED: "completed", Outcome.KNOWN: "already_registered",
    Outcome.FAILED: "failed",
}  # fmt: skip


@register
class BulkImports(Reconciler):
    model = BulkImport

    def reconcile(self, bulk):
        with transaction.atomic():  # a worker that is killed, or whose lease is lost, has imported nothing
            rows = [*bulk.rows.filter(number__gt=bulk.done).order_by("number")[:STEP]]
            if rows:
                self._step(bulk, rows)
        if bulk.done < bulk.total:
            return Later(timedelta(), f"{bulk.done:,} of {bulk.total:,} rows")
        return Done(self._summary(bulk), state=BulkImportState.DONE, finished_at=timezone.now())

    def _step(self, bulk: BulkImport, rows: list[BulkRow]) -> None:
        importer = Importer(onboard=bulk.onboard, dry_run=bulk.dry_run)
        with acting_as(bulk.who):
            told = importer.import_together([_read(row, bulk) for row in rows])
        _note(bulk, told)
        counts = Counter(COUNTED[outcome] for _, outcome in told)
        counted = {column: getattr(bulk, column) + count for column, count in counts.items()}
        bulk.observe(done=rows[-1].number, **counted)

    def _summary(self, bulk: BulkImport) -> str:
        counted = ", ".join(
            f"{getattr(bulk, column):,} {outcome}" for outcome, column in COUNTED.items() if getattr(bulk, column)
        )
        return f"{'Tried' if bulk.dry_run else 'Imported'}: {counted}"


def _note(bulk: BulkImport, told: list[tuple[Row, Outcome]]) -> None:
    """In one statement; Django's bulk_update() takes half as long as the import itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE tenants_bulkrow AS row
            SET outcome = told.outcome, problems = told.problems::jsonb, resource_id = told.resource_id
            FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS told(number, outcome, problems, resource_id)
            WHERE row.bulk_import_id = %s AND row.number = told.number
            """,
            [
                [row.number for row, _ in told], [outcome.value for _, outcome in told],
                [json.dumps(row.problems) for row, _ in told], [row.host_id for row, _ in told], bulk.pk,
            ],
        )  # fmt: skip


def _read(row: BulkRow, bulk: BulkImport) -> Row:
    return read(Line(row.number, row.cells, row.faults), bulk.overrides)

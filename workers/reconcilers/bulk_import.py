"""Imports the rows of an uploaded file, some in a step: a step is there whole, with what it tells, or not at all."""

from datetime import timedelta

from django.db import transaction
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
        counted = {column: getattr(bulk, column) for column in COUNTED.values()}
        for row, (understood, outcome) in zip(rows, told, strict=True):
            row.outcome, row.problems, row.resource_id = outcome, understood.problems, understood.host_id
            counted[COUNTED[outcome]] += 1
        BulkRow.objects.bulk_update(rows, ["outcome", "problems", "resource_id"])
        bulk.observe(done=rows[-1].number, **counted)

    def _summary(self, bulk: BulkImport) -> str:
        counted = ", ".join(
            f"{getattr(bulk, column):,} {outcome}" for outcome, column in COUNTED.items() if getattr(bulk, column)
        )
        return f"{'Tried' if bulk.dry_run else 'Imported'}: {counted}"


def _read(row: BulkRow, bulk: BulkImport) -> Row:
    return read(Line(row.number, row.cells, row.problems), bulk.overrides)

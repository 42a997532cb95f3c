"""Bulk imports that the loop works at: made of an uploaded file, or of what a trial of one has kept."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.db.models import F

from inventory.bulk.rows import Reader
from inventory.bulk.sheet import ERROR, LONG, Sheet, guarded
from inventory.bulk.wanted import Outcome
from tenants.errors import TooMany
from tenants.models import BulkImport, BulkImportState, BulkRow

LARGEST_FILE = 20_000_000  # bytes: more than 100,000 rows
MOST_AT_ONCE = 5  # imports of a project that aren't done
CHUNK = 500  # rows in memory at once


def begin(path: Path, name: str, who: str, *, onboard: bool, dry_run: bool, overrides: dict[str, str]) -> BulkImport:
    """Ask for the import of a file; its rows are made with it, so that whoever reads it finds all of them.

    overrides: cells, by column, that stand in every row. Raises SheetError, TooMany.
    """
    reader = Reader(Sheet(path, name=name), {})
    bulk = BulkImport(name=name[-255:], who=who, onboard=onboard, dry_run=dry_run, overrides=overrides)
    return _ask_for(bulk, reader.total, reader.lines())


def for_real(trial: BulkImport, who: str) -> BulkImport:
    """Ask for the import of what was tried: each row is looked at anew. Raises TooMany."""
    bulk = BulkImport(name=trial.name, who=who, onboard=trial.onboard, overrides=trial.overrides)
    tried = trial.rows.order_by("number").values_list("number", "cells", "faults")
    return _ask_for(bulk, trial.total, tried.iterator(chunk_size=CHUNK))


@transaction.atomic
def _ask_for(bulk: BulkImport, total: int, lines: Iterator[tuple[int, dict[str, str], list[str]]]) -> BulkImport:
    if BulkImport.objects.exclude(current_state=F("desired_state")).count() >= MOST_AT_ONCE:
        raise TooMany(f"{MOST_AT_ONCE} bulk imports of this project aren't done yet: wait for one, or delete it", 10)
    bulk.total = total
    bulk.ask(state=BulkImportState.DONE)
    while some := [*islice(lines, CHUNK)]:
        BulkRow.objects.bulk_create(
            BulkRow(schema=bulk.schema, bulk_import=bulk, number=n, cells=cells, faults=faults)
            for n, cells, faults in some
        )
    return bulk


def error_rows(bulk: BulkImport) -> Iterator[list[str]]:
    """Of an error file as the archived tools write it: a header, and each row that failed, with why."""
    yield [*LONG]
    failed = bulk.rows.filter(outcome=Outcome.FAILED).order_by("number").values_list("cells", "problems")
    for cells, problems in failed.iterator(chunk_size=CHUNK):
        told = {**cells, ERROR: "".join(f"{problem};" for problem in problems)}
        yield [guarded(told.get(column, "")) for column in LONG]

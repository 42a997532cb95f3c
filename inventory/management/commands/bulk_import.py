"""`manage.py bulk_import FILE --project demo`: registers the hosts of a CSV file, with site, metadata and instance."""

import sys
import time
from collections import Counter
from pathlib import Path

from django.core.management.base import CommandError
from django.db import OperationalError

from inventory.bulk.importer import Importer
from inventory.bulk.options import BulkCommand, add_overrides, add_project, add_server, overrides, ready_project, server
from inventory.bulk.progress import progress
from inventory.bulk.remote import RemoteImporter
from inventory.bulk.rows import Reader, Row
from inventory.bulk.server import ServerError
from inventory.bulk.sheet import ErrorFile, Sheet, SheetError
from inventory.bulk.wanted import Outcome
from tenants.events import acting_as
from tenants.schema import in_schema

SHOWN = 10  # failed rows on the terminal; the error file has them all


class Command(BulkCommand):
    help = "Register the hosts of a CSV file. Good rows are imported, bad ones are told; it is safe to run it again."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        add_project(parser)
        parser.add_argument("--onboard", action="store_true", help="onboard the machines as soon as they show up")
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be done to each row, and do nothing"
        )
        add_overrides(parser)
        add_server(parser)

    def handle(self, *, file: Path, verbosity: int, **options):
        self.began, self.count, self.error_file = time.monotonic(), Counter(), None
        self.each_row = options["dry_run"] or verbosity > 1
        try:
            if options["url"]:
                self._remotely(file, **options)
            else:
                self._here(file, **options)
        except (SheetError, ServerError) as wrong:
            raise CommandError(f"{wrong}{self._so_far()}") from wrong
        except OperationalError as away:
            raise CommandError(f"The database failed: {str(away).splitlines()[0]}{self._so_far()}") from away
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted{self._so_far()}") from None

    def _here(self, file: Path, *, project: str | None, onboard: bool, dry_run: bool, **options) -> None:
        with in_schema(ready_project(project)), acting_as("bulk_import"):
            reader = Reader(Sheet(file), overrides(options))
            self._import(reader, Importer(onboard=onboard, dry_run=dry_run))
        self._summarize(reader.total, dry_run)

    def _remotely(
        self, file: Path, *, url: str, project: str | None, onboard: bool, dry_run: bool, token_file: Path | None,
        issuer: str | None, parallel: int, **options,
    ) -> None:  # fmt: skip
        reader = Reader(Sheet(file), overrides(options))
        with server(url, project, token_file, issuer, parallel) as there:
            self._import(reader, RemoteImporter(there, onboard=onboard, dry_run=dry_run, parallel=parallel))
        self._summarize(reader.total, dry_run)

    def _import(self, reader: Reader, importer: Importer | RemoteImporter) -> None:
        with (
            ErrorFile("import", reader.sheet) as errors,
            progress(reader.total, "rows", plainly=self.each_row) as advance,
        ):
            self.error_file = errors.path
            for batch in importer.run(reader.rows()):
                for row, outcome in batch:
                    self._tell(row, outcome, errors)
                advance(len(batch))

    def _tell(self, row: Row, outcome: Outcome, errors: ErrorFile) -> None:
        self.count[outcome] += 1
        if outcome == Outcome.FAILED:
            if self.each_row or self.count[outcome] <= SHOWN:
                # Not self.stderr: while a bar is drawn, sys.stderr is one that writes above it.
                print(f"row {row.number}: {'; '.join(row.problems)}", file=sys.stderr)
            errors.tell(row.cells, row.problems)
        elif self.each_row:
            became = f"{outcome} {row.host_id}".rstrip()
            self.stdout.write(f"row {row.number}: {row.serial or '-'} {row.uuid or '-'} {became}")

    def _summarize(self, total: int, dry_run: bool) -> None:
        seconds = time.monotonic() - self.began
        counted = ", ".join(f"{self.count[outcome]} {outcome}" for outcome in Outcome if self.count[outcome])
        told = f"{total} rows: {counted or 'nothing to import'}, in {seconds:.1f} s ({total / seconds:.0f} rows/s)"
        if dry_run:
            told = f"{told}; nothing was changed, this was a dry run"
        if self.count[Outcome.FAILED]:
            raise CommandError(f"Failed to import all hosts; {told}; see {self.error_file}")
        self.stdout.write(f"CSV import successful; {told}")

    def _so_far(self) -> str:
        done = self.count.total() - self.count[Outcome.FAILED]
        return f"; {done} rows were imported before, run it again to go on" if done else ""

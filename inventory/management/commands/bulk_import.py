"""`manage.py bulk_import FILE --project demo`: registers the hosts of a CSV file, with site, metadata and instance."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

from inventory.bulk.importer import Importer, Outcome
from inventory.bulk.rows import Reader
from inventory.bulk.sheet import ErrorFile, Sheet, SheetError
from tenants.events import acting_as
from tenants.models import Project
from tenants.schema import in_schema

# Option, variable of the environment (the option beats it), and the column in whose cells the value stands instead.
OVERRIDES = (
    ("--os-profile", "EDGEORCH_OSPROFILE", "OSProfile"),
    ("--site", "EDGEORCH_SITE", "Site"),
    ("--secure", "EDGEORCH_SECURE", "Secure"),
    ("--remote-user", "EDGEORCH_REMOTEUSER", "RemoteUser"),
    ("--metadata", "EDGEORCH_METADATA", "Metadata"),
    ("--lvm-size", "EDGEORCH_LVMSIZE", "LVMSize"),
    ("--cloud-init", "EDGEORCH_CLOUDINIT", "CloudInitMeta"),
    ("--cluster-deploy", "EDGEORCH_CLUSTERDEPLOY", "K8sEnable"),
    ("--cluster-template", "EDGEORCH_CLUSTERTEMPLATE", "K8sClusterTemplate"),
    ("--cluster-config", "EDGEORCH_CLUSTERCONFIG", "K8sConfig"),
)
SHOWN = 10  # failed rows on the terminal; the error file has them all
TELL_EVERY = 2.0  # seconds, where there is no terminal to draw a bar on


def add_overrides(parser) -> None:
    for option, variable, column in OVERRIDES:
        default = os.environ.get(variable, "")
        parser.add_argument(option, dest=column, default=default, help=f"{column} of every row (or ${variable})")


def overrides(options: dict[str, object]) -> dict[str, str]:
    return {column: str(options[column]).strip() for _, _, column in OVERRIDES if options.get(column)}


class Command(BaseCommand):
    help = "Register the hosts of a CSV file. Good rows are imported, bad ones are told; it is safe to run it again."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", default=os.environ.get("EDGEORCH_PROJECT"), help="(or $EDGEORCH_PROJECT)")
        parser.add_argument("--onboard", action="store_true", help="onboard the machines as soon as they show up")
        parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
        add_overrides(parser)

    def handle(self, *, file: Path, project: str | None, onboard: bool, dry_run: bool, **options):
        importer = Importer(onboard=onboard, dry_run=dry_run)
        self.began, self.count, self.error_file = time.monotonic(), Counter(), None
        try:
            with in_schema(_ready(project)), acting_as("bulk_import"):
                reader = Reader(Sheet(file), overrides(options))
                self._import(reader, importer)
        except SheetError as wrong:
            raise CommandError(f"{wrong}{self._so_far()}") from wrong
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted{self._so_far()}") from None
        self._summarize(reader.total, dry_run)

    def _import(self, reader: Reader, importer: Importer) -> None:
        with ErrorFile("import", reader.sheet) as errors, self._progress(reader.total) as advance:
            self.error_file = errors.path
            for row, outcome in importer.run(reader.rows()):
                self.count[outcome] += 1
                if outcome == Outcome.FAILED:
                    if self.count[outcome] <= SHOWN:
                        self.stderr.write(f"row {row.number}: {'; '.join(row.problems)}")
                    errors.write(row.cells, row.problems)
                advance()

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

    @contextmanager
    def _progress(self, total: int):
        """A bar with rate and time left; where there's no terminal, a plain line now and then."""
        if sys.stderr.isatty():
            columns = BarColumn(), MofNCompleteColumn(), RowsPerSecond(), TimeRemainingColumn()
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("", total=total)
                yield lambda: bar.advance(task)
        else:
            yield self._plain_progress(total)

    def _plain_progress(self, total: int) -> Callable[[], None]:
        told = time.monotonic()

        def advance() -> None:
            nonlocal told
            if (now := time.monotonic()) - told < TELL_EVERY:
                return
            told, done = now, self.count.total()
            rate = done / (now - self.began)
            self.stderr.write(f"{done} of {total} rows, {rate:.0f} rows/s, {(total - done) / rate:.0f} s left")

        return advance


class RowsPerSecond(ProgressColumn):
    def render(self, task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f} rows/s")


def _ready(name: str | None) -> Project:
    if not name:
        raise CommandError("Which project? Say --project NAME, or set EDGEORCH_PROJECT")
    project = Project.objects.filter(name=name).first()
    if project is None or project.state != Project.State.READY:
        raise CommandError(f"Project {name} is {project.state if project else 'not there'}")
    return project

"""`manage.py bulk_check check FILE` finds what is wrong with a bulk file; `generate FILE` writes an empty one."""

from pathlib import Path

from django.core.management.base import CommandError

from inventory.bulk.options import BulkCommand, add_overrides, overrides
from inventory.bulk.rows import Reader
from inventory.bulk.sheet import LONG, SHORT, ErrorFile, Sheet, SheetError, write_template


class Command(BulkCommand):
    help = "Check a CSV file of hosts before it is imported, without a look at the inventory; or write an empty one."
    requires_system_checks = []

    def add_arguments(self, parser):
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser("check", help="find everything that is wrong in the file itself")
        check.add_argument("file", type=Path)
        add_overrides(check)
        generate = verbs.add_parser("generate", help="write a file with only the header; one that is there is kept")
        generate.add_argument("file", type=Path)
        generate.add_argument("--long", action="store_true", help="with the columns for LVM, cloud-init and clusters")

    def handle(self, *, verb, **options):
        try:
            return self.check_file(**options) if verb == "check" else self.generate(**options)
        except SheetError as wrong:
            raise CommandError(str(wrong)) from wrong

    def check_file(self, *, file: Path, **options) -> None:
        bad = 0
        sheet = Sheet(file)
        reader = Reader(sheet, overrides(options))
        for row in reader.rows():
            bad += bool(row.problems)
        if bad:
            with ErrorFile("preflight", sheet) as report:
                for row in reader.rows():
                    report.tell(row.cells, row.problems)
            raise CommandError(f"Pre-flight check failed: {bad} of {reader.total} rows, see {report.path}")
        self.stdout.write(f"CSV validation successful: {reader.total} rows")

    def generate(self, *, file: Path, long: bool, **_) -> None:
        made = write_template(file, LONG if long else SHORT)
        self.stdout.write(f"{file} {'is written' if made else 'is there already and was left as it is'}")

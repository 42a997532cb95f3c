"""`manage.py outstanding`: everything that is not as it was asked for, over all tenants, with the reasons."""

from itertools import islice

from django.core.management.base import BaseCommand, CommandError
from django.utils.timesince import timesince
from rich.console import Console
from rich.table import Table

from tenants.models import Project
from workers import outstanding
from workers.models import Work


class Command(BaseCommand):
    help = "List what is not as it was asked for: since when, why, how often it was tried, and when it is tried next."

    def add_arguments(self, parser):
        parser.add_argument("--project", help="only what is in this project")
        parser.add_argument("--refused", action="store_true", help="only what nobody tries any more")
        parser.add_argument("--waiting", action="store_true", help="also what waits for its machine to report")
        parser.add_argument("--limit", type=int, default=200, help="rows to show (default: %(default)s); 0 is all")

    def handle(self, *, project, refused, waiting, limit, **_):
        projects = Project.objects.order_by("name")
        works = Work.objects.order_by("made_at", "pk")
        if project:
            projects = projects.filter(name=project)
            if not projects:
                raise CommandError(f"There is no project {project}")
            works = works.filter(schema=projects[0].schema_name)
        if refused:
            works = works.exclude(refused="")
        rows = outstanding.queued(works[: limit or None])
        count = works.count()
        if waiting and not refused:
            rows += islice(outstanding.waiting(projects), limit - len(rows) if limit else None)
        self.show(rows)
        self.stdout.write(f"{count} queued" + (f", the first {limit} shown" if limit and count > limit else ""))

    def show(self, rows):
        table = Table("Project", "Resource", "Wish", "Since", "Tries", "Next", "Why", box=None, pad_edge=False)
        for row in rows:
            since = timesince(row.since, depth=1)
            table.add_row(row.project, row.resource, row.wish, since, str(row.tries), row.next_in_words, row.why)
        Console(file=self.stdout, width=None if self.stdout.isatty() else 250, markup=False).print(table)

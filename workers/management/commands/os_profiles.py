"""`manage.py os_profiles`: what operating systems there are to install, by profiles in files and in a registry."""

from django.core.management.base import BaseCommand, CommandError

from workers import catalogue
from workers.models import OsProfile


class Command(BaseCommand):
    help = "Look at all OS profiles, now, and have all projects follow (sync); or show what is known of them (list)."

    def add_arguments(self, parser):
        parser.add_argument("what", choices=["sync", "list"])

    def handle(self, *, what, **_):
        wrong = catalogue.sync() if what == "sync" else 0
        for row in OsProfile.objects.order_by("origin"):
            system = "{profile_name} {image_id}".format(**row.columns) if row.columns else "nothing yet"
            self.stdout.write(f"{row.origin}  {system}{'  withdrawn' if row.retracted else ''}")
            if row.problem:
                self.stdout.write(f"    {row.problem}")
        if wrong:
            raise CommandError(f"{wrong} of them can't be had, or not all of it; the others are followed")

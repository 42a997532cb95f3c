"""`manage.py restore FILE`: what `manage.py backup` wrote, back into an empty database."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from eim_project import backup, embedded


class Command(BaseCommand):
    help = "Bring a backup back into the database of DATABASE_URL and into EIM_DATA. All processes must be ended."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--force", action="store_true", help="delete what is in the database")
        parser.add_argument("--list", action="store_true", help="only tell what is in the file")

    def handle(self, file, **options):
        try:
            if options["list"]:
                self.stdout.write(backup.describe(backup.manifest_of(file)))
                return
            force = ["--force"] if options["force"] else []
            embedded.begin_anew_with_servers("restore", str(file.absolute()), *force)
            manifest = backup.restore(file, options["force"])
        except backup.BackupProblem as why:
            raise CommandError(str(why)) from why
        except DatabaseError as why:
            raise CommandError(f"The database failed: {str(why).splitlines()[0]}") from why
        self.stdout.write(f"Restored from {file}:\n{backup.describe(manifest)}")
        self.stdout.write("Now manage.py migrate_fleet, if this version is newer; then start everything; then doctor.")

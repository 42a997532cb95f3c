"""`manage.py backup FILE`: the database, its keys and the certificates in one file."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from eim_project import backup, embedded


class Command(BaseCommand):
    help = "Write the database, the keys that open it and the certificates into FILE, while everything runs on."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)

    def handle(self, file, **options):
        embedded.begin_anew_with_servers("backup", str(file.absolute()))
        try:
            manifest = backup.make(file)
        except backup.BackupProblem as why:
            raise CommandError(str(why)) from why
        except DatabaseError as why:
            raise CommandError(f"The database failed: {str(why).splitlines()[0]}") from why
        self.stdout.write(f"{file}, {file.stat().st_size / 2**20:.1f} MiB\n{backup.describe(manifest)}")
        self.stdout.write("Whoever has this file has all secrets: keep it where nobody else reads it.")

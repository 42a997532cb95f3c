"""`manage.py prepare [PROJECT]`: what every start of the stack needs done first; harmless when it is done."""

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate all schemas, make the project and its organization, and the first administrator."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("project", nargs="?", help="none is made unless it is named")

    def handle(self, project, **options):
        call_command("check", databases=["default"])  # refuses to go on behind a pooler that mixes tenants' schemas
        call_command("migrate_fleet", verbosity=0)
        if project:
            call_command("create_project", project, org=project)
        call_command("create_admin")

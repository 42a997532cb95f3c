"""`manage.py list_projects`: every tenant, whose it is, its schema, and how it is."""

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from tenants.models import Project


class Command(BaseCommand):
    help = "List the projects with their organizations, UUIDs, schemas and statuses."

    def handle(self, **_):
        table = Table("Project", "Organization", "UUID", "Schema", "Status", box=None, pad_edge=False)
        for project in Project.objects.select_related("organization").order_by("name").iterator():
            table.add_row(
                project.name, project.organization.name, str(project.uuid), project.schema_name, project.shown[0].text
            )
        Console(file=self.stdout, width=None if self.stdout.isatty() else 250).print(table)

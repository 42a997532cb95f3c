"""`manage.py delete_project NAME`: ask for a tenant and all that is in it to go; workers do it."""

from django.core.management.base import BaseCommand, CommandError

from tenants.models import Project
from workers import attending


class Command(BaseCommand):
    help = "Delete a project with its hosts, its schema and all its data. There is no way back."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--force", action="store_true", help="wait for no host, and end sessions in its tables")
        parser.add_argument("--wait", action="store_true", help="do it here and now, and tell how it goes")

    def handle(self, *, name, force, wait, **_):
        project = Project.objects.filter(name=name).first()
        if project is None:
            raise CommandError(f"There is no project {name}")
        project.forced = project.forced or force
        attending.ask_to_go(project)
        if wait:
            attending.attend(project)
        self.stdout.write(project.says(" is complete" if wait else " initiated"))

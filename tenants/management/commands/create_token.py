"""`manage.py create_token USER NAME`: an API token, for who may read this server's database anyway."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenants import api_tokens
from tenants.models import Project, User


class Command(BaseCommand):
    help = "Make an API token for a person and print it, for the only time."

    def add_arguments(self, parser):
        parser.add_argument("user")
        parser.add_argument("name", help="what it is for")
        parser.add_argument("--days", type=int, default=90)
        parser.add_argument("--write", action="store_true", help="not only for reading")
        parser.add_argument("--project", action="append", help="only in this project; may be given again")

    def handle(self, *, user, name, days, write, project, **_):
        person = User.objects.filter(username=user, is_active=True).first()
        if person is None:
            raise CommandError(f"there is no active user {user!r}")
        if not 1 <= days <= settings.API_TOKEN_LONGEST or len(name) > 100:
            raise CommandError(f"--days is 1 to {settings.API_TOKEN_LONGEST}, and a name has at most 100 characters")
        projects = None if project is None else [*Project.objects.filter(name__in=project)]
        if projects is not None and (missing := {*project} - {found.name for found in projects}):
            raise CommandError(f"there is no project {', '.join(sorted(missing))}")
        _, token = api_tokens.create(person, name, days=days, read_only=not write, projects=projects)
        self.stdout.write(token)

"""`manage.py issue_token`: a bearer token for who may read this server's keys anyway; no password needed."""

from django.core.management.base import BaseCommand, CommandError

from tenants import tokens
from tenants.models import User


class Command(BaseCommand):
    help = "Print an access token for a user."

    def add_arguments(self, parser):
        parser.add_argument("--user", default="admin")

    def handle(self, user, **options):
        try:
            person = User.objects.get(username=user)
        except User.DoesNotExist as error:
            raise CommandError(f"there is no user {user!r}: `manage.py create_admin` makes the first one") from error
        self.stdout.write(tokens.for_person(person, "system-client"))

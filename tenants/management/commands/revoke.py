"""`manage.py revoke ROLE --user NAME --project NAME`: take a role from a person or a group."""

from django.core.management.base import CommandError

from tenants import roles
from tenants.management.people import PeopleCommand, add_grant_arguments, what_is_meant


class Command(PeopleCommand):
    help = "Take a role from a user or a group. What they have by other grants or groups stays."

    def add_arguments(self, parser):
        add_grant_arguments(parser)

    def handle(self, **options):
        meant = what_is_meant(**options)
        if not roles.revoke(**meant):
            raise CommandError(f"{meant['who']} was not granted that there; `manage.py list_users` says what was")
        self.stdout.write(f"{meant['who']} has {meant['role']} there no more")

"""`manage.py grant ROLE --user NAME --project NAME`: give a role to a person or a group."""

from tenants import roles
from tenants.management.people import PeopleCommand, add_grant_arguments, what_is_meant


class Command(PeopleCommand):
    help = "Give a role to a user or a group, in a project or an organization. Harmless if it is given already."

    def add_arguments(self, parser):
        add_grant_arguments(parser)

    def handle(self, **options):
        self.stdout.write(str(roles.grant(**what_is_meant(**options))))

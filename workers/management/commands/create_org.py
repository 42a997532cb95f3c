"""`manage.py create_org NAME`: an organization, whose projects can then be made. Does nothing if it is there."""

from django.core.management.base import BaseCommand

from tenants.models import Organization
from workers import attending


class Command(BaseCommand):
    help = "Make an organization; needs no worker."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--description", default="")

    def handle(self, *, name, description, **_):
        organization = attending.make(Organization, name, description=description)
        self.stdout.write(f"Organization {name} ({organization.uuid}) is {organization.current_state}")

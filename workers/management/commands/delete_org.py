"""`manage.py delete_org NAME`: an organization goes; its projects must be gone."""

from django.core.management.base import BaseCommand, CommandError

from tenants.models import Organization
from workers import attending


class Command(BaseCommand):
    help = "Delete an organization that has no projects any more; needs no worker."

    def add_arguments(self, parser):
        parser.add_argument("name")

    def handle(self, *, name, **_):
        organization = Organization.objects.filter(name=name).first()
        if organization is None:
            raise CommandError(f"There is no organization {name}")
        attending.ask_to_go(organization)
        attending.attend(organization)
        self.stdout.write(organization.says(" is complete"))

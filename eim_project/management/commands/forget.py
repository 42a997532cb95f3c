"""`manage.py forget`: delete what is older than the settings EIM_..._DAYS want it kept."""

from django.core.management.base import BaseCommand

from provisioning import workflow
from tenants import expired


class Command(BaseCommand):
    help = "Delete what is too old of journal, audit and workflow runs. Beat has it done every hour, too."

    def handle(self, **options):
        gone = expired.forget_lines() | {"workflow runs": workflow.forget_old()}
        for what, count in gone.items():
            self.stdout.write(f"{what}: {count} forgotten")

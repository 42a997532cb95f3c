"""`manage.py forget_audit`: delete the lines of the audit that are older than EIM_AUDIT_DAYS."""

from django.core.management.base import BaseCommand

from tenants import audit


class Command(BaseCommand):
    help = "Delete the audit's lines that are older than EIM_AUDIT_DAYS. Beat has it done every hour, too."

    def handle(self, **options):
        self.stdout.write(f"{audit.forget_old()} lines forgotten")

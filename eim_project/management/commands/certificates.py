"""`manage.py certificates`: an authority and certificates of our own, for where nobody brings others."""

from django.conf import settings
from django.core.management.base import BaseCommand

from eim_project import tls


class Command(BaseCommand):
    help = "Make what is missing in EIM_DATA/tls, or about to expire, as `manage.py up` does at every start."
    requires_system_checks = []

    def handle(self, **options):
        folder = settings.EIM_DATA / "tls"
        tls.ensure(folder, tls.names_of(settings.EIM_PUBLIC_HOST))
        self.stdout.write(f"Machines trust {folder / 'ca.crt'}; the server shows {folder / 'server.crt'}")

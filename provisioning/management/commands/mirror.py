"""`manage.py mirror URL SHA256`: download a file once, so that machines get it from here."""

import time

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from provisioning import mirror
from provisioning.models import Mirrored
from tenants.errors import ResourceError
from tenants.resource import Indicator
from workers.registry import file_name

LOOK_EVERY_SECONDS = 0.5


class Command(BaseCommand):
    help = "Ask the build workers for a file of somebody else's, and wait until it is here and its digest is right."

    def add_arguments(self, parser):
        parser.add_argument("url")
        parser.add_argument("sha256")
        parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="give up after this (3600)")

    def handle(self, *, url, sha256, timeout, **_):
        try:
            row = mirror.ask(url, sha256)
        except (ResourceError, ValidationError) as wrong:
            raise CommandError(str(wrong)) from wrong
        deadline, told = time.monotonic() + timeout, ""
        while (row := Mirrored.objects.get(pk=row.pk)).current_digest != sha256:
            if row.download_status != told:
                told = row.download_status
                self.stderr.write(told)
            if row.download_status_indicator == Indicator.ERROR:
                raise CommandError(row.download_status)
            if time.monotonic() > deadline:
                raise CommandError(f"not here within {timeout:.0f} s: {row.download_status}")
            time.sleep(LOOK_EVERY_SECONDS)
        self.stdout.write(f"/tink-stack/{mirror.STEP}/{sha256}/{file_name(url)}")

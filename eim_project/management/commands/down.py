"""`manage.py down`: end the stack that runs in this data folder."""

import os
import signal
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from eim_project import embedded

LONGEST = 20  # seconds


class Command(BaseCommand):
    help = "End the stack that `manage.py up` started in this data folder, and wait until it is gone."
    requires_system_checks = []

    def handle(self, **options):
        pid = embedded.owner(settings.EIM_DATA)
        if pid is None:
            self.stdout.write("Nothing runs here.")
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + LONGEST
        while embedded.owner(settings.EIM_DATA) == pid:
            if time.monotonic() > deadline:
                raise CommandError(f"process {pid} doesn't end: kill -9 {pid} ends it and all it has started")
            time.sleep(0.1)
        self.stdout.write("Stopped.")

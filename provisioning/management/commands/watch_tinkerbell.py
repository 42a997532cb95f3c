"""`manage.py watch_tinkerbell`: hears what Tinkerbell's Workflows are at, as soon as they are."""

import logging
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

log = logging.getLogger(__name__)
LONGEST_PAUSE = 60  # seconds between tries


class Command(BaseCommand):
    help = "Watch the Workflows of the Tinkerbell that PROVISIONING_ENGINE=tinkerbell installs machines by."

    def handle(self, **_):
        if settings.PROVISIONING_ENGINE != "tinkerbell":
            raise CommandError(f"PROVISIONING_ENGINE is {settings.PROVISIONING_ENGINE}: there is nothing to watch")
        from provisioning.engines import tinkerbell  # 60 MB, for whoever needs it

        pause = 1
        while True:
            try:
                for found in tinkerbell.watch():
                    tinkerbell.hear(found)
                    pause = 1
            except tinkerbell.ClusterAway as away:
                log.warning("Tinkerbell can't be watched", extra={"because": str(away), "again_in": pause})
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

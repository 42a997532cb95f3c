"""`manage.py bmc`: the process that talks to machines' management controllers."""

import logging
import resource
import signal
import threading

from django.core.management.base import BaseCommand

from workers import bmc, telling

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Watch machines' power, and switch it as it is wished, until told to end."

    def handle(self, **_):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is kept open for each machine
        telling.begin_as("bmc")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        log.info("bmc is ready.")
        bmc.run(stop)

"""`manage.py up`: every process of the manager, one terminal."""

import os
import sys

from django.core.management.base import BaseCommand

from eim_project.__main__ import add_arguments


class Command(BaseCommand):
    help = "Start everything, each process on a free loopback port; Ctrl-C ends it all."
    requires_system_checks = []

    def add_arguments(self, parser):
        add_arguments(parser)

    def handle(self, **options):
        """Become the process that watches the others, which has no use for the apps that are loaded by now."""
        arguments = [sys.executable, "-m", "eim_project", f"--fleet={options['fleet']}"]
        arguments += [f"--{flag}" for flag in ("demo", "exit") if options[flag]]
        os.execv(sys.executable, arguments)  # noqa: S606

"""`manage.py doctor`: what the manager needs, whether it is so, and what to do if not."""

import json
import sys

from django.core.management.base import BaseCommand

from eim_project.doctor import examine
from eim_project.health import Level


class Command(BaseCommand):
    help = "Examine database, broker, clock, disk, ports, certificates, keys, tools. Ends with 1 if something fails."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="as a list of objects")
        parser.add_argument("--strict", action="store_true", help="end with 1 after a warning, too")

    def handle(self, **options):
        found = []
        styles = {Level.OK: self.style.SUCCESS, Level.WARN: self.style.WARNING, Level.FAIL: self.style.ERROR}
        for one in examine():
            found.append(one)
            if not options["json"]:
                self.stdout.write(f"{styles[one.level](f'{one.level:<4}')}  {one.name:<13} {one.says}")
                if one.advice:
                    self.stdout.write(f"{'':<20}-> {one.advice}")
        if options["json"]:
            self.stdout.write(json.dumps([vars(one) for one in found], indent=2))
        bad = {Level.FAIL, Level.WARN} if options["strict"] else {Level.FAIL}
        if bad & {one.level for one in found}:
            sys.exit(1)

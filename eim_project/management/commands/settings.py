"""`manage.py settings`: every variable of the environment that we read, what it is and what it is for."""

import json

from django.core.management.base import BaseCommand

from eim_project.settings import environment


class Command(BaseCommand):
    help = "List all settings: value, default and meaning. Secrets are hidden."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="as a list of objects")
        parser.add_argument("--set", action="store_true", help="only those that the environment sets")

    def handle(self, **options):
        listed = [one for one in environment.settings.values() if one.is_set or not options["set"]]
        if options["json"]:
            rows = [
                {
                    "name": one.name, "value": one.shown(one.value), "default": one.shown(one.default),
                    "about": one.about, "secret": one.is_secret, "set": one.is_set,
                } for one in listed
            ]  # fmt: skip
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for one in listed:
            default = f"   (default: {one.shown(one.default)})" if one.is_set else ""
            self.stdout.write(f"{one.name}={one.shown(one.value)}{default}\n    {one.about}")

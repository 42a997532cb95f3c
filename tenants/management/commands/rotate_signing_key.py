"""`manage.py rotate_signing_key`: a new key signs tokens; those of the old one stay good until they expire."""

from django.core.management.base import BaseCommand

from tenants import keys


class Command(BaseCommand):
    help = "Publish a new signing key, which signs after a minute; the old one goes when its last token has expired."

    def add_arguments(self, parser):
        parser.add_argument("--at-once", action="store_true", help="the old key is known to others: end all its tokens")

    def handle(self, *, at_once, **_):
        new = keys.rotate(at_once)
        self.stdout.write(f"{new.kid} signs from {new.signs_from:%F %T} UTC on")

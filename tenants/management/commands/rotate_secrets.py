"""`manage.py rotate_secrets`: seal all secrets anew with the newest key, so that older keys can be thrown away."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from tenants import rotation, secrets


class Command(BaseCommand):
    help = (
        "Seal every secret in the database anew with the newest key. Run it again and it goes on. "
        "With EIM_SECRET_KEYS: append the new key and restart all processes, then put it first and restart them, then "
        "run this, then take the old key away."
    )

    def add_arguments(self, parser):
        parser.add_argument("--new-key", action="store_true", help=f"first put a new key into {secrets.ring_file()}")

    def handle(self, *, new_key, **options):
        if new_key and settings.SECRET_KEYS:
            raise CommandError("EIM_SECRET_KEYS holds the keys: put a new one there, behind the others at first")
        if new_key:
            secrets.add_key()
        rotated = rotation.Rotated()
        console = Console(stderr=True)
        columns = list(rotation.columns())
        for column in track(columns, "sealing anew", console=console, disable=not console.is_terminal):
            rotation.rotate(column, rotated)
        self.stdout.write(
            f"{rotated.anew} secrets sealed anew, {rotated.already} were so already, in {len(columns)} columns"
        )
        if rotated.lost:
            shown = "\n  ".join(rotated.lost[:20])
            raise CommandError(
                f"{len(rotated.lost)} can't be opened with any key; add the one that sealed them to EIM_SECRET_KEYS, "
                f"behind the newest, and run this again:\n  {shown}"
            )
        self.stdout.write("No secret needs any key but the newest.")

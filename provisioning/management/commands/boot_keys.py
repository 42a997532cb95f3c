"""`manage.py boot_keys show|rotate|retire`: the keys of Secure Boot."""

from django.core.management.base import BaseCommand, CommandError

from provisioning import boot_keys
from provisioning.dkam.signing import Key
from provisioning.models import BootKey


class Command(BaseCommand):
    help = "Show the keys of Secure Boot; make a new one that counts beside the one before; retire the one before."

    def add_arguments(self, parser):
        parser.add_argument("act", choices=["show", "rotate", "retire"])
        parser.add_argument("kinds", nargs="*", metavar="PK|KEK|db", help="all of them by default")

    def handle(self, *, act, kinds, **_):
        if strange := {*kinds} - {*BootKey.Kind.values}:
            raise CommandError(f"{', '.join(sorted(strange))}: there are {', '.join(BootKey.Kind.values)}")
        boot_keys.in_force()  # which makes the first ones
        try:
            for kind in (kinds or BootKey.Kind.values) if act != "show" else ():
                getattr(boot_keys, act)(kind)
        except boot_keys.NothingToRetire as why:
            raise CommandError(str(why)) from why
        for row in BootKey.objects.all():
            since = f"retired {row.retired_at:%Y-%m-%d}" if row.retired_at else "in force"
            fingerprint = Key(row.certificate, "").fingerprint()
            self.stdout.write(f"{row.kind:3} {row.made_at:%Y-%m-%d} {since:18} {fingerprint}")
        if act != "show":
            self.stdout.write("Now: manage.py build_artifacts")

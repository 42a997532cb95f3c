"""`manage.py certificates`: what machines trust and until when, and the exchange of the authority for a new one."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from eim_project import authority, doctor, tls
from provisioning.errors import CannotInstall

SHOWN = 50  # machines that are behind


class Command(BaseCommand):
    help = (
        "Show the certificates and which machines are behind. `make` makes those that are missing, as `manage.py up` "
        "does, and needs no database. The server's are renewed by themselves, or by `renew`. "
        "The authority is exchanged in three steps: `begin` (machines trust the new one, too), `switch` (it signs), "
        "`finish` (the old one is trusted no more)."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "act", nargs="?", choices=["show", "make", "renew", "begin", "switch", "finish"], default="show"
        )
        parser.add_argument("--anyway", action="store_true", help="though some machines would refuse the server")

    def handle(self, *, act, anyway, **_):
        try:
            match act:
                case "make":
                    tls.ensure(authority.folder(), tls.names_for(settings.EIM_PUBLIC_HOST))
                    self.stdout.write(f"The certificates in {authority.folder()} are there")
                    return
                case "renew":
                    authority.renew()
                case "begin":
                    authority.begin()
                case "switch":
                    authority.switch(anyway)
                case "finish":
                    authority.finish(anyway)
            late = authority.behind()
        except (authority.NotNow, CannotInstall, OSError, ValueError) as why:
            raise CommandError(str(why)) from why
        for finding in doctor.certificates():
            self.stdout.write(f"{finding.level:<4}  {finding.says}")
            if finding.advice:
                self.stdout.write(f"      -> {finding.advice}")
        for machine in late[:SHOWN]:
            why = "trusts what was trusted before" if machine.ever_told else "never told what it trusts"
            self.stdout.write(f"      {machine.project}  {machine.host}  {machine.name}  {why}")
        self.stdout.write(f"{len(late)} installed machines haven't taken up what is trusted now")

"""`manage.py enrol HOST-ID --project NAME`: which machine is let in as this host."""

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from inventory.models import Host
from tenants import enrolment, schema
from tenants.events import acting_as
from tenants.management.people import find_ready_project


class Command(BaseCommand):
    help = "Make an enrolment token for a host and print it, for the only time. --open, --list and --revoke do others."

    def add_arguments(self, parser):
        parser.add_argument("host", metavar="HOST-ID")
        parser.add_argument("--project", required=True)
        parser.add_argument("--hours", type=int, default=24, help="how long it may be used; 24 if you don't say")
        verb = parser.add_mutually_exclusive_group()
        verb.add_argument("--open", action="store_true", help="no token: its machine may call once more")
        verb.add_argument("--list", action="store_true", help="show those there are")
        verb.add_argument("--revoke", type=int, metavar="NUMBER", help="let nobody in by this one any more")

    def handle(self, *, host, project, hours, open, list, revoke, **_):
        found = find_ready_project(project)
        if not 1 <= hours <= enrolment.LONGEST:
            raise CommandError(f"--hours is 1 to {enrolment.LONGEST}")
        with schema.in_schema(found), acting_as("enrol"), transaction.atomic():
            row = Host.objects.filter(resource_id=host).first()
            if row is None:
                raise CommandError(f"Project {project} has no host {host}")
            if list:
                for one in enrolment.of(row):
                    self.stdout.write(described(one))
            elif revoke is not None:
                one = enrolment.of(row).filter(pk=revoke).first()
                if one is None:
                    raise CommandError(f"{host} has no enrolment {revoke}: --list shows those it has")
                enrolment.revoke(row, one)
                self.stdout.write(f"Enrolment {revoke} lets nobody in any more")
            else:
                made, token = enrolment.make(row, hours=hours, with_token=not open, by="enrol")
                self.stdout.write(token or f"{host} may get new credentials once, until {made.expires_at:%F %H:%M} UTC")


def described(one) -> str:
    kind = "with a token" if one.token_hash else "open"
    ended = ("revoked" if one.revoked_at else "") or (f"used by {one.used_by}" if one.used_at else "not used")
    return f"{one.pk}  {kind}, until {one.expires_at:%F %H:%M} UTC, made by {one.made_by}, {ended}"

"""Who may have a host's credentials: by default whoever has its UUID and serial number, else who shows a token.

A token is for one machine and for once. Old agents show none and needn't: it is asked for only where one was made.
"""

import secrets
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from tenants import events
from tenants.errors import NotEnrolled
from tenants.models import Enrolment
from tenants.models.token import digest, matches

LONGEST = 90 * 24  # hours that an enrolment may be open


def make(host, *, hours: int, with_token: bool, by: str) -> tuple[Enrolment, str]:
    """For a host of the current schema: the row, and the token, which nobody will ever see again; "" without one."""
    token = f"enrol_{secrets.token_urlsafe(32)}" if with_token else ""
    made = Enrolment.objects.create(
        schema=connection.schema_name, resource_id=host.resource_id, token_hash=digest(token) if token else "",
        made_by=by[:150], expires_at=timezone.now() + timedelta(hours=hours),
    )  # fmt: skip
    events.announce(host, "enrolment made", ring=False)
    return made, token


def of(host):
    return Enrolment.objects.filter(schema=connection.schema_name, resource_id=host.resource_id)


def revoke(host, enrolment: Enrolment) -> None:
    """Credentials that it let a machine have are revoked with the host, not by this."""
    of(host).filter(pk=enrolment.pk, revoked_at=None).update(revoked_at=timezone.now())
    events.announce(host, "enrolment ended", ring=False)


def permit(host, machine: UUID, token: str, *, installed: bool, needed: bool) -> Enrolment | None:
    """What lets this machine in though it is installed, or though a token is needed; None if neither is the case.

    needed: a token is asked for even if none was ever made. Raises NotEnrolled.
    """
    rows = list(of(host))
    with_token = [row for row in rows if row.token_hash]
    if not with_token and not needed:
        return next((row for row in rows if row.lets_in(machine, installed=installed)), None)
    shown = next((row for row in with_token if token and matches(token, row.token_hash)), None)
    if shown is None:
        raise NotEnrolled("no valid enrolment token was shown" if token else "an enrolment token is needed")
    if not shown.lets_in(machine, installed=installed):
        raise NotEnrolled("the enrolment token has expired, was revoked, or was used")
    return shown


def use(enrolment: Enrolment, machine: UUID) -> None:
    Enrolment.objects.filter(pk=enrolment.pk, used_at=None).update(used_at=timezone.now(), used_by=machine)

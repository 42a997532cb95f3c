"""What nobody needs any more goes, some thousand rows at a time: tokens, sign-ins, sessions, old bulk imports, and the

old lines of journal and audit.
"""

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from tenants.models import (
    ApiToken,
    Audit,
    AuthorizationCode,
    BulkImport,
    BulkRow,
    Event,
    RevokedNode,
    SignIn,
    SigningKey,
)

AT_ONCE = 5_000
REMEMBERED = timedelta(days=30)  # for which an API token that ended is shown in the admin


def clean() -> int:
    """Delete at most AT_ONCE rows of each kind. Returns how many went. Call from public."""
    now = timezone.now()
    imports_gone = now - timedelta(days=settings.BULK_IMPORTS_DAYS)
    tokens_gone = now - timedelta(seconds=settings.TOKEN_LIFETIME)  # what was given before has expired
    over = [
        SigningKey.objects.filter(verifies_until__lt=now),
        AuthorizationCode.objects.filter(expires_at__lt=tokens_gone),
        SignIn.objects.filter(Q(ended_at__lt=tokens_gone) | Q(expires_at__lt=tokens_gone)),
        RevokedNode.objects.filter(at__lt=tokens_gone),
        ApiToken.objects.filter(Q(expires_at__lt=now - REMEMBERED) | Q(revoked_at__lt=now - REMEMBERED)),
        BulkRow.objects.filter(bulk_import__finished_at__lt=imports_gone),
        BulkImport.objects.filter(finished_at__lt=imports_gone, rows=None),
        Session.objects.filter(expire_date__lt=now),  # of browsers that never came back
    ]
    gone = 0
    for rows in over:
        some = rows.model.objects.filter(pk__in=[*rows.values_list("pk", flat=True)[:AT_ONCE]])
        gone += some.delete()[0]
    return gone


def forget_lines() -> dict[str, int]:
    """Delete what is too old of journal and audit, batch by batch: {"journal": how many lines, ...}. From public."""
    return {
        "journal": _forget(Event, settings.JOURNAL_DAYS),
        "audit": _forget(Audit, settings.AUDIT_DAYS),
    }


def _forget(model: type[Event] | type[Audit], days: int) -> int:
    """The oldest lines have the lowest ids, so the primary key leads to them, and to no others."""
    cutoff, forgotten = timezone.now() - timedelta(days=days), 0
    table = connection.ops.quote_name(model._meta.db_table)
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL eim.forgets_the_old = 'on'")  # what the trigger of the audit asks for
            cursor.execute(
                f"DELETE FROM {table} WHERE at < %s AND id IN (SELECT id FROM {table} ORDER BY id LIMIT {AT_ONCE})",
                [cutoff],
            )
            gone = cursor.rowcount
            cursor.execute("SET LOCAL eim.forgets_the_old = 'off'")
        forgotten += gone
        if gone < AT_ONCE:
            return forgotten

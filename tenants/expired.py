"""What nobody needs any more of tokens, sign-ins, sessions and bulk imports goes, some thousand rows at a time."""

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.utils import timezone

from tenants.models import ApiToken, AuthorizationCode, BulkImport, BulkRow, RevokedNode, SignIn, SigningKey

AT_ONCE = 5_000
REMEMBERED = timedelta(days=30)  # for which an API token that ended is shown in the admin, and a bulk import is kept


def clean() -> int:
    """Delete at most AT_ONCE rows of each kind. Returns how many went. Call from public."""
    now = timezone.now()
    tokens_gone = now - timedelta(seconds=settings.TOKEN_LIFETIME)  # what was given before has expired
    over = [
        SigningKey.objects.filter(verifies_until__lt=now),
        AuthorizationCode.objects.filter(expires_at__lt=tokens_gone),
        SignIn.objects.filter(Q(ended_at__lt=tokens_gone) | Q(expires_at__lt=tokens_gone)),
        RevokedNode.objects.filter(at__lt=tokens_gone),
        ApiToken.objects.filter(Q(expires_at__lt=now - REMEMBERED) | Q(revoked_at__lt=now - REMEMBERED)),
        BulkRow.objects.filter(bulk_import__finished_at__lt=now - REMEMBERED),
        BulkImport.objects.filter(finished_at__lt=now - REMEMBERED, rows=None),
        Session.objects.filter(expire_date__lt=now),  # of browsers that never came back
    ]
    gone = 0
    for rows in over:
        some = rows.model.objects.filter(pk__in=[*rows.values_list("pk", flat=True)[:AT_ONCE]])
        gone += some.delete()[0]
    return gone

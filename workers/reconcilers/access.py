"""Remote accesses: ways into machines, open for a while. Nobody of ours opens them; that they end is seen to here."""

import time
from datetime import timedelta

from django.db import transaction

from inventory.models import Indicator, RemoteAccess, RemoteAccessState, Status
from workers.engine import Done, Later, Reconciler, register

NOBODY = "No remote access proxy has opened it"


@register
class RemoteAccessExpires(Reconciler):
    """The archived system kept the wish, and had no part of its own that acted on it. Ours says so, and ends it:

    an access whose time is over is gone, and its port is free, whether or not anybody has opened it.
    """

    model = RemoteAccess

    def outstanding(self):
        """Also one that is open, until its time is over."""
        return RemoteAccess.objects.exclude(desired_state=RemoteAccessState.UNSPECIFIED)

    @transaction.atomic
    def reconcile(self, access):
        if access.desired_state == RemoteAccessState.DELETED:
            return Done(state=RemoteAccessState.DELETED)
        left = access.expiration_timestamp - time.time()
        if left <= 0:
            access.delete()
            return Done()
        if access.current_state != RemoteAccessState.ENABLED:
            access.observe(configuration_status=Status(NOBODY, Indicator.ERROR))
        return Later(timedelta(seconds=left + 1), f"{NOBODY}; it expires", in_status=False)

    def end_all(self):
        """The proxy's ports are freed with the tenant's other rows."""
        return True

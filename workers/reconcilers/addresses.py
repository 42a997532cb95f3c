"""The networking manager: of hosts at one site that have the same IP address, all show it, until only one has it."""

from collections.abc import Iterator

from django.db import transaction

from inventory import addresses
from inventory.models import Host
from workers.engine import Done, Reconciler, register


def those_with_the_same(host: Host) -> Iterator[int]:
    """What this one has, others may have had for themselves until now."""
    for pks in addresses.others(addresses.of(host.hardware), host.site_id, host.pk).values():
        yield from pks


@register
class UniqueAddresses(Reconciler):
    """Nobody wishes for it: it follows from what hosts report, and where they are said to be.

    A host looks only at its own addresses. Those who have the same look at theirs when it comes by one, by the watch;
    when it loses one, it rings for them itself (inventory/models/compute.py): nobody could tell afterwards.
    """

    model, pair = Host, ""
    watches = {Host: those_with_the_same}

    def outstanding(self):
        return Host.objects.alias(wrong=addresses.marked_wrongly()).filter(wrong=True)

    @transaction.atomic
    def reconcile(self, host):
        """Locked: what the machine reports meanwhile is not to be undone."""
        now = Host.objects.select_for_update(of=("self",)).get(pk=host.pk)
        duplicates = addresses.others(addresses.of(now.hardware), now.site_id, now.pk, each=1)
        now.observe(hardware=addresses.marked(now.hardware, duplicates))
        return Done()

"""Network links: between endpoints that we don't switch. A link is written down, and goes when it is to go."""

from inventory.models import Netlink, NetlinkState
from workers.engine import Done, Reconciler, Refused, register


@register
class NetlinkOfOthers(Reconciler):
    model = Netlink

    def reconcile(self, link):
        if link.desired_state == NetlinkState.DELETED:
            return Done(state=NetlinkState.DELETED)
        raise Refused("No network provider can switch this link")

    def end_all(self):
        return True

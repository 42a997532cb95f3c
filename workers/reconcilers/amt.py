"""Intel AMT: activated by the machine's own agent, once its project has profiles; deactivated by us."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from inventory.models import AmtState, Host, Indicator, Status
from workers import activation
from workers.drivers.amt import Mps
from workers.drivers.base import Fault, Unable
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue

TRY_AGAIN = timedelta(seconds=60)
FAILED = Status("AMT deactivation failed", Indicator.ERROR)


@register
class HostAmt(Reconciler):
    model, pair, queue = Host, "amt_state", Queue.BMC

    def outstanding(self):
        """A machine waits for its agent, and costs nothing, once there are profiles for it."""
        rows = super().outstanding()
        leaving = Q(
            desired_amt_state=AmtState.UNPROVISIONED,
            current_amt_state__in=[AmtState.PROVISIONED, AmtState.DISCONNECTED],
        )
        if activation.is_ready():
            return rows.filter(leaving)
        return rows.filter(leaving | Q(desired_amt_state=AmtState.PROVISIONED))

    def reconcile(self, host):
        if host.desired_amt_state == AmtState.PROVISIONED:
            return self.prepare(host)
        try:
            Mps(activation.tenant_here()).deactivate(host.uuid)
        except (Fault, Unable) as fault:
            host.observe(amt_status=FAILED)
            return Later(TRY_AGAIN, str(fault), in_status=False)
        return Done("AMT deactivated", amt_state=AmtState.UNPROVISIONED)

    def prepare(self, host: Host) -> Done | Later:
        if not settings.RPS_URL or not settings.MPS_URL:
            raise Refused("AMT can't be activated here: an administrator must set EIM_MPS_URL and EIM_RPS_URL")
        try:
            activation.make()
        except (Fault, Unable) as fault:
            host.observe(amt_status=Status(str(fault), Indicator.ERROR))
            return Later(TRY_AGAIN, str(fault), in_status=False)
        return Done()  # the agent asks every few seconds what to do

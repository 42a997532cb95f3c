"""Workloads: what somebody else runs on our machines. Nothing is started or stopped here: it is kept in order."""

from datetime import timedelta

from inventory.models import Workload, WorkloadMember, WorkloadState
from workers.engine import Done, Later, Reconciler, register

LOOK_AGAIN = timedelta(seconds=60)  # what goes meanwhile rings by itself


@register
class WorkloadOfOthers(Reconciler):
    """Whoever registers one runs it already, and tells in `status` how it goes; it goes when it has no members left."""

    model = Workload
    watches = {WorkloadMember: lambda member: Workload.objects.filter(
        resource_id=member.workload_id
    ).values_list("pk", flat=True)}  # fmt: skip

    def reconcile(self, workload):
        if workload.desired_state == WorkloadState.PROVISIONED:
            return Done("Registered", state=WorkloadState.PROVISIONED)
        members = [*workload.members.values_list("resource_id", flat=True)[:5]]
        if members:
            return Later(LOOK_AGAIN, f"Deleting: waiting on {' and '.join(members)} deletion")
        return Done(state=WorkloadState.DELETED)

    def end_all(self):
        """Members go with their table."""
        return True

"""Installs instances on onboarded hosts, and takes them away."""

from datetime import timedelta

from django.db import connection
from django.db.models import Q

from inventory import presence
from inventory.models import Host, HostState, Indicator, Instance, InstanceState, Status
from inventory.profiles import NOT_PINNED
from provisioning import workflow
from provisioning.models import ACTIVE, WorkflowState
from workers.engine import Done, Later, Reconciler, Refused, register

LOOK_AGAIN = timedelta(seconds=60)  # a machine's reports ring by themselves; this is for the one that went silent


@register
class InstanceOnHost(Reconciler):
    model = Instance
    watches = {Host: lambda host: Instance.objects.filter(host_id=host.resource_id).values_list("pk", flat=True)}

    def outstanding(self):
        """An instance waits, and costs nothing, until its host is onboarded. One whose host is not trusted ends."""
        decided = Q(host__current_state__in=[HostState.ONBOARDED, HostState.UNTRUSTED])
        ready = decided | ~Q(desired_state=InstanceState.RUNNING)
        return super().outstanding().filter(ready).select_related("host", "os")

    def reconcile(self, instance):
        match instance.desired_state:
            case InstanceState.RUNNING:
                return self.install(instance)
            case InstanceState.DELETED if held := instance.held_by():
                return Later(LOOK_AGAIN, f"Deleting: waiting on {' and '.join(held)} deletion")
            case InstanceState.DELETED:
                workflow.cancel(instance, "the instance is deleted")
                forget(instance)
                return Done(state=InstanceState.DELETED)
            case InstanceState.UNTRUSTED:
                workflow.cancel(instance, "the instance is not trusted any more")
                forget(instance)
                return Done("Unknown", state=InstanceState.UNTRUSTED)

    def end_all(self):
        workflow.cancel_all("the project is deleted")
        return True

    def install(self, instance):
        if instance.host.current_state == HostState.UNTRUSTED:
            workflow.cancel(instance, "the host is not trusted any more")
            raise Refused("Provisioning Failed: the host is not trusted any more")
        if instance.os.sha256 == NOT_PINNED:
            raise Refused(f"Provisioning Failed: {instance.os.name} has no digest yet: an administrator must enter one")
        run = workflow.latest(instance)
        if run is None or run.state == WorkflowState.CANCELLED:
            workflow.start(instance)
            return self.in_progress()
        if run.state in ACTIVE and workflow.expire(run):
            run.refresh_from_db()
        if run.state in ACTIVE:
            return self.in_progress()
        if run.state != WorkflowState.SUCCESS:
            raise Refused(f"Provisioning Failed: {run.reason}")
        instance.host.observe(
            only_if={"host_status": "Not Connected"}, host_status=Status("Rebooting", Indicator.IN_PROGRESS)
        )
        return Done("Provisioned", state=InstanceState.RUNNING)

    def in_progress(self):
        """How far it is, the reports write into the status themselves."""
        return Later(LOOK_AGAIN, "Waiting for the machine to install", in_status=False)


def forget(instance: Instance) -> None:
    """What its machine told was told of this instance."""
    if instance.host and instance.host.uuid:
        presence.forget(connection.schema_name, instance.host.uuid)

"""Installs instances on onboarded hosts, and takes them away."""

from datetime import timedelta

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from inventory import presence
from inventory.models import Host, HostState, Indicator, Instance, InstanceState, OsProviderKind, ProviderVendor, Status
from provisioning import places, workflow
from provisioning.engines import engine
from provisioning.errors import CannotInstall
from provisioning.models import ACTIVE, Workflow, WorkflowState
from workers.engine import Done, Later, Reconciler, Refused, register

LOOK_AGAIN = timedelta(seconds=60)  # a machine's reports ring by themselves; this is for what nobody tells
QUEUED_LOOK = timedelta(minutes=10)  # whoever ends gives its place on; thousands may be waiting
VENDORS = [ProviderVendor.LENOVO_LXCA, ProviderVendor.LENOVO_LOCA]  # who install their machines themselves


@register
class InstanceOnHost(Reconciler):
    model = Instance
    watches = {Host: lambda host: Instance.objects.filter(host_id=host.resource_id).values_list("pk", flat=True)}

    def outstanding(self):
        """Also what is installed and is to be once more. An instance waits, and costs nothing, until its host is

        onboarded; one whose host isn't trusted ends; what another installs is that one's.
        """
        runs = Workflow.objects.filter(schema=connection.schema_name, instance_id=OuterRef("resource_id"))
        unspecified = InstanceState.UNSPECIFIED
        unlike = ~Q(desired_state=F("current_state")) & ~Q(desired_state=unspecified)
        again = Q(desired_state=InstanceState.RUNNING) & Exists(runs.filter(state__in=ACTIVE))
        decided = Q(host__current_state__in=[HostState.ONBOARDED, HostState.UNTRUSTED])
        ours = Q(os__os_provider=OsProviderKind.INFRA) & ~Q(host__provider__provider_vendor__in=VENDORS)
        ready = (decided & ours) | ~Q(desired_state=InstanceState.RUNNING)
        return Instance.objects.filter((unlike | again) & ready).select_related("host", "os", "local_account")

    def reconcile(self, instance):
        match instance.desired_state:
            case InstanceState.RUNNING:
                return self.install(instance)
            case InstanceState.DELETED if held := instance.held_by():
                return Later(LOOK_AGAIN, f"Deleting: waiting on {' and '.join(held)} deletion")
            case InstanceState.DELETED:
                self.end(instance, "the instance is deleted")
                return Done(state=InstanceState.DELETED)
            case InstanceState.UNTRUSTED:
                self.end(instance, "the instance is not trusted any more")
                return Done("Unknown", state=InstanceState.UNTRUSTED)

    def end_all(self):
        runs = Workflow.objects.filter(schema=connection.schema_name)
        workflow.cancel(runs, "the project is deleted")
        self.take_back(runs)
        return True

    def end(self, instance, reason):
        workflow.cancel(workflow.of(instance), reason)
        self.take_back(workflow.of(instance))
        forget(instance)

    def take_back(self, runs):
        """What the engine made of those that have ended."""
        if not engine().OUTSIDE:
            return
        for run in runs.filter(outside=True).exclude(state__in=ACTIVE):
            engine().end(run)
            Workflow.objects.filter(pk=run.pk).update(outside=False)

    def install(self, instance):
        if instance.host.current_state == HostState.UNTRUSTED:
            self.end(instance, "the host is not trusted any more")
            raise Refused("Provisioning Failed: the host is not trusted any more")
        self.take_back(workflow.of(instance))
        run = workflow.latest(instance)
        if run is None:
            try:
                run = workflow.start(instance)
            except CannotInstall as why:
                raise Refused(f"Provisioning Failed: {why}") from why
            if run.state == WorkflowState.QUEUED or not engine().OUTSIDE:
                return self.waits(run)  # for its place; and then the machine's next call finds it
        if run.state in ACTIVE:
            if instance.current_state == InstanceState.RUNNING:
                workflow.not_any_more(instance)
                forget(instance)
            run = self.attend(run)
        match run.state:
            case WorkflowState.SUCCESS:
                instance.host.observe(
                    only_if={"host_status": "Not Connected"}, host_status=Status("Rebooting", Indicator.IN_PROGRESS)
                )
                return self.settled(instance, Done("Provisioned", state=InstanceState.RUNNING))
            case WorkflowState.CANCELLED if workflow.left_alone(run, instance):
                return self.settled(instance, Done("Provisioned", state=InstanceState.RUNNING))
            case WorkflowState.FAILED | WorkflowState.TIMEOUT | WorkflowState.CANCELLED:
                self.take_back(workflow.of(instance))
                raise Refused(f"Provisioning Failed: {run.reason}")
        workflow.show(run)
        return self.waits(run)

    def waits(self, run):
        """For the machine, or a place."""
        due = workflow.deadline(run)
        after = min(LOOK_AGAIN, max(due[0] - timezone.now(), timedelta(seconds=1))) if due else QUEUED_LOOK
        # How many have the places, its status says: it is counted once for each that queues.
        why = "waiting for a place" if run.state == WorkflowState.QUEUED else workflow.in_words(run)
        return Later(after, why, in_status=False)

    def attend(self, run):
        """Let the engine do what there is to do, and end what has passed its deadline. The run as it is then."""
        match run.state:
            case WorkflowState.QUEUED:
                places.give_out()  # there may be more of them since the last one ended
            case WorkflowState.PENDING:
                engine().begin(run)
            case WorkflowState.PAUSED:
                engine().pause(run)
        if run.state != WorkflowState.QUEUED:
            engine().look(run)
        run.refresh_from_db()
        return workflow.expire(run)

    def settled(self, instance, done):
        self.take_back(workflow.of(instance))
        return done


def forget(instance: Instance) -> None:
    """What its machine told was told of this instance."""
    if instance.host and instance.host.uuid:
        presence.forget(connection.schema_name, instance.host.uuid)

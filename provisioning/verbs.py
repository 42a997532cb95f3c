"""What operators do to an installation, by API, admin and command: try again, install anew, abort, pause, go on.

Each is a change of rows that the loop and the machine's next call see; none waits for a machine.
"""

from collections.abc import Callable

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from inventory.models import HostState, Instance, InstanceState, OperatingSystem
from provisioning import places, workflow
from provisioning.errors import CannotInstall
from provisioning.models import ACTIVE, Workflow, WorkflowState
from tenants import events


class NotNow(Exception):
    """The instance isn't in a state for this verb. str() says what is so."""


@transaction.atomic
def retry(instance: Instance, who: str, *, from_start: bool = False) -> Workflow:
    """Go on where the last attempt failed, or hangs: what is done, and would be done just so again, isn't repeated.

    from_start: repeat all of it. Raises NotNow, or CannotInstall if what hindered it isn't mended.
    """
    instance = _locked(instance)
    if instance.current_state != InstanceState.UNSPECIFIED:
        raise NotNow(f"{instance} is {instance.current_state}: to install it anew is another verb, reprovision")
    return _begin(instance, who, "tried again", goes_on=not from_start)


@transaction.atomic
def reprovision(instance: Instance, who: str, os: OperatingSystem | None = None) -> Workflow:
    """Install anew, from the start, whether it is installed or not: this operating system, or the same one.

    The host, its registration and its history stay. What is on its disks is gone once the machine has booted from the
    network and begun; until then an abort leaves it as it is. Raises NotNow, CannotInstall.
    """
    instance = _locked(instance)
    if os is not None and os.resource_id != instance.os_id:
        instance.os = os
        instance.save()
    return _begin(instance, who, "installed anew")


@transaction.atomic
def abort(instance: Instance, who: str) -> Workflow:
    """End the run that is on its way; the machine's next report is refused. Raises NotNow."""
    run = _on_its_way(instance, ACTIVE)
    workflow.cancel(Workflow.objects.filter(pk=run.pk), f"aborted by {who}")
    return _changed(instance, run)


@transaction.atomic
def pause(instance: Instance, who: str) -> Workflow:
    """Give out no further action; one that was begun goes on. Its place is free for another. Raises NotNow."""
    run = _on_its_way(instance, [state for state in ACTIVE if state != WorkflowState.PAUSED])
    Workflow.objects.filter(pk=run.pk).update(
        state=WorkflowState.PAUSED, paused_at=timezone.now(), reason=f"paused by {who}"
    )
    places.give_out()
    return _changed(instance, run)


@transaction.atomic
def resume(instance: Instance, who: str) -> Workflow:
    """Go on after a pause, as soon as there is a place; the time of the pause doesn't count. Raises NotNow."""
    run = _on_its_way(instance, [WorkflowState.PAUSED])
    now = timezone.now()
    Workflow.objects.filter(pk=run.pk).update(
        state=WorkflowState.QUEUED, queued_at=now, reason="", started_at=F("started_at") + (now - run.paused_at)
    )
    places.give_out()
    return _changed(instance, run)


def _locked(instance: Instance) -> Instance:
    """So that neither another verb nor the loop begins a run meanwhile. Raises NotNow if none may begin.

    The run first, as a report does, which holds its run while it writes the instance's status.
    """
    _locked_run(instance)
    rows = Instance.objects.select_related("host", "os", "local_account").select_for_update(of=("self",))
    instance = rows.get(pk=instance.pk)
    if instance.desired_state != InstanceState.RUNNING:
        raise NotNow(f"{instance} is wanted {instance.desired_state}")
    if instance.host is None or instance.host.current_state != HostState.ONBOARDED:
        raise NotNow(f"{instance.host} must be onboarded first: it is {instance.host and instance.host.current_state}")
    return instance


def _begin(instance: Instance, who: str, reason: str, *, goes_on: bool = False) -> Workflow:
    last = workflow.latest(instance)
    workflow.cancel(workflow.of(instance), f"{reason} by {who}")
    run = workflow.queue(instance, last, goes_on=goes_on, who=who)
    instance.ask(state=InstanceState.RUNNING)
    return run


def _on_its_way(instance: Instance, states: list[WorkflowState]) -> Workflow:
    run = _locked_run(instance)
    if run is None:
        last = workflow.latest(instance)
        raise NotNow(f"Nothing is being installed on {instance}: " + (f"{last} is {last.state}" if last else "no run"))
    if run.state not in states:
        raise NotNow(f"{run} is {run.state}")
    return run


def _locked_run(instance: Instance) -> Workflow | None:
    """The one that is on its way."""
    return workflow.of(instance).filter(state__in=ACTIVE).select_for_update().first()


def _changed(instance: Instance, run: Workflow) -> Workflow:
    run.refresh_from_db()
    events.announce(instance, "workflow")
    return run


# By their names in paths, commands and the admin: those that take nothing but the instance.
VERBS: dict[str, Callable[[Instance, str], Workflow]] = {
    "retry": retry, "reprovision": reprovision, "abort": abort, "pause": pause, "resume": resume,
}  # fmt: skip
REFUSALS = (NotNow, CannotInstall)

"""The life of a run, one attempt to install a host: made, given its place, reported on, ended; and what is shown of it.

Who works at it is an engine's matter (provisioning/engines), what there is to do a template's (provisioning/plans.py),
and what operators do to it is in provisioning/verbs.py.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django_tenants.utils import schema_context

from inventory.errors import Gone
from inventory.models import Indicator, Instance, InstanceState, Status
from provisioning import places
from provisioning.models import ACTIVE, BUSY, Workflow, WorkflowState
from provisioning.plans import SECRET_MARK, TASK, Plan, plan_for
from tenants import credentials, events
from tenants.models import Claim
from tenants.secrets import seal, unseal

ENDS = {WorkflowState.SUCCESS, WorkflowState.FAILED, WorkflowState.TIMEOUT}  # as machines report them, of an action
MESSAGE = 2000  # characters of an action's last message that are kept
LOG_LINES, LOG_MESSAGE = 50, 500  # of an action's log, and characters of each
ATTEMPTS = 20  # of an instance that are kept, however short a time ago
AT_ONCE = 500  # runs, deleted in one transaction
HEARD_EVERY = timedelta(seconds=30)  # a machine that only asks is noted as heard so often
_LIKE_A_SECRET = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])")  # what tenants.credentials makes

# What an operator reads while an action runs (reference: provisioning.md 2.7).
PROGRESS = {
    "secure-boot-status-flag-read": "Verifying Secure Boot settings",
    "erase-non-removable-disk": "Erasing data from all non-removable disks",
    "stream-os-image": "Streaming OS image",
    "add-apt-proxy": "Configuring APT proxy settings",
    "install-cloud-init": "Installing cloud-init",
    "custom-configs": "Copying custom cloud-init configs",
    "custom-configs-split": "Installing custom cloud-init configs",
    "cloud-init-ds-identity": "Setting up cloud-init",
    "profile-pkg-and-node-agents-install-script-download": "Downloading installation scripts",
    "service-script-for-profile-pkg-and-node-agents-install": "Installing packages",
    "system-configuration": "Applying system configuration",
    "fde-encryption": "Setting FDE encryption",
    "enable-security-features": "Enabling OS security features",
    "kernel-upgrade": "Upgrading kernel",
    "efibootset-for-diskboot": "Setting boot option",
    "reboot": "Rebooting",
}


class StaleReport(Exception):
    """The report isn't about the action that is due. str() names what is, and what was reported."""


class NotTrusted(Exception):
    """The machine's credentials were revoked."""


@dataclass(frozen=True)
class Report:
    """One word from a machine about one action."""

    workflow_id: str
    action_name: str
    state: str  # RUNNING, SUCCESS, FAILED or TIMEOUT of WorkflowState
    message: str = ""
    index: int | None = None  # of the action, where the machine says it


@dataclass(frozen=True)
class Seen:
    """How an action is, as an engine outside knows it: for follow()."""

    state: str
    message: str = ""
    started: float | None = None  # seconds since 1970
    seconds: float | None = None  # it took


# Begin and end ----------------------------------------------------------------------------------------------------


@transaction.atomic
def start(instance: Instance) -> Workflow:
    """Make the run that installs this instance, unless there is one on its way. The loop calls this.

    Raises Gone, or LeaseLost in a worker that isn't meant to any more, and CannotInstall; then there is no run.
    """
    if not Instance.objects.select_for_update().filter(pk=instance.pk).order_by().values("pk"):
        raise Gone(str(instance))
    run = of(instance).only("state", "attempt").first()
    if run is None or run.state not in ACTIVE:
        run = queue(instance, run)
    _show_on(instance, run)
    return run


def queue(instance: Instance, last: Workflow | None, *, goes_on: bool = False, who: str = "") -> Workflow:
    """Make a run, which waits for its place. Call with the instance's row locked, and no run of its host on its way.

    last: the attempt before. goes_on: what of it is done, and would be done just so again, isn't done again.
    Raises CannotInstall: nothing was begun.
    """
    plan = plan_for(instance)
    run = Workflow.objects.create(
        schema=connection.schema_name,
        workflow_id=f"workflow-{secrets.token_hex(8)}",
        instance_id=str(instance),
        host_id=str(instance.host),
        host_uuid=instance.host.uuid,
        worker_id=instance.host.pxe_mac,
        attempt=last.attempt + 1 if last else 1,
        template=plan.template,
        os_id=instance.os_id,
        who=who,
        state=WorkflowState.QUEUED,
        timeout=plan.timeout,
        actions=_actions(plan, last if goes_on else None),
        inputs_sealed=seal(json.dumps(plan.environments)),
    )
    if run.attempt > ATTEMPTS:
        too_many = [*of(instance).values_list("pk", flat=True)[ATTEMPTS:]]
        of(instance).filter(outside=False, pk__in=too_many).delete()
    places.give_out()
    run.refresh_from_db(fields=["state", "placed_at", "outside"])
    return run


def _actions(plan: Plan, since: Workflow | None) -> list[dict[str, Any]]:
    fresh = [action | {"state": WorkflowState.PENDING.value, "message": "", "log": []} for action in plan.actions]
    if since is None or not since.inputs_sealed:
        return fresh
    done = zip(since.actions, environments_of(since), strict=True)
    for action, environment, (before, was) in zip(fresh, plan.environments, done, strict=False):
        same = all(action[key] == before[key] for key in ("name", "image")) and environment == was
        if not same or before["state"] != WorkflowState.SUCCESS:
            break
        action |= {"state": WorkflowState.SUCCESS.value, "message": f"done in attempt {since.attempt}"}
    return fresh


def of(instance: Instance) -> QuerySet[Workflow]:
    """All attempts, the newest first."""
    return Workflow.objects.filter(schema=connection.schema_name, instance_id=str(instance)).order_by("-id")


def latest(instance: Instance) -> Workflow | None:
    return of(instance).first()


def forget_old() -> int:
    """Delete runs, of all tenants, that ended too long ago, batch by batch; how many. Call from public.

    Not the last that installed a machine, nor what came after it: its next attempt, and what it is said to run, are
    judged by those. Of a machine that is gone none is kept.
    """
    forgotten = 0
    for old in too_old():
        while batch := [*old.values_list("pk", flat=True)[:AT_ONCE]]:
            forgotten += Workflow.objects.filter(pk__in=batch).delete()[0]
    return forgotten


def too_old() -> list[QuerySet[Workflow]]:
    """Those whose machine was installed again since, and those whose machine is gone."""
    ended = Workflow.objects.filter(
        finished_at__lt=timezone.now() - timedelta(days=settings.WORKFLOW_RUNS_DAYS), outside=False
    ).exclude(state__in=ACTIVE).order_by("finished_at")  # fmt: skip
    same_machine = Workflow.objects.filter(host_uuid=OuterRef("host_uuid"))
    return [
        ended.filter(Exists(same_machine.filter(pk__gt=OuterRef("pk"), state=WorkflowState.SUCCESS))),
        ended.exclude(Exists(Claim.objects.filter(uuid=OuterRef("host_uuid")))),
    ]


def cancel(runs: QuerySet[Workflow], reason: str) -> int:
    """End those that are on their way. Returns how many."""
    ended = runs.filter(state__in=ACTIVE).update(
        state=WorkflowState.CANCELLED, reason=reason, finished_at=timezone.now()
    )
    if ended:
        places.give_out()
    return ended


def left_alone(run: Workflow, instance: Instance) -> bool:
    """Whether this run, which ended, was of a machine that is installed all the same: it did nothing to it yet."""
    if run.started_at is not None:
        return False
    before = of(instance).filter(pk__lt=run.pk).exclude(started_at=None).first()
    return before is not None and before.state == WorkflowState.SUCCESS and before.os_id == instance.os_id


# What the machine gets --------------------------------------------------------------------------------------------


def environments_of(run: Workflow) -> list[dict[str, str]]:
    """What each action gets, with markers where secrets go."""
    return json.loads(unseal(run.inputs_sealed)) if run.inputs_sealed else [{} for _ in run.actions]


def unmasked(run: Workflow, environments: Iterable[dict[str, str]]) -> list[list[str]]:
    """K=V, sorted, with the secrets in their places: only for the machine itself, never kept.

    Raises NotTrusted: a token outlives the trust by up to an hour, and must not get a new secret meanwhile.
    """
    environments = [*environments]
    if any(SECRET_MARK in value for environment in environments for value in environment.values()):
        secret = credentials.secret_of(run.host_uuid)
        if secret is None:
            raise NotTrusted("The host is not trusted any more")
        # The mark stands inside YAML inside a file: a secret has only letters that mean nothing there.
        environments = [{k: v.replace(SECRET_MARK, secret) for k, v in one.items()} for one in environments]
    return [sorted(f"{key}={value}" for key, value in environment.items()) for environment in environments]


def document(run: Workflow) -> dict[str, Any]:
    """All of the run in the form of Tinkerbell's templates, secrets included. Raises NotTrusted."""
    environments = unmasked(run, environments_of(run))
    actions = [
        {key: action[key] for key in ("name", "image", "timeout", "volumes")}
        | ({"pid": action["pid"]} if action["pid"] else {})
        | {"environment": dict(pair.split("=", 1) for pair in environment)}
        for action, environment in zip(run.actions, environments, strict=True)
    ]
    task = {"name": TASK, "worker": run.worker_id, "actions": actions}
    return {"version": "0.1", "name": run.workflow_id, "global_timeout": run.timeout, "tasks": [task]}


def of_machine(host_uuid: UUID | None) -> QuerySet[Workflow]:
    """The runs of this machine in the current schema; of all machines there for who speaks for any (None)."""
    runs = Workflow.objects.filter(schema=connection.schema_name)
    return runs if host_uuid is None else runs.filter(host_uuid=host_uuid)


def for_worker(worker_id: str, host_uuid: UUID | None, *, whole: bool = False) -> Workflow | None:
    """The run of this machine that is on its way, in the current schema. The UUID is the token's, the MAC what it says.

    One indexed query; if there is a run, now and then a second one, which notes that the machine was heard.
    whole: with what its actions get.
    """
    found = of_machine(host_uuid).filter(state__in=ACTIVE, worker_id=worker_id.lower())
    found = found if whole else found.defer("inputs_sealed")
    run = next(iter(found), None)  # first() would put them in order, for which the planner reads the tenant's history
    now = timezone.now()
    if run and (run.heard_at is None or now - run.heard_at > HEARD_EVERY):
        Workflow.objects.filter(pk=run.pk).update(heard_at=now)
    return run


def may_begin(run: Workflow) -> bool:
    """Whether its due action is given out, also to a worker that comes back to one that it began."""
    return run.state in BUSY


# What is reported -------------------------------------------------------------------------------------------------


@transaction.atomic
def report(host_uuid: UUID | None, told: Report) -> None:
    """Write down what the machine says of its current action, show it, and ring when that ends the run.

    An end that was reported already is heard once more and changes nothing: its answer may have been lost. RUNNING may
    be said again and again, as a sign of life and with a message. Raises Workflow.DoesNotExist, or StaleReport if the
    report isn't about what is due: the machine then asks again.
    """
    run = _reported_on(host_uuid, told.workflow_id)
    known = next((action for action in run.actions if action["name"] == told.action_name), None)
    if known and told.state in ENDS and known["state"] == told.state:
        return
    if run.state not in ACTIVE:
        raise StaleReport(f"{run.workflow_id} has ended: {run.state}")
    action = run.actions[run.current]
    if action is not known or told.index not in (None, run.current):
        raise StaleReport(f"the current action is {action['name']!r}, the report is about {told.action_name!r}")
    if not may_begin(run) and action["state"] != WorkflowState.RUNNING:
        raise StaleReport(f"{run.workflow_id} has to wait: {run.state}")
    was = run.state, progress(run)
    _note(run, action, told.state, told.message)
    _settle(run)
    if (run.state, progress(run)) != was:
        _tell(run)


_REPORTED_ON = f"""
    SELECT {", ".join(field.column for field in Workflow._meta.concrete_fields if field.name != "inputs_sealed")}
    FROM provisioning_workflow
    WHERE workflow_id = %s AND schema = %s AND host_uuid = COALESCE(%s, host_uuid) FOR UPDATE
"""


def _reported_on(host_uuid: UUID | None, workflow_id: str) -> Workflow:
    """As _writable(of_machine(host_uuid)).get() finds it. In SQL, for to make this statement anew costs Django as much

    as all else that is done about a report, of which there are a dozen for each machine.
    """
    found = [*Workflow.objects.raw(_REPORTED_ON, [workflow_id, connection.schema_name, host_uuid])]
    if not found:
        raise Workflow.DoesNotExist
    return found[0]


def _tell(run: Workflow) -> None:
    _show(run)
    if run.state not in ACTIVE:
        places.give_out()


def _writable(runs: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Locked, and without the large column, which save() leaves alone then."""
    return runs.select_for_update().defer("inputs_sealed")


def _note(run: Workflow, action: dict[str, Any], state: str, message: str) -> None:
    now, message = time.time(), _without_secrets(run, message)[:MESSAGE].replace("\0", "\ufffd")  # JSON can't keep it
    if state == WorkflowState.RUNNING:
        action["beats"] = action.get("beats", -1) + 1
        action.setdefault("started", now)
    else:
        action["seconds"] = round(now - action.get("started", now), 3)
    action["state"], action["message"] = state, message
    log = action.setdefault("log", [])
    line = {"state": state, "message": message[:LOG_MESSAGE]}
    if not log or log[-1] | line != log[-1]:
        log.append({"at": round(now, 3)} | line)
    if len(log) > LOG_LINES:
        del log[1]  # what stays are the first one and the newest
    run.heard_at = timezone.now()
    run.started_at = run.started_at or run.heard_at


def _without_secrets(run: Workflow, message: str) -> str:
    """A failed action's last words may be what it was given."""
    if _LIKE_A_SECRET.search(message) and (secret := credentials.secret_of(run.host_uuid)):
        return message.replace(secret, "***")
    return message


@transaction.atomic
def follow(run: Workflow, seen: list[Seen]) -> None:
    """Write down how all of the run's actions are, as an engine outside knows it; nothing if the run has ended.

    Raises ValueError if they aren't as many as the run has.
    """
    run = _writable(Workflow.objects.all()).get(pk=run.pk)
    if run.state not in ACTIVE:
        return
    changed = False
    for action, now in zip(run.actions, seen, strict=True):
        message = now.message or action["message"]
        if (action["state"], action["message"]) != (now.state, message):
            _note(run, action, now.state, message)
            action |= {key: value for key in ("started", "seconds") if (value := getattr(now, key)) is not None}
            changed = True
    if changed:
        _settle(run)
        _tell(run)


def _settle(run: Workflow) -> None:
    """From the states of the actions follows that of the run."""
    at = run.current
    if at == len(run.actions):
        run.state = WorkflowState.SUCCESS
    elif run.actions[at]["state"] in ENDS:
        run.state, run.reason = run.actions[at]["state"], progress(run)
    elif run.state in BUSY:
        run.state = WorkflowState.RUNNING
    if run.state not in ACTIVE:
        run.finished_at = timezone.now()
    written: dict[str, Any] = {
        "state": run.state, "actions": json.dumps(run.actions), "reason": run.reason, "heard_at": run.heard_at,
        "started_at": run.started_at, "finished_at": run.finished_at,
    }  # fmt: skip
    if run.state == WorkflowState.SUCCESS:
        run.inputs_sealed = written["inputs_sealed"] = ""  # nobody needs it any more
    with connection.cursor() as cursor:  # in SQL, as _reported_on() reads it
        columns = ", ".join(f"{column} = %s" for column in written)
        cursor.execute(f"UPDATE provisioning_workflow SET {columns} WHERE id = %s", [*written.values(), run.pk])


# What is shown ----------------------------------------------------------------------------------------------------


@transaction.atomic
def show(run: Workflow) -> None:
    """Tell in the instance's status how far the run is by now.

    As its row says under its lock: the machine may have reported since the caller read it, and what that report showed
    would be overwritten by what was so before.
    """
    _show(_writable(Workflow.objects.all()).get(pk=run.pk))


_SHOWN = ("resource_id", "desired_state", "current_state", "provisioning_status", "provisioning_status_indicator")


def _show(run: Workflow) -> None:
    """The same of a run whose row is locked; and ring for the instance if the run has ended."""
    rows = Instance.objects.filter(resource_id=run.instance_id).only(*_SHOWN).order_by()
    for instance in rows.select_for_update() if run.state in ACTIVE else rows:
        if run.state in ACTIVE:
            instance.hold()
        _show_on(instance, run)


def _show_on(instance: Instance, run: Workflow) -> None:
    try:
        if run.started_at and instance.current_state == InstanceState.RUNNING:
            not_any_more(instance)
        if run.state in ACTIVE:
            shown = Status(f"Provisioning In Progress: {in_words(run)}", Indicator.IN_PROGRESS)
            instance.observe(only_if={"desired_state": InstanceState.RUNNING}, provisioning_status=shown)
        else:
            events.announce(instance, "workflow")
    except Gone:
        return


def not_any_more(instance: Instance) -> None:
    """What was installed is to be installed once more, or has begun to be. Raises Gone."""
    instance.observe(
        only_if={"desired_state": InstanceState.RUNNING, "current_state": InstanceState.RUNNING},
        state=InstanceState.UNSPECIFIED,
        instance_status=Status("Not Installed"),
        provisioning_status=Status("Provisioning In Progress", Indicator.IN_PROGRESS),
    )


def in_words(run: Workflow) -> str:
    match run.state:
        case WorkflowState.QUEUED:
            return places.why_waiting(run)
        case WorkflowState.PAUSED:
            return f"{progress(run)}, {run.reason}"
    return progress(run)


def progress(run: Workflow) -> str:
    """`3/7: Streaming OS image`, and how it ended if it did."""
    at = min(run.current, len(run.actions) - 1)
    action = run.actions[at]
    text = f"{at + 1}/{len(run.actions)}: {PROGRESS.get(action['name'], action['name'])}"
    match action["state"]:
        case WorkflowState.FAILED:
            text += " failed"
        case WorkflowState.TIMEOUT:
            text += " timeout"
        case _:
            return text
    return f"{text}: {action['message']}" if action["message"] else text


# Deadlines --------------------------------------------------------------------------------------------------------


def deadline(run: Workflow) -> tuple[datetime, str] | None:
    """When this run ends if nothing is heard until then, and why. None if it has ended, or queues.

    A worker is silent while an action runs, unless it has shown that it says RUNNING again and again: from then on its
    silence means that it is gone. Any other has the time that its action has.
    """
    if run.state == WorkflowState.PAUSED:
        longest = settings.WORKFLOW_PAUSE
        return run.paused_at + timedelta(seconds=longest), f"it was paused for {longest} s"
    if run.state not in BUSY:
        return None
    placed = run.placed_at or run.created_at
    ends = [((run.started_at or placed) + timedelta(seconds=run.timeout), f"it took longer than {run.timeout} s")]
    action = run.actions[run.current]
    is_at_it = action["state"] == WorkflowState.RUNNING
    if is_at_it:
        longest = action["timeout"] + settings.WORKFLOW_GRACE
        began = datetime.fromtimestamp(action["started"], placed.tzinfo)
        ends.append((began + timedelta(seconds=longest), f"Action timed out after {action['timeout']} s"))
    if not is_at_it or action.get("beats"):
        heard = run.heard_at and run.heard_at > placed
        longest = settings.WORKFLOW_SILENCE if heard else settings.WORKFLOW_FIRST_WORD
        since = max(run.heard_at or placed, placed)
        ends.append((since + timedelta(seconds=longest), f"no word from the machine for {longest} s"))
    return min(ends)


def expire(run: Workflow) -> Workflow:
    """The run as it is now: ended, if it has passed its deadline."""
    return _expire(run) if _is_over(run) else run


def _is_over(run: Workflow) -> bool:
    due = deadline(run)
    return due is not None and due[0] <= timezone.now()


@transaction.atomic
def _expire(run: Workflow) -> Workflow:
    run = _writable(Workflow.objects.all()).get(pk=run.pk)
    due = deadline(run)
    if due is None or due[0] > timezone.now():
        return run  # it was heard just now
    action = run.actions[run.current]
    if action["state"] == WorkflowState.RUNNING:
        _note(run, action, WorkflowState.TIMEOUT, due[1])
        run.reason = progress(run)
    else:
        run.reason = f"{progress(run)} timeout: {due[1]}"
    run.state, run.finished_at = WorkflowState.TIMEOUT, timezone.now()
    run.save()
    places.give_out()
    return run


# What a machine boots ---------------------------------------------------------------------------------------------


def boots_from_disk(uuid: str, serial: str) -> bool:
    """Is this machine installed, and to stay so, as we know it at this moment? An unknown one isn't."""
    try:
        claim = Claim.objects.filter(uuid=UUID(uuid)).first() if uuid else None
    except ValueError:
        claim = None
    if claim is None and serial:
        found = Claim.objects.filter(serial=serial, uuid=None)[:2]
        claim = found[0] if len(found) == 1 else None
    if claim is None:
        return False
    with schema_context(claim.schema):
        installed = Instance.objects.filter(
            host_id=claim.resource_id, desired_state=InstanceState.RUNNING, current_state=InstanceState.RUNNING
        )
        return installed.exists() and not Workflow.objects.filter(host_id=claim.resource_id, state__in=ACTIVE).exists()

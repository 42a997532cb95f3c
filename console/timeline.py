"""What happened to a host, from the journal, its installations and its updates: one list, the newest first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.db import connection

from inventory.models import Host, Indicator, Instance, OsUpdateRun
from provisioning.models import ACTIVE, Workflow, WorkflowState
from provisioning.workflow import ENDS, PROGRESS
from tenants.models import Event
from workers import engine

LINES, UPDATES = 150, 10  # that are read
# Kind and verb of the journal -> what people read.
_WORDS = {
    ("host", "created"): "Host registered", ("host", "asked"): "Something was asked of the host",
    ("host", "changed"): "Host edited", ("host", "observed"): "The host's facts changed",
    ("host", "deleted"): "Host deleted", ("instance", "created"): "Instance asked for",
    ("instance", "asked"): "Something was asked of the instance", ("instance", "changed"): "Instance edited",
    ("instance", "observed"): "The instance's facts changed", ("instance", "workflow"): "The installation changed",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    at: datetime
    says: str
    who: str = ""
    detail: str = ""
    indicator: str = Indicator.UNSPECIFIED
    times: int = 1  # in a row


def of(host: Host, instance: Instance | None, runs: list[Workflow]) -> list[Entry]:
    """In two queries, whatever happened."""
    entries = [*_journal(host, instance), *(entry for run in runs for entry in _of_run(run))]
    entries += _updates(instance) if instance else []
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return _in_a_row(entries)


def _journal(host: Host, instance: Instance | None) -> Iterator[Entry]:
    ids = [host.resource_id, *([instance.resource_id] if instance else [])]
    lines = Event.objects.filter(schema=connection.schema_name, resource_id__in=ids).order_by("-id")[:LINES]
    for line in lines:
        says = _WORDS.get((line.kind, line.verb), f"{line.kind}: {line.verb}".capitalize())
        yield Entry(line.at, says, _who(line.who, host))


def _who(name: str, host: Host) -> str:
    if host.uuid and name.endswith(str(host.uuid)):
        return "its machine"
    return "the manager" if name in engine.registry else name


def _of_run(run: Workflow) -> Iterator[Entry]:
    what = f"Installation {run.attempt}"
    yield Entry(run.created_at, f"{what} was queued", run.who)
    for action in run.actions:
        if action["state"] in ENDS and action.get("log"):
            failed = action["state"] != WorkflowState.SUCCESS
            title = f"{what}: {PROGRESS.get(action['name'], action['name'])}"
            yield Entry(
                datetime.fromtimestamp(action["log"][-1]["at"], UTC), f"{title} failed" if failed else title, "",
                action["message"] if failed else f"{action.get('seconds', 0):.1f} s",
                Indicator.ERROR if failed else Indicator.IDLE,
            )  # fmt: skip
    if run.finished_at and run.state not in ACTIVE:
        good = run.state == WorkflowState.SUCCESS
        yield Entry(
            run.finished_at, f"{what} {'has succeeded' if good else f'ended: {run.get_state_display().lower()}'}",
            "", run.reason, Indicator.IDLE if good else Indicator.ERROR,
        )  # fmt: skip


def _updates(instance: Instance) -> Iterator[Entry]:
    for update in OsUpdateRun.objects.filter(instance=instance).order_by("-start_time")[:UPDATES]:
        at = datetime.fromtimestamp(update.status_timestamp or update.start_time, UTC)
        yield Entry(at, f"Update {update.name}".strip(), "", update.status, update.status_indicator)


def _in_a_row(entries: list[Entry]) -> list[Entry]:
    """The same again and again is told once, with how often."""
    told: list[Entry] = []
    for entry in entries:
        last = told[-1] if told else None
        if last and not entry.detail and (last.says, last.who, last.detail) == (entry.says, entry.who, ""):
            told[-1] = replace(last, times=last.times + 1)
        else:
            told.append(entry)
    return told

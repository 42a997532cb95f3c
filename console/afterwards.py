"""What goes on at a host once it is installed: how it is updated, and what it measures and logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from inventory.models import Host, Instance, OsUpdateRun, TelemetryProfile
from inventory.models.policy import OPEN
from inventory.models.telemetry import over
from wire import telemetrymgr_pb2 as wire
from workers import updates as plans
from workers.servicers.telemetry import merged

RUNS = 5  # updates of the past that are shown
ROLLED_BACK = "rolledback"


@dataclass(frozen=True)
class Change:
    """What an update did to one package, or to the whole system, as its machine told it."""

    what: str
    action: str
    status: str
    reason: str
    log: str


@dataclass(frozen=True)
class Run:
    run: OsUpdateRun
    begun: datetime
    ended: datetime | None
    changes: list[Change]

    @property
    def was_rolled_back(self) -> bool:
        return any(change.status == ROLLED_BACK for change in self.changes)


@dataclass(frozen=True)
class Updates:
    available: list[str]  # what is newer than what it has
    wanted: str  # what the next one brings
    wrong: list[str]  # why it brings less
    runs: list[Run]
    more: bool  # than these


def updates(instance: Instance) -> Updates:
    plan = plans.plan_for(instance)
    found = [*OsUpdateRun.objects.filter(instance=instance).order_by("-start_time", "-pk")[: RUNS + 1]]
    return Updates(
        _available(instance.os_update_available), _wanted(plan), plan.wrong, [*map(_run, found[:RUNS])],
        len(found) > RUNS,
    )  # fmt: skip


def _wanted(plan: plans.Plan) -> str:
    if plan.image is not None:
        return plan.image.name if plan.installs else f"nothing: it runs {plan.image.name}"
    if not plan.installs:
        return "nothing, until it has an update policy"
    named = [*plan.packages.replace(",", " ").split(), *filter(None, [plan.kernel_command])]
    return ", ".join(named) or "all that is newer in its sources"


def _available(told: str) -> list[str]:
    """Of a mutable system packages, as its agent lists them in JSON; of an immutable one its next image, by name."""
    try:
        packages = json.loads(told) if told else []
    except (ValueError, RecursionError):
        return [told]
    if not isinstance(packages, list):
        return [told]
    return [
        f"{one.get('name', '')} {one.get('available_version', '')}".strip() if isinstance(one, dict) else str(one)
        for one in packages
    ]  # fmt: skip


def _run(run: OsUpdateRun) -> Run:
    ended = datetime.fromtimestamp(run.end_time, UTC) if 0 < run.end_time < OPEN else None
    return Run(run, datetime.fromtimestamp(run.start_time, UTC), ended, [*_changes(run.status_details)])


def _changes(details: str) -> Iterator[Change]:
    """Of the log that its machine told when it ended; while it goes on there may be any text."""
    try:
        log = json.loads(details)["update_log"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for told in log:
        package = f"{told.get('package_name', '')} {told.get('version', '')}".strip()
        yield Change(
            package or "The whole system", told.get("action", ""), told.get("status", ""),
            told.get("failure_reason", ""), told.get("failure_log", ""),
        )  # fmt: skip


def telemetry(host: Host, instance: Instance) -> list[tuple[str, str]]:
    """What its machine is told to measure and to log, (name, how): of all profiles over it the most."""
    profiles = TelemetryProfile.objects.filter(over(instance=instance.resource_id, site=host.site_id or ""))
    return [
        (one.input, f"every {one.interval} s" if one.interval else f"from {_level(one.level)} on")
        for one in merged(profiles.select_related("group"))
    ]


def _level(level: int) -> str:
    return wire.SeverityLevel.Name(level).removeprefix("SEVERITY_LEVEL_").lower()

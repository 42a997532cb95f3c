"""A host's page: what is wished and what is so, side by side, what happened, and what can be done to it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.contrib import messages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from console import afterwards, timeline, verbs
from console.fleet import lasting, percent_of
from console.frame import page, part
from inventory import presence
from inventory.api.location import inherit
from inventory.models import Host, Instance, Status
from inventory.models.schedule import over
from inventory.stages import Stage, in_short, staged, statuses_of
from provisioning import workflow
from provisioning.models import Workflow
from tenants.resource import Resource
from workers import engine
from workers.models import Work

ATTEMPTS = 3  # whose steps are in the timeline


@dataclass(frozen=True)
class Pair:
    """A wish and the fact that answers it."""

    name: str
    desired: str
    current: str
    status: Status
    since: int
    why: str  # it isn't so yet, as the loop says
    refused: bool

    @property
    def agrees(self) -> bool:
        return self.desired == self.current


@dataclass(frozen=True)
class Step:
    title: str
    state: str
    seconds: float | None
    message: str
    log: list[tuple[datetime, str]]


def host(request: HttpRequest, resource_id: str) -> HttpResponse:
    found = _found(resource_id)
    return page(request, "console/host.html", title=found.name, verbs=verbs.VERBS.values(), **_told(request, found))


def live(request: HttpRequest, resource_id: str) -> HttpResponse:
    return part(request, "console/host_live.html", **_told(request, _found(resource_id)))


@require_POST
def do(request: HttpRequest, resource_id: str, verb: str) -> HttpResponse:
    """Ask for what a button says, and come back to the page, which tells how it went."""
    found, asked = _found(resource_id), verbs.VERBS.get(verb)
    if asked is None:
        raise Http404
    try:
        asked.do(verbs.Situation.of(found), request)
    except verbs.REFUSALS as why:
        messages.error(request, "; ".join(getattr(why, "messages", [str(why)])))
    else:
        messages.success(request, f"{found.name}: {asked.says}.")
    if Host.objects.filter(pk=found.pk).exists():
        return HttpResponseRedirect(reverse("console:host", args=[resource_id]))
    return HttpResponseRedirect(reverse("console:dashboard"))


def _found(resource_id: str) -> Host:
    rows = staged().select_related(
        "site__region", "provider", "power_provider", "instance__os", "instance__os_update_policy__target_os"
    )
    host = rows.filter(resource_id=resource_id[:24]).first()
    if host is None:
        raise Http404
    return host


def _told(request: HttpRequest, host: Host) -> dict:
    so = verbs.Situation.of(host)
    runs = [*workflow.of(so.instance).defer("inputs_sealed")[:ATTEMPTS]] if so.instance else []
    seen = presence.last_seen(connection.schema_name, host.uuid)
    return {
        "host": host, "instance": so.instance, "short": in_short(host), "stage": Stage(host.stage).label,
        "offered": verbs.offered(so), "switchable": so.switchable,
        "pairs": _pairs(host, so.instance), "statuses": statuses_of(host),
        "run": so.run, "run_percent": percent_of(so.run) if so.run else 0, "steps": _steps(so.run),
        "run_says": workflow.progress(so.run) if so.run else "", "is_being_installed": so.is_being_installed,
        "deadline": workflow.deadline(so.run) if so.is_being_installed else None,
        "seen": seen, "silent_after": presence.silence(), "addresses": _addresses(host),
        "maintained": lasting(timezone.now(), over(host=host.resource_id)),
        "entries": timeline.of(host, so.instance, runs), "inherited": _inherited(host),
        "updates": afterwards.updates(so.instance) if so.is_installed else None,
        "telemetry": afterwards.telemetry(host, so.instance) if so.instance else [],
        "has_amt": bool(settings.MPS_URL and settings.RPS_URL),
    }  # fmt: skip


def _inherited(host: Host) -> list[dict[str, str]]:
    """The labels that its site and its regions say, and itself doesn't."""
    if host.site is None:
        return []
    told: dict = {"metadata": host.metadata}
    inherit([told], [host.site.region_id or ""], [host.site.metadata])
    return told["inheritedMetadata"]


def _pairs(host: Host, instance: Instance | None) -> list[Pair]:
    """Those of which something is wished or known."""
    rows = [host, *([instance] if instance else [])]
    whys = _whys(rows)
    found = []
    for row in rows:
        for pair, status in row.wishes.items():
            desired, current = getattr(row, f"desired_{pair}"), getattr(row, f"current_{pair}")
            if {desired, current} == {row.default_of(f"desired_{pair}")}:
                continue
            why, refused = whys.get((type(row), pair), ("", False))
            shown = Status(getattr(row, status), getattr(row, f"{status}_indicator"))
            name = f"{row._meta.verbose_name} {pair.replace('_', ' ')}"
            found.append(Pair(name, desired, current, shown, getattr(row, f"{status}_timestamp"), why, refused))
    return found


def _whys(rows: list[Resource]) -> dict[tuple[type[Resource], str], tuple[str, bool]]:
    """Why what is wished isn't so yet, and whether it never will be as it is: by model and pair."""
    targets = {type(row): row.pk for row in rows}
    names = {name: one for name, one in engine.registry.items() if one.model in targets}
    works = Work.objects.filter(schema=connection.schema_name, reconciler__in=names, target__in=targets.values())
    return {
        (names[work.reconciler].model, names[work.reconciler].pair): (work.why, bool(work.refused))
        for work in works if targets[names[work.reconciler].model] == work.target
    }  # fmt: skip


def _steps(run: Workflow | None) -> list[Step]:
    return [
        Step(
            workflow.PROGRESS.get(action["name"], action["name"]), action["state"].removeprefix("STATE_"),
            action.get("seconds"), action["message"],
            [(datetime.fromtimestamp(line["at"], UTC), line["message"]) for line in action.get("log", [])],
        ) for action in (run.actions if run else [])
    ]  # fmt: skip


def _addresses(host: Host) -> list[str]:
    return [ip["address"] for nic in host.hardware.get("nics", []) for ip in nic.get("ipaddresses") or []]

"""What there is to say of a project's fleet as a whole, each in a query or two however many hosts it has."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from inventory.models import Host, Indicator, RepeatedSchedule, SingleSchedule
from inventory.models.schedule import TARGETS
from inventory.stages import LOST, REACHED, STATUSES_OF_HOSTS, STATUSES_OF_INSTANCES, Stage, staged
from provisioning import workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from workers import outstanding
from workers.models import Work

SHOWN = 8  # rows of a list on the dashboard; its number leads to all of them
AHEAD = timedelta(days=7)  # that are looked into for the next maintenance
STUCK = timedelta(minutes=5)  # after which what isn't done yet is shown as such


def hosts_where(**asked: str) -> str:
    """The list of those hosts."""
    return f"{reverse('project:inventory_host_changelist')}?{urlencode(asked)}"


@dataclass(frozen=True)
class Part:
    """A number of hosts among all of them."""

    name: str
    title: str
    count: int
    of: int
    link: str

    @property
    def percent(self) -> float:
        return round(100 * self.count / self.of, 2) if self.of else 0


@dataclass(frozen=True)
class Counts:
    total: int
    stages: list[Part]  # which make up the total
    funnel: list[Part]  # each a part of the one before

    @property
    def stage(self) -> dict[str, Part]:
        return {part.name: part for part in self.stages}


def counts() -> Counts:
    reached = {f"reached_{name}": Count("pk", filter=condition) for name, (_, condition) in REACHED.items()}
    rows = [*staged().order_by().values("stage").annotate(count=Count("pk"), **reached)]
    total = sum(row["count"] for row in rows)
    by_stage = {row["stage"]: row["count"] for row in rows}
    stages = [
        Part(stage.value, stage.label, by_stage.get(stage.value, 0), total, hosts_where(stage=stage.value))
        for stage in Stage
    ]
    funnel = [
        Part(name, title, sum(row[f"reached_{name}"] for row in rows), total, hosts_where(reached=name))
        for name, (title, _) in REACHED.items()
    ]
    return Counts(total, stages, funnel)


@dataclass(frozen=True)
class Reason:
    """That so many hosts have this error."""

    which: str  # "instance.provisioning_status"
    says: str
    count: int
    since: int  # the newest of them
    name: str  # as failed_because() knows it
    link: str

    @property
    def status(self) -> str:
        return self.which.partition(".")[2].replace("_", " ")


_COLUMNS = "('{0}', {0}, {0}_indicator, {0}_timestamp)"
_SAID = ", ".join(
    _COLUMNS.format(f"{table}.{name}_status")
    for table, names in (("host", STATUSES_OF_HOSTS), ("instance", STATUSES_OF_INSTANCES))
    for name in names
)
_REASONS = f"""
    SELECT which, says, count(*), max(at)
    FROM inventory_host host LEFT JOIN inventory_instance instance ON instance.host_id = host.resource_id
    CROSS JOIN LATERAL (VALUES {_SAID}) AS said (which, says, indicator, at)
    WHERE indicator = %s AND NOT (which = 'host.host_status' AND says = %s)
    GROUP BY which, says ORDER BY 3 DESC, 4 DESC LIMIT %s
"""


def reasons(most: int = SHOWN) -> list[Reason]:
    """Why hosts have failed, the commonest first. Those that are lost have a list of their own."""
    with connection.cursor() as cursor:
        cursor.execute(_REASONS, [Indicator.ERROR, LOST, most])
        return [
            Reason(which, says, count, since, name := f"{which}:{says}", hosts_where(why=name))
            for which, says, count, since in cursor.fetchall()
        ]


def failed_because(why: str) -> dict[str, str]:
    """The condition of a Reason, by its name."""
    which, _, says = why.partition(":")
    table, _, column = which.partition(".")
    known = {"host": STATUSES_OF_HOSTS, "instance": STATUSES_OF_INSTANCES}.get(table, ())
    if column.removesuffix("_status") not in known:
        return {"pk__in": []}
    prefix = "instance__" if table == "instance" else ""
    return {f"{prefix}{column}": says, f"{prefix}{column}_indicator": Indicator.ERROR}


@dataclass(frozen=True)
class Installation:
    run: Workflow
    host: str  # its name
    says: str
    percent: float


@dataclass(frozen=True)
class Installations:
    shown: list[Installation]
    count: int  # of all that are under way
    queued: int


def installations() -> Installations:
    """Those under way, the latest first; those that wait for a place are only counted."""
    runs = Workflow.objects.filter(schema=connection.schema_name)
    states = dict(runs.filter(state__in=ACTIVE).order_by().values_list("state").annotate(Count("pk")))
    queued = states.pop(WorkflowState.QUEUED, 0)
    active = runs.filter(state__in=states).defer("inputs_sealed").order_by("-id") if states else runs.none()
    shown = [*active[:SHOWN]]
    hosts = Host.objects.filter(resource_id__in=[run.host_id for run in shown])
    names = dict(hosts.values_list("resource_id", "name"))
    rows = [
        Installation(run, names.get(run.host_id, run.host_id), workflow.progress(run), percent_of(run)) for run in shown
    ]
    return Installations(rows, sum(states.values()), queued)


def percent_of(run: Workflow) -> float:
    """How much of a run is done: of its steps, for nobody knows how long one takes on this machine."""
    return round(100 * run.current / len(run.actions), 1) if run.actions else 0


def lost() -> QuerySet[Host]:
    """Hosts that nobody hears any more, those that fell silent last first."""
    columns = "resource_id", "name", "host_status_timestamp", "site__name"
    return (
        Host.objects.filter(host_status=LOST)
        .select_related("site")
        .only(*columns)
        .order_by("-host_status_timestamp", "pk")[:SHOWN]
    )


@dataclass(frozen=True)
class Window:
    """A time in which something is maintained."""

    schedule: SingleSchedule | RepeatedSchedule
    target: str
    begins: datetime
    ends: datetime | None


@dataclass(frozen=True)
class Maintenance:
    now: list[Window]
    next: list[Window]


_TARGET = Coalesce(*(F(f"{target}__name") for target in TARGETS))


def maintenance() -> Maintenance:
    at = timezone.now().replace(microsecond=0)
    coming = SingleSchedule.objects.annotate(target=_TARGET).filter(start_seconds__gt=at.timestamp())
    following = [_single(one) for one in coming.order_by("start_seconds")[:SHOWN]]
    for one in RepeatedSchedule.objects.annotate(target=_TARGET):
        if start := next(one.starts(at, at + AHEAD), None):
            following.append(_repeated(one, start))
    return Maintenance(lasting(at), sorted(following, key=lambda window: window.begins)[:SHOWN])


def lasting(at: datetime, wanted: Q | None = None) -> list[Window]:
    """Those of the schedules of this condition that last at this second."""
    wanted, second = wanted or Q(), int(at.timestamp())
    singles = SingleSchedule.objects.annotate(target=_TARGET).filter(wanted, SingleSchedule.in_force(second))
    found = [_single(one) for one in singles.order_by("start_seconds")]
    for one in RepeatedSchedule.objects.annotate(target=_TARGET).filter(wanted):
        if one.lasts_at(second):
            earliest = at - timedelta(seconds=one.duration_seconds + 1)
            *_, start = one.starts(earliest, at)
            found.append(_repeated(one, start))
    return found


def _single(one: SingleSchedule) -> Window:
    ends = datetime.fromtimestamp(one.end_seconds, UTC) if one.end_seconds else None
    return Window(one, one.target or "", datetime.fromtimestamp(one.start_seconds, UTC), ends)


def _repeated(one: RepeatedSchedule, start: datetime) -> Window:
    return Window(one, one.target or "", start, start + timedelta(seconds=one.duration_seconds))


def stuck() -> list[outstanding.Outstanding]:
    """What has not become as it was asked for a while, or can't, the oldest first."""
    works = Work.objects.filter(schema=connection.schema_name)
    late = works.filter(made_at__lt=timezone.now() - STUCK) | works.exclude(refused="")
    return outstanding.queued(late.order_by("made_at")[:SHOWN])

"""How far each host has come, in one word: the stages by which people look at a fleet. Each host is in just one."""

from collections import Counter
from functools import cache

from django.db import connection
from django.db.models import Case, Count, Q, QuerySet, TextChoices, Value, When

from inventory.models import Host, HostState, Indicator, Instance, InstanceState, Status
from inventory.models.compute import STATUSES_OF_HOSTS, STATUSES_OF_INSTANCES, any_error

LOST = "No Connection"  # what the host's status says then
FAILED = any_error("", STATUSES_OF_HOSTS) | any_error("instance__", STATUSES_OF_INSTANCES)


class Stage(TextChoices):
    """From the first one on; what ends a host, or hinders it, comes after those in which all is well."""

    REGISTERED = "registered", "Registered"
    ONBOARDED = "onboarded", "Onboarded"
    INSTALLING = "installing", "Installing"
    RUNNING = "running", "Running"
    LOST = "lost", "Lost"
    FAILED = "failed", "Failed"
    DEAUTHORIZED = "deauthorized", "Deauthorized"
    DELETING = "deleting", "Deleting"


# The first that is so.
_DECIDED = [
    (Q(desired_state=HostState.DELETED), Stage.DELETING),
    (Q(desired_state=HostState.UNTRUSTED) | Q(current_state=HostState.UNTRUSTED), Stage.DEAUTHORIZED),
    (Q(host_status=LOST), Stage.LOST),
    (FAILED, Stage.FAILED),
    (Q(instance__provisioning_status_indicator=Indicator.IN_PROGRESS), Stage.INSTALLING),
    (Q(instance__current_state=InstanceState.RUNNING), Stage.RUNNING),
    (Q(current_state=HostState.ONBOARDED), Stage.ONBOARDED),
]


# The way of a host, step by step: what is so of those that have come so far.
REACHED = {
    "registered": ("Registered", Q()),
    "onboarded": ("Onboarded", Q(current_state=HostState.ONBOARDED)),
    "wanted": ("Instance wanted", Q(instance__desired_state=InstanceState.RUNNING)),
    "installed": ("Installed", Q(instance__current_state=InstanceState.RUNNING)),
    "heard": ("Heard from", Q(instance__current_state=InstanceState.RUNNING, host_status_indicator=Indicator.IDLE)),
}


def staged() -> QuerySet[Host]:
    """All hosts, each with its `stage`."""
    cases = [When(condition, then=Value(stage)) for condition, stage in _DECIDED]
    return Host.objects.annotate(stage=Case(*cases, default=Value(Stage.REGISTERED)))


def summary(wanted: Q) -> dict[str, int]:
    """How many of these hosts there are: in all, with an error, running without one, at no site.

    Of all hosts it is counted where indexes tell it: how many fail is read, and not whether each of 100,000 does.
    """
    if wanted:
        running = Q(instance__current_state=InstanceState.RUNNING)
        return Host.objects.filter(wanted).aggregate(
            total=Count("pk"), error=Count("pk", filter=FAILED), running=Count("pk", filter=running & ~FAILED),
            unallocated=Count("pk", filter=Q(site=None)),
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(*_counting_all())
        found = Counter(dict(cursor.fetchall()))
    return {
        "total": found["total"],
        "error": found["error"] + found["error of its instance"],
        "running": found["running"] - found["running, with an error"] - found["running, with an error of its instance"],
        "unallocated": found["unallocated"],
    }


@cache
def _counting_all() -> tuple[str, tuple]:
    """Each part of all hosts is counted in one statement: of one moment. Kept: Django writes it as long as it takes."""
    hosts, instances = Host.objects.all(), Instance.objects.exclude(host=None)
    failing, running = any_error("", STATUSES_OF_HOSTS), InstanceState.RUNNING
    failed = instances.filter(any_error("", STATUSES_OF_INSTANCES), ~any_error("host__", STATUSES_OF_HOSTS))
    parts = {
        "total": hosts,
        "unallocated": hosts.filter(site=None),
        "error": hosts.filter(failing),
        "error of its instance": failed,
        "running": instances.filter(current_state=running),
        "running, with an error": hosts.filter(failing, instance__current_state=running),
        "running, with an error of its instance": failed.filter(current_state=running),
    }
    counts = [
        rows.order_by().annotate(part=Value(part)).values_list("part").annotate(Count("pk"))
        for part, rows in parts.items()
    ]
    return counts[0].union(*counts[1:], all=True).query.sql_with_params()


def statuses_of(host: Host) -> list[tuple[str, Status, int]]:
    """All of a host and its instance: (name, status, since when)."""
    of_host = [(name, host) for name in STATUSES_OF_HOSTS]
    of_instance = [(name, host.instance) for name in STATUSES_OF_INSTANCES if hasattr(host, "instance")]
    found = []
    for name, row in (*of_host, *of_instance):
        column = f"{name}_status"
        status = Status(getattr(row, column), getattr(row, f"{column}_indicator"))
        found.append((name, status, getattr(row, f"{column}_timestamp")))
    return found


def in_short(host: Host) -> Status:
    """The one status that tells most of a host of staged(): what is wrong, else what is going on, else its stage."""
    statuses = [status for _, status, _ in statuses_of(host)]
    for indicator, several in ((Indicator.ERROR, "Several errors"), (Indicator.IN_PROGRESS, "In progress")):
        if found := [status for status in statuses if status.indicator == indicator]:
            return found[0] if len(found) == 1 else Status(several, indicator)
    stage = Stage(host.stage)
    return Status(stage.label, Indicator.IDLE if stage == Stage.RUNNING else Indicator.UNSPECIFIED)

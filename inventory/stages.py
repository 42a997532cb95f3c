"""How far each host has come, in one word: the stages by which people look at a fleet. A host is in just one of them."""

from django.db.models import Case, Q, QuerySet, TextChoices, Value, When

from inventory.models import Host, HostState, Indicator, InstanceState

# What counts as an error, of a host and of its instance.
STATUSES_OF_HOSTS = ("host", "onboarding", "registration", "power", "amt")
STATUSES_OF_INSTANCES = ("instance", "provisioning", "update", "trusted_attestation")
LOST = "No Connection"  # as workers/silence.py writes it


def any_error(prefix: str, statuses: tuple[str, ...]) -> Q:
    conditions = {f"{prefix}{status}_status_indicator": Indicator.ERROR for status in statuses}
    return Q(**conditions, _connector=Q.OR)


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


def staged() -> QuerySet[Host]:
    """All hosts, each with its `stage`."""
    cases = [When(condition, then=Value(stage)) for condition, stage in _DECIDED]
    return Host.objects.annotate(stage=Case(*cases, default=Value(Stage.REGISTERED)))

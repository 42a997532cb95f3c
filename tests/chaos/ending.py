"""How a round ended: everything that is written down, without what differs between two runs of one script."""

import re
from collections.abc import Iterator

from django.db.models import Model, Q
from django.db.models.functions import Now
from django_tenants.utils import schema_context

from inventory.models import Host, Instance
from provisioning.models import ACTIVE, Workflow
from tenants.models import Claim, EdgeCredential, Ring
from tests.chaos.waiting import until
from workers.models import Work

_ID = re.compile(r"\b[a-z]+-[0-9a-f]{8}\b")
_PROGRESS = re.compile(r"^\d+/\d+: .*")  # as it was when somebody last looked, which may be a minute ago
_DIFFERS = re.compile(r"^(id|resource_id|created_at|updated_at|.*_timestamp)$")


def settled(schema: str) -> None:
    """Wait until no ring is unheard, and whatever is outstanding waits for something to happen."""
    with schema_context(schema):
        due = Q(due_at__lte=Now()) | Q(leased_until__isnull=False) | Q(attempts__gt=0)
        busy = Work.objects.filter(due, schema=schema, refused="")
        until(lambda: not Ring.objects.filter(schema=schema).exists() and not busy.exists(), "the loop settles")


def ending(schema: str) -> dict[str, dict]:
    """By serial number: host, instance, workflows, credentials, outstanding work."""
    with schema_context(schema):
        hosts = {host.serial_number: _told(host) for host in Host.objects.all()}
        instances = {row.host.serial_number: row for row in Instance.objects.select_related("host")}
        return {
            "hosts": hosts,
            "instances": {serial: _told(row) for serial, row in instances.items()},
            "workflows": {serial: _runs(row) for serial, row in instances.items()},
            "runs of nobody": _abandoned(schema, instances.values()),
            "credentials": _serials(EdgeCredential.objects.filter(schema=schema), "host_uuid"),
            "claims": sorted(Claim.objects.filter(schema=schema).values_list("serial", flat=True)),
            "work": _outstanding(schema, instances),
        }


def differences(one, other, at: str = "") -> Iterator[str]:
    """Each place where two endings differ, by its path, for whoever reads that they do."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{at}.{key}" if at else key)
    elif one != other:
        yield f"{at}: {one!r}, undisturbed {other!r}"


def _told(row: Model) -> dict[str, str]:
    fields = [field.attname for field in row._meta.concrete_fields if not _DIFFERS.match(field.name)]
    return {name: _ID.sub("<id>", str(getattr(row, name))) for name in fields}


def _runs(instance: Instance) -> list:
    runs = Workflow.objects.filter(instance_id=str(instance)).order_by("id")
    return [(run.attempt, run.state, run.reason, [action["state"] for action in run.actions]) for run in runs]


def _abandoned(schema: str, instances) -> int:
    """Of what is deleted only this counts: that nobody is told to work at it any more."""
    living = [str(instance) for instance in instances]
    return Workflow.objects.filter(schema=schema, state__in=ACTIVE).exclude(instance_id__in=living).count()


def _serials(rows, column: str) -> list[str]:
    serials = {host.uuid: host.serial_number for host in Host.objects.all()}
    return sorted(serials.get(uuid, "of nobody") for uuid in rows.values_list(column, flat=True))


def _outstanding(schema: str, instances: dict[str, Instance]) -> list[tuple]:
    serials = {("InstanceOnHost", row.pk): serial for serial, row in instances.items()}
    serials |= {("HostTrust", host.pk): host.serial_number for host in Host.objects.all()}
    return sorted(
        (work.reconciler, serials.get((work.reconciler, work.target), "of nobody"), work.wish, work.refused,
         _PROGRESS.sub("<progress>", _ID.sub("<id>", work.why)))
        for work in Work.objects.filter(schema=schema)
    )  # fmt: skip

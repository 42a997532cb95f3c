"""Hosts that have fallen silent: found out, shown to the operator, and waited for again after Redis forgot them.

All of it is called by the tick, in whichever process that runs, and costs by what has fallen silent.
"""

import logging
import time
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django_tenants.utils import schema_context

from inventory import presence
from inventory.models import Host, Indicator, Status
from inventory.presence import ALIVE
from inventory.stages import LOST
from tenants import schema as schemas
from tenants.events import acting_as
from tenants.models import Project
from workers.models import Heard

log = logging.getLogger(__name__)

NO_CONNECTION = Status(LOST, Indicator.ERROR)
UPDATING = "Updating"
UPDATE_PATIENCE = timedelta(hours=1)  # an update may keep a machine silent for so long
SWEPT = 500  # hosts at once


def mark() -> int:
    """Show the hosts that have fallen silent as such. Returns how many."""
    marked = 0
    while True:
        lease, hosts = presence.sweep(SWEPT)
        by_schema: dict[str, list[UUID]] = defaultdict(list)
        for schema, uuid in hosts:
            by_schema[schema].append(uuid)
        for schema, uuids in sorted(by_schema.items()):
            marked += _mark(lease, schema, uuids)
        if len(hosts) < SWEPT:
            break
    if marked:
        log.info("hosts fell silent", extra={"count": marked})
    return marked


def _mark(lease: str, schema: str, uuids: list[UUID]) -> int:
    updating: set[UUID] = set()
    marked = 0
    if schemas.exists(schema):
        with schema_context(schema), acting_as("presence"), transaction.atomic():
            # Locked before Redis is asked: a heartbeat that comes later waits for us, and then finds what we wrote.
            hosts = Host.objects.filter(uuid__in=uuids, host_status__in=ALIVE).order_by("pk").select_for_update()
            alive = dict(hosts.values_list("uuid", "pk"))
            updating = {*Host.objects.filter(uuid__in=alive).filter(being_updated()).values_list("uuid", flat=True)}
            silent = presence.still_silent(lease, schema, alive.keys() - updating)
            marked = Host.objects.filter(pk__in=[alive[uuid] for uuid in silent]).observe_all(host_status=NO_CONNECTION)
    presence.let_go(lease, schema, {*uuids} - updating)
    return marked


def being_updated() -> Q:
    """Hosts whose update is under way, and may be: they reboot, and aren't lost."""
    since = int(time.time() - UPDATE_PATIENCE.total_seconds())
    return Q(
        instance__update_status=UPDATING,
        instance__update_status_indicator=Indicator.IN_PROGRESS,
        instance__update_status_timestamp__gt=since,
    )


def remember() -> int:
    """Once a minute: write down when the hosts of those tenants that were heard from were last. Returns how many."""
    count = 0
    for schema in presence.active() if presence.is_known() else ():
        if schemas.exists(schema):
            Heard.objects.update_or_create(schema=schema, defaults={"seen": presence.seen_in(schema)})
            count += 1
    return count


def restore_if_lost() -> bool:
    """After Redis has lost what it knew: wait again for every host that was connected. True if that was so."""
    if not presence.is_lost():
        return False
    for schema in Project.objects.ready().values_list("schema_name", flat=True):
        written = Heard.objects.filter(schema=schema).values_list("seen", flat=True).first() or {}
        with schema_context(schema):
            alive = Host.objects.filter(host_status__in=ALIVE, uuid__isnull=False).values_list("uuid", flat=True)
            presence.restore(schema, written | {str(uuid): written.get(str(uuid)) for uuid in alive})
    presence.is_there_again()
    log.info("presence is restored")
    return True

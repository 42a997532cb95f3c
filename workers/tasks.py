"""The only Celery tasks that reconciliation needs, whatever the number of resources. None carries anything that

matters: a lost message costs a second, because what is outstanding is a row (workers/models.py). Those that come all
the time send no events: Flower shows what they reconcile instead (telling.py).
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping

from celery import current_app, shared_task
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from django_tenants.utils import schema_context

from inventory import presence
from tenants import events, expired, shared
from tenants.models import Project, Ring
from workers import catalogue, engine, models, silence, update_runs
from workers.models import Queue

log = logging.getLogger(__name__)

BATCH = 200  # rings heard in one transaction
LONG = {"time_limit": settings.BUILD_HARD_LIMIT, "soft_time_limit": settings.BUILD_HARD_LIMIT - 20}  # seconds
_served: dict[str, str] = {}  # queue -> the schema that this process has worked for last
HANDS = 4  # processes worth waking for one queue; more find nothing to claim
HEAR_EVERY = 0.1  # seconds of a turn
AUDIT_PARTS = 240  # of all tenants, one a minute: each has its turn every four hours


@shared_task(name="workers.wake", send_events=False)
def wake() -> int:
    """The bell: hear the rings, and do first what they are about. Returns how many resources were reconciled."""
    events.let_ring()
    call_hands(hear(), at_it=1)
    return _turn(Queue.RECONCILE)


@shared_task(name="workers.tick", send_events=False)
def tick() -> None:
    """Every second, by beat: hear what nobody heard, and call hands for what is due or whose lease ran out.

    And look for hosts that have fallen silent.
    """
    if Ring.objects.exists():  # nearly never: then there is no transaction, every second
        hear()
    call_hands(models.due_by_queue())
    try:
        silence.restore_if_lost()
        silence.mark()
    except presence.Away as away:
        log.warning("presence is away, nobody is taken for silent", extra={"because": away})


@shared_task(name="workers.remember")
def remember() -> int:
    """Every minute, by beat: write down who was heard from when. Returns in how many tenants."""
    return silence.remember()


@shared_task(name="workers.run", send_events=False)
def run(queue: str) -> int:
    """Claim what is due in this queue, of each tenant in turn, and reconcile it, until nothing is or our time is up."""
    return _turn(queue)


@shared_task(name="workers.audit")
def audit(parts: int = AUDIT_PARTS) -> int:
    """In case all else fails: every minute one part of the tenants, compare all wishes with the facts."""
    woken, part = 0, int(time.time() // 60) % parts
    tenants = Project.objects.ready().values_list("pk", "schema_name")
    for schema in ["public", *(schema for pk, schema in tenants if pk % parts == part)]:
        try:
            woken += _audit(schema)
        except DatabaseError:  # it went meanwhile, or somebody has been at its tables: the others have their turn
            log.exception("a tenant can't be compared", extra={"schema": schema})
    return woken


def _audit(schema: str) -> int:
    woken = 0
    with schema_context(schema):
        for reconciler in engine.registry.values():
            if _lives_in(reconciler.model, schema):
                known = models.Work.objects.filter(schema=schema, reconciler=reconciler.name).values("target")
                missed = reconciler.outstanding().exclude(pk__in=known).values_list("pk", flat=True)
                woken += engine.wake_outstanding(reconciler, schema, list(missed[:1000]))
        if schema != "public":
            update_runs.forget_old(time.time())
    return woken


@shared_task(name="workers.clean")
def clean() -> int:
    """What has expired of tokens, sign-ins and sessions goes. Returns how many rows went."""
    return expired.clean()


@shared_task(name="workers.os_profiles", **LONG)
def os_profiles() -> int:
    """Every minute, by beat: look at the OS profiles, if it is time. Returns how many have something wrong."""
    return catalogue.sync() if catalogue.is_due() else 0


@shared_task(name="workers.forget")
def forget() -> dict[str, int]:
    """Every hour, by beat: old lines of journal and audit. What a time limit cuts short goes on in an hour."""
    return expired.forget_lines()


def hear() -> Counter[str]:
    """Whoever cares about a changed row is to look at it. Returns how many rows are to be looked at, by queue."""
    woken: Counter[str] = Counter()
    while _hear(woken) == BATCH:
        pass
    return woken


def call_hands(due: Mapping[str, int], at_it: int = 0) -> None:
    """Send as many messages as there is work due, up to a few: they say that there is work, not which.

    at_it: how many hands need not be called to reconcile.
    """
    for queue, count in due.items():
        if queue == Queue.BMC:
            continue  # its process looks for itself (bmc.py)
        wanted = 1 if queue in (Queue.BUILD, Queue.TENANT) else min(count, HANDS) - at_it
        for _ in range(wanted):
            current_app.signature("workers.run", args=(queue,)).apply_async(
                queue=queue, expires=10, **(LONG if queue == Queue.BUILD else {})
            )


def _turn(queue: str) -> int:
    """Rings are heard meanwhile too: while everybody has much to do, nobody comes to hear the bell."""
    worked, began = 0, time.monotonic()
    heard_at = began
    while work := models.claim(queue, engine.lease(), after=_served.get(queue, "")):
        _served[queue] = work.schema
        engine.run(work)
        worked += 1
        now = time.monotonic()
        if queue in (Queue.BUILD, Queue.TENANT) or now - began > settings.TASK_TURN:
            call_hands(models.due_by_queue())
            break
        if now - heard_at > HEAR_EVERY:
            call_hands(hear(), at_it=HANDS)  # whoever is free comes by the bell
            heard_at = time.monotonic()
    return worked


@transaction.atomic
def _hear(woken: Counter[str]) -> int:
    """Turn one batch of rings into work, in one transaction: a worker killed midway has heard nothing.

    Returns how many rings were heard, and adds to what was woken.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM tenants_ring
            WHERE id IN (SELECT id FROM tenants_ring ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
            RETURNING schema, label, pk_rung, asked
            """,
            [BATCH],
        )
        rings = cursor.fetchall()
    rung: dict[tuple[str, str], dict[int, bool]] = defaultdict(dict)
    for schema, label, pk, asked in rings:
        rung[schema, label][pk] = asked or rung[schema, label].get(pk, False)
    for (schema, label), pks in sorted(rung.items()):
        with schema_context(schema):
            woken += _wake_for(schema, apps.get_model(label), pks)
    return len(rings)


def _wake_for(schema: str, model: type[Model], pks: dict[int, bool]) -> Counter[str]:
    """pks: of the rows that were rung for, and whether a wish was made. Returns how many rows were woken, by queue."""
    woken: Counter[str] = Counter()
    if not _schema_exists(schema):
        return woken  # rung just before the tenant went
    for reconciler, theirs in sorted(engine.interested_in(model, pks).items(), key=lambda one: one[0].name):
        asked = {pk for pk, asked in pks.items() if asked} if issubclass(model, reconciler.model) else ()
        woken[reconciler.queue] += engine.wake_outstanding(reconciler, schema, theirs, asked)
    return woken


def _lives_in(model: type[Model], schema: str) -> bool:
    """Rows of a shared table that says whose they are live where those do."""
    return (model._meta.app_label in settings.TENANT_APPS or model in shared.tables()) == (schema != "public")


def _schema_exists(schema: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [schema])
        return cursor.fetchone()[0]

"""The journal and the doorbell: what changed is written down with the change; after the commit somebody is told *that*

something changed, never what. The bell may get lost; the ring is a row and does not.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import redis
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

BELL_KEPT = 1  # seconds; a bell that got lost keeps others from ringing no longer than until the next tick
_RUNG = "bell"
_redis = redis.Redis.from_url(settings.BROKER_URL, socket_timeout=2, socket_connect_timeout=2)
_who: ContextVar[str | Callable[[], str]] = ContextVar("who", default="")
_held: ContextVar[bool] = ContextVar("held", default=False)  # the bell, until one_bell() ends


@contextmanager
def acting_as(who: str | Callable[[], str]):
    """Name, for the journal, who causes the changes inside: a user, a node's client id, a reconciler.

    A function is asked when something changes: of a request it is known only later who asks.
    """
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)


@contextmanager
def one_bell():
    """Ring once, at the end, for all the transactions inside: for whoever makes many changes in a row."""
    token = _held.set(True)
    try:
        yield
    finally:
        _held.reset(token)
        ring_the_bell()


_JOURNAL = """
    INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
    SELECT %(schema)s, %(kind)s, resource_id, %(verb)s, %(who)s, clock_timestamp()
    FROM unnest(%(ids)s::text[]) AS resource_id
"""
_RINGS = """
    INSERT INTO tenants_ring (schema, label, pk_rung, asked)
    SELECT %(schema)s, %(label)s, pk, %(asked)s FROM unnest(%(pks)s::bigint[]) AS pk
"""
_BOTH = f"WITH journal AS ({_JOURNAL}) {_RINGS}"


def announce(resource, verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """Write the journal's line and the ring with the change, and ring after the commit. Needs a transaction."""
    announce_all([resource], verb, ring=ring, asked=asked)


def announce_all(resources: Sequence[Model], verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """announce() the same of many resources of one kind, in one statement."""
    if not resources:
        return
    kind, who = resources[0]._meta, _who.get()
    journal = {
        "kind": kind.model_name, "ids": [resource.resource_id for resource in resources],
        "verb": verb, "who": who if isinstance(who, str) else who(),
    }  # fmt: skip
    if ring:
        _ring(_BOTH, type(resources[0]), [resource.pk for resource in resources], asked, **journal)
    else:
        _write(_JOURNAL, **journal)


def ring_for(model: type[Model], pks: Iterable[int], *, asked: bool = False) -> None:
    """That somebody looks at these rows of the current schema after the commit. Needs a transaction."""
    if rung := [*pks]:
        _ring(_RINGS, model, rung, asked)


def _ring(sql: str, model: type[Model], pks: list[int], asked: bool, **more) -> None:
    _write(sql, label=model._meta.label, pks=pks, asked=asked, **more)
    if not any(hook[1] is ring_the_bell for hook in connection.run_on_commit):  # one bell a transaction is enough
        transaction.on_commit(ring_the_bell)


def _write(sql: str, **said) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"schema": connection.schema_name, **said})


def ring_the_bell() -> None:
    """Wake the loop, by the task's name: down here nobody knows who listens; workers/tasks.py does.

    Not while the last bell is still to be heard: whoever comes for that one finds this ring too.
    """
    if _held.get():
        return
    try:
        if _redis.set(_RUNG, 1, nx=True, ex=BELL_KEPT):
            current_app.signature("workers.wake").apply_async(retry=False)
    except (OperationalError, redis.RedisError, OSError) as away:
        log.warning("the bell is broken, the next tick will find the ring", extra={"because": away})


def let_ring() -> None:
    """Whoever comes for the bell says so before he looks at the rings: one that he may miss is to ring again."""
    try:
        _redis.delete(_RUNG)
    except redis.RedisError as away:
        log.warning("the bell can't be let ring", extra={"because": away})

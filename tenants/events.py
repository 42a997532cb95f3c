"""The journal and the doorbell: what changed is written down with the change; after the commit somebody is told *that*

something changed, never what. The bell may get lost; the ring is a row and does not.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import redis
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model
from kombu.exceptions import OperationalError
from psycopg.types.numeric import Int8

from tenants.statements import KEPT, fetch

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


BEFORE = 2  # parameters of announcing a change, before those of the change itself
_THESE = "changed AS (SELECT pk, resource_id FROM unnest($3::bigint[], $4::text[]) AS these (pk, resource_id))"
CHANGED = "changed AS ({} RETURNING id AS pk, resource_id)"  # a change of rows, as change() takes it
_RINGS = "INSERT INTO tenants_ring (schema, label, pk_rung, asked) SELECT $1::text, '{label}', pk, {asked} FROM {rows}"


def announce(resource: Model, verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """Write the journal's line and the ring with the change, and ring after the commit. Needs a transaction."""
    announce_all([resource], verb, ring=ring, asked=asked)


def announce_all(resources: Sequence[Model], verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """announce() the same of many resources of one kind, in one statement."""
    if resources:
        these = [[Int8(resource.pk) for resource in resources], [resource.resource_id for resource in resources]]
        change(type(resources[0]), _THESE, these, verb, ring=ring, asked=asked)


def change(
    model: type[Model], sql: str, params: Sequence, verb: str, *, ring: bool = True, asked: bool = False
) -> list[int]:
    """Carry out a change of this model's rows, and announce() it, in one statement. Returns the keys of the rows.

    sql: the change as CHANGED has it, and what else goes with it; its parameters come after BEFORE others: the schema,
    and who does it.
    """
    who = _who.get()
    said = [connection.schema_name, who if isinstance(who, str) else who(), *params]
    changed = [pk for (pk,) in fetch(_announcing(sql, model, verb, ring, asked), said)]
    if changed and ring:
        _ring_after_commit()
    return changed


@lru_cache(maxsize=KEPT)
def _announcing(sql: str, model: type[Model], verb: str, ring: bool, asked: bool) -> str:
    rings = f", rings AS ({_RINGS.format(label=model._meta.label, asked=asked, rows='changed')})" if ring else ""
    return f"""WITH {sql}, journal AS (
            INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
            SELECT $1::text, '{model._meta.model_name}', resource_id, '{verb}', $2::text, clock_timestamp() FROM changed
        ){rings} SELECT pk FROM changed"""


def ring_for(model: type[Model], pks: Iterable[int]) -> None:
    """That somebody looks at these rows of the current schema after the commit. Needs a transaction."""
    if rung := [Int8(pk) for pk in pks]:
        rows = "unnest($2::bigint[]) AS pk"
        fetch(_RINGS.format(label=model._meta.label, asked=False, rows=rows), [connection.schema_name, rung])
        _ring_after_commit()


def _ring_after_commit() -> None:
    if not any(hook[1] is ring_the_bell for hook in connection.run_on_commit):  # one bell a transaction is enough
        transaction.on_commit(ring_the_bell)


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

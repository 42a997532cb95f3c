"""The journal and the doorbell: what changed is written down with the change; after the commit somebody is told *that*

something changed, never what. The bell may get lost; the ring is a row and does not.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from celery import current_app
from django.db import connection, transaction
from django.db.models import Model
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)
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
    SELECT %(schema)s, kind, resource_id, %(verb)s, %(who)s, clock_timestamp()
    FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS changed (kind, resource_id)
"""
_JOURNAL_AND_RINGS = f"""
    WITH journal AS ({_JOURNAL})
    INSERT INTO tenants_ring (schema, label, pk_rung, asked)
    SELECT %(schema)s, label, pk, %(asked)s FROM unnest(%(labels)s::text[], %(pks)s::bigint[]) AS rung (label, pk)
"""


def announce(resource, verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """Write the journal's line and the ring with the change, and ring after the commit. Needs a transaction."""
    announce_all([resource], verb, ring=ring, asked=asked)


def announce_all(resources: Sequence[Model], verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """announce() the same of many resources, in one statement."""
    if not resources:
        return
    who = _who.get()
    said = {
        "schema": connection.schema_name, "verb": verb, "who": who if isinstance(who, str) else who(),
        "asked": asked, "kinds": [resource._meta.model_name for resource in resources],
        "ids": [resource.resource_id for resource in resources],
        "labels": [resource._meta.label for resource in resources], "pks": [resource.pk for resource in resources],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_JOURNAL_AND_RINGS if ring else _JOURNAL, said)
    if not ring:
        return
    if not any(hook[1] is ring_the_bell for hook in connection.run_on_commit):  # one bell a transaction is enough
        transaction.on_commit(ring_the_bell)


def ring_the_bell() -> None:
    """Wake the loop, by the task's name: down here nobody knows who listens; workers/tasks.py does."""
    if _held.get():
        return
    try:
        current_app.signature("workers.wake").apply_async(retry=False)
    except (OperationalError, OSError) as away:
        log.warning("the bell is broken, the next tick will find the ring", extra={"because": away})

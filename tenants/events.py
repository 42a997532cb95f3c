"""The journal and the doorbell: what changed is written down with the change; after the commit somebody is told *that*

something changed, never what. The bell may get lost; the ring is a row and does not.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from celery import current_app
from django.db import connection, transaction
from django.db.models import Model
from kombu.exceptions import OperationalError

from tenants.models.journal import Event, Ring

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


def announce(resource, verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """Write the journal's line and the ring with the change, and ring after the commit. Needs a transaction."""
    announce_all([resource], verb, ring=ring, asked=asked)


def announce_all(resources: Sequence[Model], verb: str, *, ring: bool = True, asked: bool = False) -> None:
    """announce() the same of many resources, in two statements."""
    schema, who = connection.schema_name, _who.get()
    who = who if isinstance(who, str) else who()
    Event.objects.bulk_create(
        Event(schema=schema, kind=resource._meta.model_name, resource_id=resource.resource_id, verb=verb, who=who)
        for resource in resources
    )
    if ring and resources:
        ring_for(type(resources[0]), [resource.pk for resource in resources], asked=asked)


def ring_for(model: type[Model], pks: Iterable[int], *, asked: bool = False) -> None:
    """That somebody looks at these rows of the current schema after the commit. Needs a transaction."""
    Ring.objects.bulk_create(
        Ring(schema=connection.schema_name, label=model._meta.label, pk_rung=pk, asked=asked) for pk in pks
    )
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

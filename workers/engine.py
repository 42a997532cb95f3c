"""The loop that every resource manager shares: look at what isn't as it was asked for, and make it so.

A reconciler is level-based: it is told *that* something changed, never what. It reads the row, compares the wish with
the facts, and acts; running it twice does no harm. It logs nothing, retries nothing, sets no status and knows no
tenant: the loop does.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Model, Q, QuerySet
from django_tenants.utils import schema_context

from tenants import schema
from tenants.errors import Gone, LeaseLost
from tenants.events import acting_as
from tenants.request import bind, bound
from tenants.resource import Indicator, Resource, Status, fence
from workers import models
from workers.models import Queue, Work
from workers.telling import Telling

log = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=5)  # between two tries of what fails


class Done:
    """It is as it was asked for. text, if any, is shown to the operator.

    The facts that make it so belong here: they, the text and the end of the work are written in one transaction. A
    worker killed after observe() and before Done() leaves a wish that looks fulfilled, and an operator never told.
    """

    def __init__(self, text: str = "", **facts: Any) -> None:
        self.text, self.facts = text, facts


@dataclass(frozen=True)
class Later:
    """Not yet: look again after a while, or when something rings. why is shown to the operator: in the queue, and,

    unless the status is told by whoever we wait for, in the status.
    """

    after: timedelta
    why: str
    in_status: bool = True


class Refused(Exception):
    """It can't be done, and trying again won't help; a new wish is needed. str() is shown to the operator."""


class Reconciler:
    model: ClassVar[type[Resource]]
    pair: ClassVar[str] = "state"  # "" of what nobody wishes for: it follows from other facts, and refuses nothing
    queue: ClassVar[str] = Queue.RECONCILE
    watches: ClassVar[dict[type[Model], Callable[[Model], Iterable[int]]]] = {}  # other model -> pks of ours to look at

    def outstanding(self) -> QuerySet:
        """The rows that aren't as they were asked for. A wish that was never made counts as fulfilled."""
        wanted, current = f"desired_{self.pair}", f"current_{self.pair}"
        unspecified = self.model.default_of(wanted)
        return self.model.objects.exclude(Q(**{wanted: F(current)}) | Q(**{wanted: unspecified}))

    def reconcile(self, resource) -> Done | Later:
        raise NotImplementedError

    def end_all(self) -> bool:
        """Their tenant goes, and all rows of the current schema with it: do in a few statements what reconcile() does

        outside the schema for each that is wished to be deleted. The rows stay; they go with their table. False if
        that can't be done for all at once: then each is asked to go, and waited for.
        """
        return False

    def wish_of(self, resource) -> str:
        return getattr(resource, f"desired_{self.pair}") if self.pair else ""

    @property
    def name(self) -> str:
        return type(self).__name__


registry: dict[str, Reconciler] = {}


def register(reconciler: type[Reconciler]) -> type[Reconciler]:
    """Class decorator. The file need only lie in an app's reconcilers/ (workers/apps.py loads them all)."""
    registry[reconciler.__name__] = reconciler()
    return reconciler


def interested_in(model: type[Model], pks: Collection[int]) -> dict[Reconciler, set[int]]:
    """Who wants to look at what because these rows changed. Call inside their schema."""
    interested: dict[Reconciler, set[int]] = defaultdict(set)
    watching = []
    for reconciler in registry.values():
        if issubclass(model, reconciler.model):
            interested[reconciler].update(pks)
        watching += [(reconciler, ours) for watched, ours in reconciler.watches.items() if issubclass(model, watched)]
    for row in model._default_manager.filter(pk__in=pks) if watching else ():
        for reconciler, ours in watching:
            interested[reconciler].update(ours(row))
    return interested


def wake_outstanding(reconciler: Reconciler, schema: str, pks: Iterable[int], asked: Container[int] = ()) -> int:
    """Put those of these rows that are outstanding on the queue. asked: those that a wish was made for, if only again.

    Call inside the schema.
    """
    wish = [f"desired_{reconciler.pair}"] if reconciler.pair else []
    rows = reconciler.outstanding().filter(pk__in=pks).order_by("pk").select_related(None).only("pk", *wish)
    wishes = [(row.pk, reconciler.wish_of(row), row.pk in asked) for row in rows]
    models.wake(schema, reconciler.name, reconciler.queue, wishes)
    return len(wishes)


def run(work: Work) -> None:
    """Reconcile the one row that this work is about, and show and note how it went."""
    reconciler = registry.get(work.reconciler)
    if reconciler is None:  # written by a newer release; leave it to workers that know it
        return models.postpone(work, LONGEST_PAUSE, f"no reconciler {work.reconciler} in this worker", failed=True)
    began = time.monotonic()
    token = fence.set(lambda: _hold(work))
    with bound(reconciler=reconciler.name, schema=work.schema, target=str(work.target)):
        try:
            with _kept(work), schema_context(work.schema), acting_as(reconciler.name):
                outcome = _reconcile(reconciler, work)
        except LeaseLost:
            outcome = "lease lost"
        finally:
            fence.reset(token)
        log.info("reconciled", extra={"outcome": outcome, "seconds": round(time.monotonic() - began, 3)})


def _reconcile(reconciler: Reconciler, work: Work) -> str:
    try:
        resource = reconciler.outstanding().filter(pk=work.target).first()
        if resource is None:
            models.finish(work)
            return "nothing to do"
        bind(resource_id=resource.resource_id)
        slow = work.queue != Queue.RECONCILE
        with Telling(reconciler.name, work.schema, str(resource), slow=slow) as told:
            told.outcome = _act(reconciler, work, resource)
        return told.outcome
    except Gone:
        models.finish(work)
        return "gone"
    except LeaseLost:
        raise
    except Exception as fault:  # the one place that catches all: any other exception is a passing fault
        if not schema.exists(work.schema):
            models.finish(work)  # the tenant is gone, and with it whatever was wished for in it
            return "gone"
        log.exception("reconcile failed")
        pause = min(timedelta(seconds=2**work.attempts), LONGEST_PAUSE) if work.attempts < 10 else LONGEST_PAUSE
        models.postpone(work, pause, f"{type(fault).__name__}: {fault}", failed=True)
        return "failed"


def _act(reconciler: Reconciler, work: Work, resource: Resource) -> str:
    wish = reconciler.wish_of(resource)
    status = reconciler.model.wishes.get(reconciler.pair, "")
    try:
        match reconciler.reconcile(resource):
            case Done() as done:
                _settle(work, resource, reconciler, wish, done, status)
                return "done"
            case Later() as later:
                if later.in_status:
                    _show(resource, reconciler, wish, Status(later.why, Indicator.IN_PROGRESS), status)
                models.postpone(work, later.after, later.why)
                return "later"
    except Refused as refusal:
        _show(resource, reconciler, wish, Status(str(refusal), Indicator.ERROR), status)
        models.refuse(work, wish, str(refusal))
        return "refused"
    raise TypeError(f"{reconciler.name}.reconcile() must return Done or Later")


@transaction.atomic
def _settle(work: Work, resource: Resource, reconciler: Reconciler, wish: str, done: Done, status: str) -> None:
    if done.facts:
        resource.observe(**done.facts)
    if done.text:
        _show(resource, reconciler, wish, Status(done.text, Indicator.IDLE), status)
    models.finish(work)


def _show(resource: Resource, reconciler: Reconciler, wish: str, shown: Status, status: str) -> None:
    """Tell the operator, unless the wish has changed since: what is told then is about the one of yesterday."""
    if status and resource.pk:  # it has none any more if the facts were that it is deleted
        try:
            resource.observe(only_if={f"desired_{reconciler.pair}": wish}, **{status: shown})
        except Gone:
            log.debug("gone before its status could be shown", extra={"resource_id": str(resource)})


def _hold(work: Work) -> None:
    if not models.still_ours(work):
        raise LeaseLost(str(work))


def lease() -> timedelta:
    """How long a claim holds: longer than the hard time limit of most tasks; that of a build is renewed meanwhile."""
    return timedelta(seconds=settings.LEASE)


@contextmanager
def _kept(work: Work) -> Iterator[None]:
    """A build takes minutes. Its lease is renewed for as long as this process lives, so that another takes it over

    soon after a kill."""
    if work.queue != Queue.BUILD:
        yield
        return
    over = threading.Event()

    def renew() -> None:
        try:
            while not over.wait(settings.LEASE / 4):
                models.renew(work, lease())
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

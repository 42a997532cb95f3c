"""How a tenant goes, in steps that are each safe to repeat.

First what ends outside our database: workloads, then instances, then hosts, which are asked to go like any other and
waited for, but for no longer than a deadline; then the schema, a few tables at a time; then the tenant's rows in the
shared tables, credentials and workflows among them. From the wish on, nobody is served in the tenant any more.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from django.conf import settings
from django.db.models import Model
from django_tenants.utils import schema_context

from inventory.models import Host, Instance, Netlink, RemoteAccess, Workload
from tenants import schema, shared
from tenants.models import Project
from tenants.resource import Resource, fence
from workers import engine

LOOK_AGAIN = timedelta(seconds=2)
ASKED_AT_ONCE = 100
ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Ending:
    """A kind that ends outside our database as well, and the setting that says how many seconds it is waited for."""

    model: type[Resource]
    patience: str


# In this order, for each refers to those below it. Whatever has no wish to be deleted goes with its table.
ENDINGS = (
    Ending(Workload, "TEARDOWN_PATIENCE_WORKLOADS"),
    Ending(RemoteAccess, "TEARDOWN_PATIENCE"),
    Ending(Netlink, "TEARDOWN_PATIENCE"),
    Ending(Instance, "TEARDOWN_PATIENCE"),
    Ending(Host, "TEARDOWN_PATIENCE"),
)


def waits_for(project: Project) -> str:
    """What the tenant still waits for, in words; nothing if it can go."""
    for number in range(project.teardown_step, len(ENDINGS)):
        if not _is_whole(project):
            return ""
        if _is_patient(project, number) and (why := _end(project, ENDINGS[number].model)) and not project.forced:
            return why
    return ""


def remove(project: Project) -> bool:
    """Remove the schema, and the tenant's rows in the shared tables. False if there is more to do than fits a turn.

    Raises OperationalError, of LockNotAvailable, if somebody is in a table; if the tenant goes by force, not any more.
    """
    ends_at = time.monotonic() + settings.TASK_TURN
    for _ in chain(schema.dropping(project.schema_name), shared.forgetting(project.schema_name)):
        if check := fence.get():
            check()
        if time.monotonic() > ends_at:
            return False
    return True


def _is_whole(project: Project) -> bool:
    """Of one that was made by half, or is half gone, nobody knows anything outside."""
    return schema.exists(project.schema_name, *(ending.model._meta.db_table for ending in ENDINGS))


def _is_patient(project: Project, number: int) -> bool:
    """Whether this step is tried once more; each is tried once, also when nobody wants to wait."""
    now = int(time.time())
    if project.teardown_step != number or not project.teardown_since:
        return project.observe(teardown_step=number, teardown_since=now)
    return not project.forced and now - project.teardown_since < getattr(settings, ENDINGS[number].patience)


def _end(project: Project, model: type[Resource]) -> str:
    """Let all of this kind end. What of it is there yet, and must be waited for, in words."""
    reconciler = next((r for r in engine.registry.values() if r.model is model and r.pair == "state"), None)
    with schema_context(project.schema_name):
        if reconciler is None or reconciler.end_all():  # of what nobody reconciles, there is nothing outside
            return ""
        for follower in _followers(model):
            _delete_all(follower)
        for row in model.objects.exclude(desired_state=_deleted(model))[:ASKED_AT_ONCE]:
            row.ask(state=_deleted(model))
        left, first = model.objects.count(), model.objects.all()[:3]
        if not left:
            return ""
        status = model.wishes["state"]
        some = ", ".join(f"{row}: {getattr(row, status) or 'no status'}" for row in first)
        kinds = model._meta.verbose_name if left == 1 else model._meta.verbose_name_plural
        return f"waiting on {left} {kinds} ({some}{', ...' if left > len(first) else ''})"


def _deleted(model: type[Resource]) -> str:
    """The wish to be deleted: HOST_STATE_DELETED."""
    choices = model._meta.get_field("desired_state").choices
    return next(value for value, _ in choices if value.endswith("_DELETED"))


def _followers(model: type[Resource]) -> list[type[Model]]:
    """Kinds that refer to this one and can't be asked to go themselves: none of it can go before they are gone."""
    asked = {ending.model for ending in ENDINGS}
    return [*{relation.related_model for relation in model._meta.related_objects if not relation.many_to_many} - asked]


def _delete_all(model: type[Model]) -> None:
    while rows := [*model._base_manager.values_list("pk", flat=True)[:ROWS_AT_ONCE]]:
        model._base_manager.filter(pk__in=rows).delete()

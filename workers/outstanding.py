"""Everything that is not as it was asked for, over all tenants: since when, why, how often it was tried, when next."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django_tenants.utils import schema_context

from tenants import schema as schemas
from tenants.models import Project
from tenants.resource import Resource
from workers import engine
from workers.models import Work

GONE = "gone"


@dataclass(frozen=True)
class Outstanding:
    project: str  # "-" of what belongs to none
    resource: str  # its id, of a project or an organization its name
    wish: str
    since: datetime
    tries: int  # that failed, one after the other
    next: datetime | None  # None: nobody will try, until something changes
    why: str  # it isn't done yet
    refused: bool = False

    @property
    def next_in_words(self) -> str:
        if self.refused:
            return "never: refused"
        if self.next is None:
            return "when its machine reports"
        seconds = (self.next - timezone.now()).total_seconds()
        return "now" if seconds < 1 else f"in {seconds:.0f} s"


def queued(works: Iterable[Work]) -> list[Outstanding]:
    """What these rows of the queue are about, in their order; a query or two a tenant and reconciler."""
    works = list(works)
    projects, names = _projects({work.schema for work in works}), _names(works)
    return [
        Outstanding(
            project=projects.get(work.schema, "-"),
            resource=names.get((work.schema, work.reconciler, work.target), GONE),
            wish=work.wish or work.reconciler,
            since=work.made_at,
            tries=work.attempts,
            next=None if work.refused else work.due_at,
            why=work.why or ("being worked on" if work.leased_until else "not looked at yet"),
            refused=bool(work.refused),
        )
        for work in works
    ]


def waiting(projects: QuerySet[Project]) -> Iterator[Outstanding]:
    """What these projects wait for without anybody trying: mostly that a machine reports. Looks into each of them."""
    for project in projects.iterator():
        if not schemas.exists(project.schema_name):
            continue
        known = set(Work.objects.filter(schema=project.schema_name).values_list("reconciler", "target"))
        with schema_context(project.schema_name):
            for model, pair in sorted({(r.model, r.pair) for r in engine.registry.values() if r.pair}, key=str):
                if model._meta.app_label == "inventory":
                    yield from _waiting(project, model, pair, known)


def _waiting(project: Project, model: type[Resource], pair: str, known: set[tuple[str, int]]) -> Iterator[Outstanding]:
    wanted, current, status = f"desired_{pair}", f"current_{pair}", model.wishes[pair]
    names = [r.name for r in engine.registry.values() if (r.model, r.pair) == (model, pair)]
    as_asked = Q(**{wanted: F(current)}) | Q(**{wanted: model.default_of(wanted)})
    for row in model.objects.exclude(as_asked).iterator():
        if not known & {(name, row.pk) for name in names}:
            told = getattr(row, status)
            yield Outstanding(project.name, str(row), getattr(row, wanted), row.updated_at, 0, None, told)


def _projects(schemata: set[str]) -> dict[str, str]:
    return dict(Project.objects.filter(schema_name__in=schemata).values_list("schema_name", "name"))


def _names(works: Iterable[Work]) -> dict[tuple[str, str, int], str]:
    """What each is called, as far as it and its tenant are there."""
    by_place: dict[tuple[str, str], set[int]] = defaultdict(set)
    for work in works:
        by_place[work.schema, work.reconciler].add(work.target)
    names = {}
    for (schema, reconciler), targets in sorted(by_place.items()):
        if reconciler in engine.registry and schemas.exists(schema):
            with schema_context(schema):
                for row in engine.registry[reconciler].model.objects.filter(pk__in=targets):
                    names[schema, reconciler, row.pk] = str(row)
    return names

"""The whole installation on one page, for administrators: what is stuck, where, and what is on its way."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from console.fleet import SHOWN, STUCK
from inventory import presence
from inventory.models import Indicator
from provisioning.models import ACTIVE, Artifact, Workflow
from tenants.models import Project, TenantState
from tenants.models.machine import Claim
from workers import outstanding
from workers.models import Work


@dataclass(frozen=True)
class Trouble:
    """What of a project waits for longer than it should, or can't be."""

    project: str
    refused: int
    late: int
    since: datetime
    is_served: bool  # else there is nothing to open


def told(request: HttpRequest, context: dict) -> dict:
    """What the public admin's first page shows. Unfold asks (UNFOLD in the settings); a project's has nothing of it."""
    if request.project is not None:
        return context
    projects = Project.objects.order_by("name")
    unready = Q(current_state=TenantState.CREATED, desired_state=TenantState.CREATED)
    try:
        heard = presence.heard()
    except presence.Away:
        heard = None  # and the page says so
    late = Work.objects.filter(_late())
    return context | {
        "title": "Overview", "content_title": "Overview", "largest": largest(), "hosts": Claim.objects.count(),
        "projects": projects.count(), "unready": projects.exclude(unready)[:SHOWN], "heard": heard,
        "installing": Workflow.objects.filter(state__in=ACTIVE).count(),
        "outstanding": Work.objects.count(), "troubles": troubles(),
        "oldest": outstanding.queued(late.order_by("made_at")[:SHOWN]),
        "builds": Artifact.objects.filter(build_status_indicator__in=[Indicator.ERROR, Indicator.IN_PROGRESS]),
    }  # fmt: skip


def largest() -> QuerySet[Project]:
    """Those with the most hosts, each with what goes on in it; counted in what all projects share."""

    def counted(model: type[Model], **of: Any) -> Coalesce:
        mine = model.objects.filter(schema=OuterRef("schema_name"), **of).order_by().values("schema")
        return Coalesce(Subquery(mine.annotate(count=Count("pk")).values("count")), 0)

    served = Project.objects.filter(current_state=TenantState.CREATED, desired_state=TenantState.CREATED)
    return served.select_related("organization").annotate(
        hosts=counted(Claim), installing=counted(Workflow, state__in=ACTIVE), outstanding=counted(Work)
    ).order_by("-hosts", "name")[:SHOWN]  # fmt: skip


def troubles() -> list[Trouble]:
    """The projects with the most of it first."""
    rows = Work.objects.filter(_late()).order_by().values("schema").annotate(
        refused_=Count("pk", filter=~Q(refused="")), late=Count("pk", filter=Q(refused="")), since=Min("made_at")
    ).order_by("-refused_", "-late")[:SHOWN]  # fmt: skip
    found = Project.objects.filter(schema_name__in=[row["schema"] for row in rows])
    known = {project.schema_name: project for project in found}
    return [
        Trouble(
            known[row["schema"]].name if row["schema"] in known else row["schema"], row["refused_"], row["late"],
            row["since"], row["schema"] in known and known[row["schema"]].is_ready,
        ) for row in rows
    ]  # fmt: skip


def _late() -> Q:
    return Q(made_at__lt=timezone.now() - STUCK) | ~Q(refused="")

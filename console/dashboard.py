"""The fleet of a project on one page, alive."""

from django.http import HttpRequest, HttpResponse

from console import fleet
from console.frame import page, part


def dashboard(request: HttpRequest) -> HttpResponse:
    return page(request, "console/dashboard.html", title="Overview", **_told())


def live(request: HttpRequest) -> HttpResponse:
    return part(request, "console/dashboard_live.html", **_told())


def _told() -> dict:
    counted = fleet.counts()
    if not counted.total:
        return {"counts": counted}
    return {
        "counts": counted, "reasons": fleet.reasons(), "installations": fleet.installations(), "lost": fleet.lost(),
        "maintenance": fleet.maintenance(), "stuck": fleet.stuck(),
    }  # fmt: skip

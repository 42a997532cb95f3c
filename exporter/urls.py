"""/metrics: the fleet's state, and what this web process has served."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from exporter.collectors import Fleet

_fleet = CollectorRegistry()
_fleet.register(Fleet())


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(_fleet) + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


urlpatterns = [path("", metrics)]

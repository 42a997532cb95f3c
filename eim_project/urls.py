"""All paths outside a project's pages: the API, the token service, what machines boot from, documents, metrics."""

from django.conf import settings
from django.contrib import admin
from django.http import JsonResponse
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

from inventory.admin import site

admin.site.site_header = admin.site.site_title = "Edge Infrastructure Manager"
if not settings.AUTHENTICATION:
    admin.site.site_header += " - AUTHENTICATION IS OFF"
    site.site_header += " - AUTHENTICATION IS OFF"
admin.site.index_title = "Organizations, projects and people"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("v1/projects/<slug:project>/", include("inventory.api.urls")),
    path("v1/projects/<slug:project>/", include("provisioning.api")),
    path("", include("tenants.issuer")),
    path("", include("tenants.audit_api")),
    path("tink-stack/", include("provisioning.boot")),
    path("metrics", include("exporter.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("redoc/", SpectacularRedocView.as_view(url_name="schema", template_name="eim_project/redoc.html")),
    path("healthz", lambda request: JsonResponse({"status": "ok"})),
]

"""All paths outside a project's pages: the API, the token service, what machines boot from, documents, metrics."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerOauthRedirectView,
    SpectacularSwaggerSplitView,
)

from eim_project import health
from inventory.admin import site
from inventory.api import urls as inventory_api

admin.site.site_header = admin.site.site_title = "Edge Infrastructure Manager"
if not settings.AUTHENTICATION:
    admin.site.site_header += " - AUTHENTICATION IS OFF"
    site.site_header += " - AUTHENTICATION IS OFF"
admin.site.index_title = "Organizations, projects and people"

handler400, handler404 = "inventory.errors.bad_request", "inventory.errors.unknown_path"
urlpatterns = [  # they are tried in this order: first what is asked for most
    path("v1/projects/<str:projectName>/", include(inventory_api.in_projects)),
    path("v1/projects/<str:projectName>/", include("onboarding.api")),
    path("v1/projects/<str:projectName>/", include("provisioning.api")),
    path("v1/projects/<str:projectName>/", include("workers.api")),
    path("edge-infra.orchestrator.apis/v2/", include(inventory_api.old)),
    path("", include("tenants.door")),
    path("admin/", admin.site.urls),
    path("", include("inventory.api.orchestrator")),
    path("v1/", include("tenants.api")),
    path("v1/", include("tenants.people.urls")),
    path("v1/", include("provisioning.installation_api")),
    path("", include("tenants.issuer")),
    path("", include("tenants.api_tokens")),
    path("", include("tenants.oidc")),
    path("", include("tenants.audit_api")),
    path("tink-stack/", include("provisioning.boot")),
    path("metrics", include("exporter.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/oauth2-redirect.html", SpectacularSwaggerOauthRedirectView.as_view()),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path(
        "docs/redoc/",
        SpectacularRedocView.as_view(url_name="schema", template_name="eim_project/redoc.html"),
        name="redoc",
    ),
    path("healthz", health.livez),  # as those know it who asked before there were two
    path("livez", health.livez),
    path("readyz", health.readyz),
]

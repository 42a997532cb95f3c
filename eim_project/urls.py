"""All paths outside a project's pages: the API, the token service, what machines boot from, documents, metrics."""

from django.contrib import admin
from django.http import JsonResponse
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerOauthRedirectView, SpectacularSwaggerView

admin.site.site_header = admin.site.site_title = "Edge Infrastructure Manager"
admin.site.index_title = "Organizations, projects and people"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("v1/projects/<slug:project>/", include("inventory.api.urls")),
    path("v1/projects/<slug:project>/", include("provisioning.api")),
    path("", include("tenants.issuer")),
    path("", include("tenants.api_tokens")),
    path("", include("tenants.oidc")),
    path("tink-stack/", include("provisioning.boot")),
    path("metrics", include("exporter.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/oauth2-redirect.html", SpectacularSwaggerOauthRedirectView.as_view()),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("healthz", lambda request: JsonResponse({"status": "ok"})),
]

"""The pages of one project, below /p/<project>/ (tenants/middleware.py)."""

from django.urls import include, path

from inventory.admin import site

urlpatterns = [
    path("admin/", site.urls),
    path("", include("console.urls")),
]

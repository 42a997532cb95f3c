"""The pages of one project, below /p/<project>/ (tenants/middleware.py)."""

from django.urls import path
from django.views.generic import RedirectView

from inventory.admin import site

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="project:index")),
    path("admin/", site.urls),
]

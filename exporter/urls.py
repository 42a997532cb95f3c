"""/metrics: what the web processes have served. The fleet's state is told by `manage.py exporter`."""

from django.urls import path
from django.views.decorators.http import require_GET
from django_prometheus.exports import ExportToDjangoView

urlpatterns = [path("", require_GET(ExportToDjangoView))]

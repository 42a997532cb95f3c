"""Makes our Celery app the current one, so that a task can be called by its name from any floor; begins traces."""

from django.apps import AppConfig
from django.conf import settings


class EimProjectConfig(AppConfig):
    name = "eim_project"

    def ready(self):
        from eim_project import celery  # noqa: F401  importing it is what makes it current

        if settings.TRACES:
            from eim_project import tracing

            tracing.begin()

"""Loads the benches, so that a floor's Celery task is known to the worker."""

from django.apps import AppConfig

from bench.declare import benches


class BenchConfig(AppConfig):
    name = "bench"

    def ready(self) -> None:
        benches()

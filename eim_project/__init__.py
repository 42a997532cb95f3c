"""The roof: settings, urls, celery, embedded services. Wires, decides nothing."""

from eim_project.celery import app as celery_app

__all__ = ["celery_app"]

"""The console as a Django app, before Unfold: some of its templates are replaced here."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = "Console"

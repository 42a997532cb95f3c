"""The console as a Django app, before Unfold: some of its templates are replaced here."""

from django.apps import AppConfig, apps


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = "Console"

    def ready(self):
        """All models are there, and no form is drawn yet."""
        from inventory.naming import name_as_written

        name_as_written(apps.get_models())

"""The loop, the southbound door, and the resource managers of single resources."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig, apps


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self):
        """Load every app's drivers and reconcilers, as the admin loads every app's admin.py."""
        from pkgutil import iter_modules

        for app in apps.get_app_configs():
            for kind in ("drivers", "reconcilers"):
                if find_spec(f"{app.name}.{kind}"):
                    package = import_module(f"{app.name}.{kind}")
                    for module in iter_modules(package.__path__):
                        import_module(f"{package.__name__}.{module.name}")

"""Who is asking, in whose schema; the journal of what changed; who owns which machine."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants and identity"

    def ready(self):
        from tenants import checks, openapi  # noqa: F401  register themselves

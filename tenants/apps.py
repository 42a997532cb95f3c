"""Who is asking, in whose schema; the journal of what changed; who owns which machine."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class PublicAdminConfig(admin.AdminConfig):
    default = False  # of this module's, TenantsConfig is the one that "tenants" means
    default_site = "tenants.door.PublicAdminSite"


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants and identity"

    def ready(self):
        from tenants import checks, openapi  # noqa: F401  register themselves

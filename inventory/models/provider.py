"""Providers: what machines are provisioned and managed through."""

import json

from django.core.exceptions import ValidationError
from django.db import models

from inventory import vendors
from inventory.models.base import Resource, name_field
from inventory.models.columns import late
from inventory.vendors import Can, Declaration, declare
from tenants.secrets import SealedField, seal, unseal


class ProviderKind(models.TextChoices):
    UNSPECIFIED = "PROVIDER_KIND_UNSPECIFIED"
    BAREMETAL = "PROVIDER_KIND_BAREMETAL"


class ProviderVendor(models.TextChoices):
    UNSPECIFIED = "PROVIDER_VENDOR_UNSPECIFIED"
    LENOVO_LXCA = "PROVIDER_VENDOR_LENOVO_LXCA"
    LENOVO_LOCA = "PROVIDER_VENDOR_LENOVO_LOCA"
    REDFISH = "PROVIDER_VENDOR_REDFISH"


# Our own provisioning, which every project has a provider of: its config says what becomes of an unknown machine.
declare(Declaration(
    kind=ProviderKind.BAREMETAL,
    vendor=ProviderVendor.UNSPECIFIED,
    can=frozenset({Can.PROVISION}),
    config={
        "type": "object",
        "properties": {
            "defaultOs": {"type": "string"}, "autoProvision": {"type": "boolean"},
            "defaultLocalAccount": {"type": "string"}, "osSecurityFeatureEnable": {"type": "boolean"},
        },
        "examples": [{"autoProvision": True, "defaultOs": "os-1a2b3c4d"}],
    },
    has_endpoint=False,
))  # fmt: skip


class Provider(Resource):
    prefix = "provider"

    name = name_field(40, unique=True, blank=False)
    provider_kind = models.CharField(max_length=40, choices=ProviderKind)
    provider_vendor = models.CharField(max_length=40, choices=ProviderVendor, default=ProviderVendor.UNSPECIFIED)
    api_endpoint = models.CharField(max_length=500)
    credentials_sealed = late(SealedField(blank=True, default="", editable=False))
    config = models.CharField(max_length=2000, blank=True)  # JSON, as the provider's declaration says

    class Meta(Resource.Meta):
        pass

    @property
    def credentials(self) -> list[str]:
        """How to log in there. Only drivers ask. Raises SealedByAnotherKey."""
        return json.loads(unseal(self.credentials_sealed)) if self.credentials_sealed else []

    @credentials.setter
    def credentials(self, credentials: list[str]) -> None:
        self.credentials_sealed = seal(json.dumps(credentials)) if credentials else ""

    @property
    def declaration(self) -> Declaration | None:
        return vendors.of(self.provider_kind, self.provider_vendor)

    def can(self, what: Can) -> bool:
        return self.declaration is not None and what in self.declaration.can

    def clean(self):
        if self.provider_kind == ProviderKind.UNSPECIFIED:
            raise ValidationError("providerKind is PROVIDER_KIND_BAREMETAL")
        if self.declaration:
            self.declaration.check(self.api_endpoint, self.config)
            self.declaration.check_credentials(self.credentials)

    def duplicate_sentence(self):
        return f"There is a provider {self.name!r} already"

"""Providers: what machines are provisioned and managed through."""

from django.core.exceptions import ValidationError
from django.db import models

from inventory.models.base import Resource, name_field
from inventory.models.columns import late, texts

_CONFIG = r"\-_./:;=?@!#,<>*(){}\"\\ "


class ProviderKind(models.TextChoices):
    UNSPECIFIED = "PROVIDER_KIND_UNSPECIFIED"
    BAREMETAL = "PROVIDER_KIND_BAREMETAL"


class ProviderVendor(models.TextChoices):
    UNSPECIFIED = "PROVIDER_VENDOR_UNSPECIFIED"
    LENOVO_LXCA = "PROVIDER_VENDOR_LENOVO_LXCA"
    LENOVO_LOCA = "PROVIDER_VENDOR_LENOVO_LOCA"


class Provider(Resource):
    prefix = "provider"

    name = name_field(40, unique=True, blank=False)
    provider_kind = models.CharField(max_length=40, choices=ProviderKind)
    provider_vendor = models.CharField(max_length=40, choices=ProviderVendor, default=ProviderVendor.UNSPECIFIED)
    api_endpoint = models.CharField(max_length=500)
    # How to log in there, in words that whoever serves this vendor understands.
    api_credentials = late(texts(rf"[a-zA-Z0-9{_CONFIG}]*", 500))
    config = models.CharField(max_length=2000, blank=True)  # JSON, read by whoever serves this vendor

    class Meta(Resource.Meta):
        pass

    def clean(self):
        if self.provider_kind == ProviderKind.UNSPECIFIED:
            raise ValidationError("providerKind is PROVIDER_KIND_BAREMETAL")

    def duplicate_sentence(self):
        return f"There is a provider {self.name!r} already"

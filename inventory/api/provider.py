"""Providers."""

from inventory.api.base import Pattern, ResourceSerializer, ResourceViewSet, Same, SecretTexts
from inventory.models import Provider

CONFIG = r"""[a-zA-Z0-9\-_./:;=?@!#,<>*(){}"\\ ]*"""
PRINTABLE = r"[^\x00-\x1f\x7f|]*"  # of a password, whatever it is; the bar parted them once


class ProviderSerializer(ResourceSerializer):
    providerID = Same()
    apiCredentials = SecretTexts(
        source="credentials", required=False, max_length=100,
        child=Pattern(f"^{PRINTABLE}$", max_length=500, allow_blank=True),
        help_text="How to log in, as the vendor wants it. Kept sealed, and never shown.",
    )  # fmt: skip

    class Meta(ResourceSerializer.Meta):
        model = Provider
        hidden = {"credentials_sealed"}
        writable = {"name", "providerKind", "providerVendor", "apiEndpoint", "config"}
        patterns = {"apiEndpoint": r"^[a-zA-Z0-9\-_./:;=?@!#,<>*() ]*$", "config": f"^{CONFIG}$"}


class ProviderViewSet(ResourceViewSet):
    """Providers: what machines are provisioned and managed through. To change one, make another."""

    serializer_class = ProviderSerializer
    collection, service, nouns = "providers", "ProviderService", ("Provider", "Providers")
    examples = {"create": {
        "name": "loca", "providerKind": "PROVIDER_KIND_BAREMETAL", "providerVendor": "PROVIDER_VENDOR_LENOVO_LOCA",
        "apiEndpoint": "https://loca.example.com", "apiCredentials": ["loca-secret"],
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]

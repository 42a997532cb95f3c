"""Providers."""

from inventory.api.base import Pattern, ResourceSerializer, ResourceViewSet, Same, Texts
from inventory.models import Provider

CONFIG = r"""[a-zA-Z0-9\-_./:;=?@!#,<>*(){}"\\ ]*"""


class ProviderSerializer(ResourceSerializer):
    providerID = Same()
    apiCredentials = Texts(
        source="api_credentials", required=False, max_length=100,
        child=Pattern(f"^{CONFIG}$", max_length=500, allow_blank=True),
    )  # fmt: skip

    class Meta(ResourceSerializer.Meta):
        model = Provider
        writable = {"name", "providerKind", "providerVendor", "apiEndpoint", "apiCredentials", "config"}
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

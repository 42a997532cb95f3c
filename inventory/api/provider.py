"""Providers."""

from inventory.api.base import ResourceSerializer, ResourceViewSet, Same, Texts
from inventory.models import Provider


class ProviderSerializer(ResourceSerializer):
    providerID = Same()
    apiCredentials = Texts(source="api_credentials", required=False, max_length=100)

    class Meta(ResourceSerializer.Meta):
        model = Provider
        writable = {"name", "providerKind", "providerVendor", "apiEndpoint", "apiCredentials", "config"}


class ProviderViewSet(ResourceViewSet):
    """Providers: what machines are provisioned and managed through. To change one, make another."""

    serializer_class = ProviderSerializer
    collection, service, nouns = "providers", "ProviderService", ("Provider", "Providers")
    http_method_names = ["get", "post", "delete", "head", "options"]

"""Providers."""

from inventory.api.base import ResourceSerializer, ResourceViewSet, Same
from inventory.models import Provider


class ProviderSerializer(ResourceSerializer):
    providerID = Same()

    class Meta(ResourceSerializer.Meta):
        model = Provider
        writable = {"name", "providerKind", "providerVendor", "apiEndpoint", "config"}


class ProviderViewSet(ResourceViewSet):
    serializer_class = ProviderSerializer
    collection = "providers"
    http_method_names = ["get", "post", "delete", "head", "options"]  # to change one, make another

"""Operating systems."""

from rest_framework import exceptions

from inventory.api.base import ResourceSerializer, ResourceViewSet, Same
from inventory.models import OperatingSystem, OsProviderKind, OsType


class OperatingSystemSerializer(ResourceSerializer):
    osResourceID = Same()

    class Meta(ResourceSerializer.Meta):
        model = OperatingSystem
        writable = {
            "name", "architecture", "imageUrl", "imageId", "sha256", "profileName", "description", "securityFeature",
            "osType", "osProvider", "tlsCaCert",
        }  # fmt: skip

    def validate(self, plain):
        """What is installed on machines doesn't change under its name: a new image is a new resource."""
        if self.instance is not None:
            changed = [name for name, value in plain.items() if getattr(self.instance, name) != value]
            if frozen := {*changed} - {"architecture", "tls_ca_cert"}:
                raise exceptions.ValidationError(f"{', '.join(sorted(frozen))} can't be changed: create another one")
            return plain
        if plain.get("os_type", OsType.UNSPECIFIED) == OsType.UNSPECIFIED:
            raise exceptions.ValidationError({"osType": "OS_TYPE_MUTABLE or OS_TYPE_IMMUTABLE is needed"})
        if plain.get("os_provider", OsProviderKind.UNSPECIFIED) == OsProviderKind.UNSPECIFIED:
            raise exceptions.ValidationError({"osProvider": "OS_PROVIDER_KIND_INFRA or another one is needed"})
        return plain


class OperatingSystemViewSet(ResourceViewSet):
    serializer_class = OperatingSystemSerializer
    collection = "OperatingSystemResources"

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
            "osType", "osProvider", "tlsCaCert", "metadata", "installedPackagesUrl", "existingCvesUrl", "fixedCvesUrl",
        }  # fmt: skip
        mutable = {"name", "architecture", "metadata"}
        kept = {"name", "sha256"}

    def validate(self, plain):
        """What is installed on machines doesn't change under its name: a new image is a new resource."""
        if self.instance is not None:
            if plain.get("name", self.instance.name) != self.instance.name:
                raise exceptions.ValidationError({"name": f"{self.instance} keeps its name: create another one"})
            return plain
        if plain.get("os_type", OsType.UNSPECIFIED) == OsType.UNSPECIFIED:
            raise exceptions.ValidationError({"osType": "OS_TYPE_MUTABLE or OS_TYPE_IMMUTABLE is needed"})
        if plain.get("os_provider", OsProviderKind.UNSPECIFIED) == OsProviderKind.UNSPECIFIED:
            raise exceptions.ValidationError({"osProvider": "OS_PROVIDER_KIND_INFRA or another one is needed"})
        return plain


class OperatingSystemViewSet(ResourceViewSet):
    """Operating systems: what is installed on machines, and where its image lies."""

    serializer_class = OperatingSystemSerializer
    collection = "OperatingSystemResources"
    service, nouns = "OperatingSystemService", ("OperatingSystem", "OperatingSystems")

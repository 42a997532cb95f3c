"""Operating systems."""

from rest_framework import exceptions

from inventory.api.base import Pattern, ResourceSerializer, ResourceViewSet, Retired, Same
from inventory.models import OperatingSystem, OsProviderKind, OsType

QUOTED = r"""\-_./:;=@?!#,<>*()" """
URI_REFERENCE = r"^[a-zA-Z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*$"


class OperatingSystemSerializer(ResourceSerializer):
    osResourceID = Same()
    sha256 = Pattern("^[a-f0-9]+$", min_length=64, max_length=64, help_text="Of the image, in hexadecimal.")
    repoUrl = Retired(
        rf"^[a-zA-Z0-9{QUOTED}]*$", required=False, allow_blank=True, max_length=500,
        help_text="The old name of imageUrl. Always empty when it is read.",
    )  # fmt: skip

    class Meta(ResourceSerializer.Meta):
        model = OperatingSystem
        hidden = {"from_profile", "retracted"}  # clients read the latter in the metadata
        writable = {
            "name", "architecture", "imageUrl", "imageId", "sha256", "profileName", "description", "securityFeature",
            "osType", "osProvider", "tlsCaCert", "metadata", "installedPackagesUrl", "existingCvesUrl", "fixedCvesUrl",
        }  # fmt: skip
        patterns = {
            "architecture": rf"^[a-zA-Z0-9{QUOTED}]*$", "imageUrl": rf"^[a-zA-Z0-9{QUOTED}\\]*$",
            "imageId": rf"^[a-zA-Z0-9{QUOTED}\\]*$", "profileName": rf"^[a-zA-Z0-9{QUOTED}\\]*$",
            **dict.fromkeys(("installedPackagesUrl", "existingCvesUrl", "fixedCvesUrl"), URI_REFERENCE),
        }  # fmt: skip
        mutable = {"name", "architecture", "metadata"}
        kept = {"name", "sha256"}

    def create(self, plain):
        """repoUrl is how clients called imageUrl before there was one."""
        repository = plain.pop("repoUrl", "")
        return super().create({**plain, "image_url": plain.get("image_url") or repository})

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
    examples = {
        "create": {
            "name": "Debian 12", "profileName": "debian-12", "imageId": "12.8.0", "imageUrl": "files/debian-12.raw.gz",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "architecture": "x86_64",
            "osType": "OS_TYPE_MUTABLE", "osProvider": "OS_PROVIDER_KIND_INFRA",
            "securityFeature": "SECURITY_FEATURE_NONE",
        },
        "partial_update": {"metadata": '{"edition":"server"}'},
    }  # fmt: skip

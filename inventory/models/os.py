"""Operating systems: what is installed on machines, and where its image lies."""

from django.core.validators import RegexValidator
from django.db import models

from inventory.models.base import Resource, name_field


class OsType(models.TextChoices):
    UNSPECIFIED = "OS_TYPE_UNSPECIFIED"
    MUTABLE = "OS_TYPE_MUTABLE"
    IMMUTABLE = "OS_TYPE_IMMUTABLE"


class OsProviderKind(models.TextChoices):
    UNSPECIFIED = "OS_PROVIDER_KIND_UNSPECIFIED"
    INFRA = "OS_PROVIDER_KIND_INFRA"
    LENOVO = "OS_PROVIDER_KIND_LENOVO"


class SecurityFeature(models.TextChoices):
    UNSPECIFIED = "SECURITY_FEATURE_UNSPECIFIED"
    NONE = "SECURITY_FEATURE_NONE"
    SECURE_BOOT_AND_FULL_DISK_ENCRYPTION = "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION"


class OperatingSystem(Resource):
    prefix = "os"

    name = name_field(128)
    architecture = models.CharField(max_length=20, blank=True)
    image_url = models.CharField(max_length=500, blank=True)  # absolute, or relative to this server
    image_id = models.CharField(max_length=500, blank=True)
    sha256 = models.CharField(
        max_length=64, validators=[RegexValidator(r"^[a-f0-9]{64}$", "sha256 is 64 lower-case hexadecimal digits")]
    )
    profile_name = models.CharField(max_length=128, blank=True)
    profile_version = models.CharField(max_length=128, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    security_feature = models.CharField(
        max_length=64, choices=SecurityFeature, default=SecurityFeature.UNSPECIFIED, blank=True
    )
    os_type = models.CharField(max_length=32, choices=OsType, default=OsType.UNSPECIFIED)
    os_provider = models.CharField(max_length=32, choices=OsProviderKind, default=OsProviderKind.UNSPECIFIED)
    tls_ca_cert = models.CharField(max_length=10000, blank=True)  # base64 of PEM; trusted for the image's server

    class Meta(Resource.Meta):
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=~models.Q(name=""), name="os_name"),
            models.UniqueConstraint(
                fields=["profile_name", "image_id"],
                condition=~models.Q(profile_name="") & ~models.Q(image_id=""),
                name="os_profile_and_image",
            ),
        ]
        verbose_name = "operating system"

"""Operating systems: what is installed on machines, and where its image lies."""

import json
import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, RegexValidator
from django.db import models

from inventory.models.base import Resource, name_field
from inventory.models.columns import late, letters


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


BASE64 = RegexValidator(r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z", "base64 is needed")


def check_flat_object(text: str) -> None:
    """The metadata of an operating system is text: a JSON object whose values are texts, and no key twice."""
    try:
        pairs = json.loads(text or "{}", object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise ValidationError('metadata is a JSON object of texts, like {"key": "value"}') from None
    if text and (not isinstance(pairs, list) or text.lstrip()[0] != "{"):
        raise ValidationError('metadata is a JSON object of texts, like {"key": "value"}')
    if wrong := [key for key, value in pairs if not isinstance(value, str)]:
        raise ValidationError(f"metadata: the value of {wrong[0]!r} is not a text")
    keys = [key for key, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValidationError(f"metadata key {min(twice)!r} is there twice")


def listing() -> models.TextField:
    """JSON, as whoever made the image publishes it."""
    return late(models.TextField(blank=True, editable=False, validators=[MaxLengthValidator(500_000)]))


def version_key(image_id: str) -> tuple[tuple[int, int, str], ...]:
    """Orders images of one profile by age: numbers as numbers (0732 before 1200), 3.0.1 before its build 3.0.1.0732,

    and words, as in 3.0.1-rc1, before what has none.
    """
    parts = re.findall(r"\d+|[a-z]+", image_id.lower())
    return (*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, ""))


class OperatingSystem(Resource):
    prefix = "os"
    fixed = {
        "image_url", "image_id", "sha256", "profile_name", "profile_version", "installed_packages_url",
        "security_feature", "os_type", "os_provider", "platform_bundle", "description", "existing_cves_url",
        "fixed_cves_url",
    }  # fmt: skip

    name = name_field(128)
    architecture = models.CharField(max_length=20, blank=True)
    image_url = models.CharField(max_length=500, blank=True)  # absolute, or relative to this server
    image_id = models.CharField(max_length=500, blank=True)
    sha256 = models.CharField(
        max_length=64, validators=[RegexValidator(r"^[a-f0-9]{64}\Z", "sha256 is 64 lower-case hexadecimal digits")]
    )
    profile_name = models.CharField(max_length=128, blank=True)
    profile_version = models.CharField(max_length=128, blank=True)
    description = models.CharField(max_length=1000, blank=True, validators=[letters(r"_.:;=@?!#,<>*(){}&%$`^+\- ")])
    security_feature = models.CharField(
        max_length=64, choices=SecurityFeature, default=SecurityFeature.UNSPECIFIED, blank=True
    )
    os_type = models.CharField(max_length=32, choices=OsType, default=OsType.UNSPECIFIED)
    os_provider = models.CharField(max_length=32, choices=OsProviderKind, default=OsProviderKind.UNSPECIFIED)
    platform_bundle = late(models.CharField(max_length=1000, blank=True, editable=False))
    metadata = late(
        models.CharField(
            max_length=500,
            blank=True,
            validators=[
                check_flat_object,
                RegexValidator(r'^[a-z0-9,.\-_:/"\\ \n{}\[\]+]*\Z', "only lower-case letters, digits and JSON's signs"),
            ],
        )
    )
    # What is in the image and what is known to be wrong with it, and where that is published.
    installed_packages, existing_cves, fixed_cves = listing(), listing(), listing()
    installed_packages_url = late(models.CharField(max_length=200, blank=True))
    existing_cves_url = late(models.CharField(max_length=500, blank=True))
    fixed_cves_url = late(models.CharField(max_length=500, blank=True))
    # Base64 of PEM; trusted for the image's server.
    tls_ca_cert = models.CharField(max_length=10000, blank=True, validators=[BASE64])

    # Whether it follows an OS profile (inventory/profiles.py), and whether that one has been withdrawn since.
    from_profile = late(models.BooleanField(default=False, editable=False))
    retracted = late(models.BooleanField(default=False, editable=False))

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

    def clean(self):
        if self._state.adding and self.os_type == OsType.UNSPECIFIED:
            raise ValidationError("osType is OS_TYPE_MUTABLE or OS_TYPE_IMMUTABLE")
        if self._state.adding and self.os_provider == OsProviderKind.UNSPECIFIED:
            raise ValidationError("osProvider is OS_PROVIDER_KIND_INFRA or OS_PROVIDER_KIND_LENOVO")

    def duplicate_sentence(self):
        return f"There is an operating system {self.name!r}, or one of this profileName and imageId, already"

"""OS profiles: files, in the form that the archived system had, that say which operating systems there are.

A profile without osImageSha256 is one whose image is not pinned. Its resource has a digest that no image has, so that
no machine installs what nobody has vouched for; whoever administers the server pins it in a profile of their own.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.core.exceptions import ValidationError

from inventory.models import OperatingSystem
from tenants.errors import BadDefaults

SHIPPED = Path(__file__).parent / "data/os_profiles"
NOT_PINNED = "0" * 64

# Key of the profile's spec -> column. Those with another form in the file are below.
COLUMNS = {
    "name": "name", "type": "os_type", "provider": "os_provider", "architecture": "architecture",
    "profileName": "profile_name", "osImageUrl": "image_url", "osImageVersion": "image_id", "osImageSha256": "sha256",
    "osPackageManifestURL": "installed_packages_url", "osExistingCvesURL": "existing_cves_url",
    "osFixedCvesURL": "fixed_cves_url", "securityFeature": "security_feature", "description": "description",
    "tlsCaCertificate": "tls_ca_cert", "platformBundle": "platform_bundle",
}  # fmt: skip
REQUIRED = {"name", "type", "provider", "profileName", "osImageUrl", "osImageVersion"}


def resources(folders: tuple[Path, ...]) -> list[OperatingSystem]:
    """An operating system, not saved, for each profile. A profile in a later folder replaces the one of its name.

    Raises BadDefaults, which names the file and what is wrong with it.
    """
    return [OperatingSystem(**columns) for columns in _columns_of_all(folders)]


@lru_cache(maxsize=4)  # every new tenant gets them; a file that is changed counts from the next start on
def _columns_of_all(folders: tuple[Path, ...]) -> tuple[dict[str, str], ...]:
    found: dict[str, dict[str, str]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BadDefaults(f"There is no folder {folder} with OS profiles (EIM_OS_PROFILES)")
        for file in sorted(folder.glob("*.yaml")):
            columns = read(file)
            found[columns["profile_name"]] = columns
    return tuple(found.values())


def read(file: Path) -> dict[str, str]:
    """The columns of the operating system that this profile describes. Raises BadDefaults."""
    try:
        profile = yaml.safe_load(file.read_text())
        columns = _columns(profile)
        found = OperatingSystem(**columns)
        found.full_clean(exclude=["resource_id"], validate_unique=False, validate_constraints=False)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as wrong:
        raise BadDefaults(f"{file} can't be read: {wrong}") from wrong
    except ValidationError as wrong:
        raise BadDefaults(f"{file}: {'; '.join(wrong.messages)}") from wrong
    if columns["profile_name"] != file.stem:
        raise BadDefaults(f"{file}: its profileName is {columns['profile_name']!r}, not the file's name")
    return columns


def _columns(profile: Any) -> dict[str, str]:
    if not isinstance(profile, dict) or not isinstance(profile.get("spec"), dict):
        raise ValidationError("a profile is a mapping with spec and, if you like, metadata")
    spec, metadata = profile["spec"], profile.get("metadata") or {}
    if missing := REQUIRED - spec.keys():
        raise ValidationError(f"spec needs {', '.join(sorted(missing))}")
    if strange := spec.keys() - COLUMNS.keys():
        raise ValidationError(f"spec has no {', '.join(sorted(map(str, strange)))}")
    if not all(isinstance(value, str) for value in [*spec.values()] if value is not spec.get("platformBundle")):
        raise ValidationError('every value of spec is a text: a version is "22.04", with quotes')
    columns = {COLUMNS[key]: value for key, value in spec.items()}
    columns.setdefault("sha256", NOT_PINNED)
    columns["profile_version"] = columns["image_id"]
    if metadata:
        columns["metadata"] = _compact(metadata)
    if "platformBundle" in spec:
        columns["platform_bundle"] = _compact(spec["platformBundle"])
    return columns


def _compact(mapping: Any) -> str:
    return json.dumps(mapping, separators=(",", ":"))

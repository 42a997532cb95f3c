"""OS profiles: files, in the form that the archived system had, that say which operating systems there are.

A profile without osImageSha256 is one whose image is not pinned. Its resource has a digest that no image has, so that
no machine installs what nobody has vouched for; whoever administers the server pins it in a profile of their own.
"""

import json
import secrets
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from inventory.models import OperatingSystem, Resource
from tenants import events
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


@lru_cache(maxsize=4)  # every new tenant gets them; the loop brings it up to date (workers/catalogue.py)
def in_folders(folders: tuple[Path, ...]) -> tuple[dict[str, str], ...]:
    """The columns of an operating system for each profile. One in a later folder replaces the one of its name.

    Raises BadDefaults, which names the file and what is wrong with it.
    """
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
        text = file.read_bytes()
    except OSError as wrong:
        raise BadDefaults(f"{file} can't be read: {wrong}") from wrong
    columns = parsed(text, str(file))
    if columns["profile_name"] != file.stem:
        raise BadDefaults(f"{file}: its profileName is {columns['profile_name']!r}, not the file's name")
    return columns


class _Texts(yaml.SafeLoader):
    """All values are texts, however they are written: 24.10 isn't a number, or it would be version 24.1."""

    yaml_implicit_resolvers: dict = {}


def parsed(text: bytes, what: str) -> dict[str, str]:
    """The same of a profile from elsewhere. Raises BadDefaults, which names it as `what`."""
    try:
        columns = _columns(_Texts(text).get_single_data())
        found = OperatingSystem(**columns)
        found.full_clean(exclude=["resource_id"], validate_unique=False, validate_constraints=False)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as wrong:
        raise BadDefaults(f"{what} can't be read: {wrong}") from wrong
    except ValidationError as wrong:
        raise BadDefaults(f"{what}: {'; '.join(wrong.messages)}") from wrong
    return columns


# Of an operating system that follows a profile; what operators may change is theirs once it is there.
FOLLOWED = {*COLUMNS.values(), "profile_version", "installed_packages", "existing_cves", "fixed_cves"}
OPERATORS = {"name", "architecture", "metadata", "profile_name", "image_id"}  # and what tells one from another
WITHDRAWN = "Retracted: "  # what the description of one begins with that its profile doesn't name any more


@transaction.atomic
def follow(systems: Sequence[dict[str, Any]], *, withdraw: bool = True) -> None:
    """Make the operating systems of the current schema those of the profiles: new ones are made, others brought up to

    date, those that aren't in any profile any more are marked and stay, for machines may have them. What people
    entered themselves is left alone, unless a profile names the same image.
    """
    known = {(row.profile_name, row.image_id): row for row in OperatingSystem.objects.select_for_update()}
    names = {row.name for row in known.values()}
    new = []
    for columns in systems:
        row = known.pop((columns["profile_name"], columns["image_id"]), None)
        if row is None:
            name = columns["name"] if columns["name"] not in names else f"{columns['name']} {columns['image_id']}"[:128]
            names.add(name)
            new.append(OperatingSystem(**columns | {"name": name, "from_profile": True}))
        else:
            told = {name: columns.get(name, OperatingSystem.default_of(name)) for name in FOLLOWED - OPERATORS}
            _bring_to(row, told | {"from_profile": True, "retracted": False})
    add(new)
    if withdraw:
        for row in known.values():
            if row.from_profile:
                description = f"{WITHDRAWN}{row.description.removeprefix(WITHDRAWN)}"[:1000]
                _bring_to(row, {"retracted": True, "description": description})


def _bring_to(row: OperatingSystem, columns: dict[str, Any]) -> None:
    """Not by save(): an image is replaced under its name by nobody but whoever publishes it."""
    changed = {name: value for name, value in columns.items() if getattr(row, name) != value}
    if changed:
        QuerySet.update(OperatingSystem.objects.filter(pk=row.pk), **changed, updated_at=timezone.now())
        events.announce(row, "changed")


def add(rows: Sequence[Resource]) -> None:
    """As ask() would one by one, in two statements. They were validated when they were read, and ring for nobody."""
    for row in rows:
        row.resource_id = f"{row.prefix}-{secrets.token_hex(4)}"
    if rows:
        QuerySet.bulk_create(type(rows[0]).objects.all(), rows)  # Django's: ours leaves new rows to ask(), as this is
        events.announce_all(rows, "created", ring=False)


def _columns(profile: Any) -> dict[str, str]:
    if not isinstance(profile, dict) or not isinstance(profile.get("spec"), dict):
        raise ValidationError("a profile is a mapping with spec and, if you like, metadata")
    spec, metadata = profile["spec"], profile.get("metadata") or {}
    if missing := REQUIRED - spec.keys():
        raise ValidationError(f"spec needs {', '.join(sorted(missing))}")
    if strange := spec.keys() - COLUMNS.keys():
        raise ValidationError(f"spec has no {', '.join(sorted(map(str, strange)))}")
    if not all(isinstance(value, str) for value in [*spec.values()] if value is not spec.get("platformBundle")):
        raise ValidationError("every value of spec is a text, but for platformBundle")
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

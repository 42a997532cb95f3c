"""What every new project begins with: telemetry groups, operating systems, and a provider."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from inventory import profiles
from inventory.models import OperatingSystem, Provider, ProviderKind, Resource, TelemetryGroup
from tenants import events
from tenants.errors import BadDefaults

GROUPS = Path(__file__).parent / "data/telemetry_groups.yaml"
PROVIDER = "infra_onboarding"  # clients of the archived system look for it by this name
ZERO_TOUCH = '{"autoProvision":false,"osSecurityFeatureEnable":false}'  # what becomes of a machine that just appears


@transaction.atomic
def make() -> None:
    """Make those that aren't in the current schema yet. Raises BadDefaults if they aren't what they should be."""
    there = {_said(group) for group in TelemetryGroup.objects.all()}
    _add([group for group in telemetry_groups(GROUPS) if _said(group) not in there])
    known = {*OperatingSystem.objects.values_list("profile_name", "image_id")}
    _add([system for system in operating_systems() if (system.profile_name, system.image_id) not in known])
    if not Provider.objects.filter(name=PROVIDER).exists():
        Provider(name=PROVIDER, provider_kind=ProviderKind.BAREMETAL, api_endpoint="null", config=ZERO_TOUCH).ask()


def _add(rows: Sequence[Resource]) -> None:
    """As ask() would one by one, in two statements. They were validated when they were read, and ring for nobody."""
    for row in rows:
        row.resource_id = f"{row.prefix}-{secrets.token_hex(4)}"
    if rows:
        QuerySet.bulk_create(type(rows[0]).objects.all(), rows)  # Django's: ours leaves new rows to ask(), as this is
        events.announce_all(rows, "created", ring=False)


def operating_systems() -> list[OperatingSystem]:
    """Of the profiles that come with the server and those of its administrator."""
    return profiles.resources((profiles.SHIPPED, *filter(None, [settings.EIM_OS_PROFILES])))


def telemetry_groups(file: Path) -> list[TelemetryGroup]:
    """Not saved. Raises BadDefaults, which names the file and what is wrong with it."""
    return [TelemetryGroup(**columns) for columns in _groups(file)]


@lru_cache(maxsize=2)
def _groups(file: Path) -> tuple[dict[str, Any], ...]:
    found = []
    try:
        for entry in yaml.safe_load(file.read_text()):
            columns = {
                "name": entry["name"],
                "kind": f"TELEMETRY_RESOURCE_KIND_{entry['kind']}",
                "collector_kind": f"TELEMETRY_COLLECTOR_KIND_{entry['collector']}",
                "groups": entry["groups"],
            }
            TelemetryGroup(**columns).full_clean(exclude=["resource_id"], validate_unique=False)
            found.append(columns)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as wrong:
        raise BadDefaults(f"{file} isn't a list of telemetry groups: {wrong!r}") from wrong
    except ValidationError as wrong:
        raise BadDefaults(f"{file}: {'; '.join(wrong.messages)}") from wrong
    return tuple(found)


def _said(group: TelemetryGroup) -> tuple[str, str, str, tuple[str, ...]]:
    return group.name, group.kind, group.collector_kind, tuple(group.groups)

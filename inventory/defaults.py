"""What every new project begins with: telemetry groups, operating systems, and a provider."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from inventory import profiles
from inventory.models import Provider, ProviderKind, TelemetryGroup
from tenants.errors import BadDefaults

GROUPS = Path(__file__).parent / "data/telemetry_groups.yaml"
PROVIDER = "infra_onboarding"  # clients of the archived system look for it by this name
ZERO_TOUCH = '{"autoProvision":false,"osSecurityFeatureEnable":false}'  # what becomes of a machine that just appears


@transaction.atomic
def make() -> None:
    """Make those that aren't in the current schema yet. Raises BadDefaults if they aren't what they should be."""
    there = {_said(group) for group in TelemetryGroup.objects.all()}
    profiles.add([group for group in telemetry_groups(GROUPS) if _said(group) not in there])
    profiles.follow(profiles.in_folders(profile_folders()), withdraw=False)
    if not Provider.objects.filter(name=PROVIDER).exists():
        Provider(name=PROVIDER, provider_kind=ProviderKind.BAREMETAL, api_endpoint="null", config=ZERO_TOUCH).ask()


def profile_folders() -> tuple[Path, ...]:
    """Of the OS profiles that come with the server, and of those of its administrator."""
    return (profiles.SHIPPED, *filter(None, [settings.EIM_OS_PROFILES]))


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

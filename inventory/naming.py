"""The spellings of every name: columns are snake_case, JSON is camelCase, people write `OS update policy`."""

import re
from collections.abc import Iterable

from django.db.models import Field, Model

_ABBREVIATIONS = re.compile(
    r"\b(acm|amt|api|bios|bmc|ca|ccm|cpu|cves?|dns|http|https|ftp|id|ip|ipmi|ism|kvm|lvm|mac|os|ou|pdu|pxe|sha256|sku"
    r"|sol|ssh|tls|url|uuid|vlan|vm|vpro)\b",
    re.IGNORECASE,
)
_OTHERWISE = {"cve": "CVE", "cves": "CVEs", "vpro": "vPro"}


def camel(name: str) -> str:
    """`host_status_timestamp` -> `hostStatusTimestamp`"""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def squashed(name: str) -> str:
    """The same for all spellings: parentRegion and parent_region, siteID and siteId, localaccount."""
    return name.replace("_", "").lower()


def as_written(label: str) -> str:
    """`OS update policy`, where the column is os_update_policy."""
    return _ABBREVIATIONS.sub(lambda found: _OTHERWISE.get(found[0].lower(), found[0].upper()), label)


def name_as_written(models: Iterable[type[Model]]) -> None:
    """Name their columns so on every page. Migrations don't see it: they keep the name that was declared."""
    for model in models:
        for field in model._meta.get_fields():
            if isinstance(field, Field):
                field.verbose_name = as_written(str(field.verbose_name))

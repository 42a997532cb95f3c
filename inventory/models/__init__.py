"""The inventory's resources, a file a family."""

from inventory.models.base import Indicator, Resource, Status
from inventory.models.compute import Host, HostState, Instance, InstanceKind, InstanceState
from inventory.models.location import Region, Site
from inventory.models.os import OperatingSystem, OsProviderKind, OsType, SecurityFeature
from inventory.models.provider import Provider, ProviderKind, ProviderVendor

__all__ = [
    "Host", "HostState", "Indicator", "Instance", "InstanceKind", "InstanceState", "OperatingSystem", "OsProviderKind",
    "OsType", "Provider", "ProviderKind", "ProviderVendor", "Region", "Resource", "SecurityFeature", "Site", "Status",
]  # fmt: skip

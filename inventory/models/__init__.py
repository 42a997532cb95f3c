"""The inventory's resources, a file a family."""

from inventory.models.access import CustomConfig, LocalAccount, RemoteAccess, RemoteAccessState
from inventory.models.base import Indicator, Resource, Status
from inventory.models.compute import (
    AmtControlMode,
    AmtSku,
    AmtState,
    BaremetalControllerKind,
    Customization,
    Host,
    HostState,
    Instance,
    InstanceKind,
    InstanceState,
    KvmState,
    KvmStatus,
    PowerCommandPolicy,
    PowerState,
    SolState,
    SolStatus,
)
from inventory.models.location import Ou, Region, Site
from inventory.models.network import Endpoint, Netlink, NetlinkState, NetworkSegment
from inventory.models.os import OperatingSystem, OsProviderKind, OsType, SecurityFeature
from inventory.models.policy import OsUpdatePolicy, OsUpdateRun, UpdatePolicy
from inventory.models.provider import Provider, ProviderKind, ProviderVendor
from inventory.models.schedule import RepeatedSchedule, ScheduleStatus, SingleSchedule
from inventory.models.telemetry import (
    SeverityLevel,
    TelemetryCollectorKind,
    TelemetryGroup,
    TelemetryProfile,
    TelemetryResourceKind,
)
from inventory.models.workload import Workload, WorkloadKind, WorkloadMember, WorkloadMemberKind, WorkloadState

__all__ = [
    "AmtControlMode", "AmtSku", "AmtState", "BaremetalControllerKind", "CustomConfig", "Customization", "Endpoint",
    "Host", "HostState", "Indicator", "Instance", "InstanceKind", "InstanceState", "KvmState", "KvmStatus",
    "LocalAccount", "Netlink", "NetlinkState", "NetworkSegment", "OperatingSystem", "OsProviderKind", "OsType",
    "OsUpdatePolicy", "OsUpdateRun", "Ou", "PowerCommandPolicy", "PowerState", "Provider", "ProviderKind",
    "ProviderVendor", "Region", "RemoteAccess", "RemoteAccessState", "RepeatedSchedule", "Resource", "ScheduleStatus",
    "SecurityFeature", "SeverityLevel", "SingleSchedule", "Site", "SolState", "SolStatus", "Status",
    "TelemetryCollectorKind", "TelemetryGroup", "TelemetryProfile", "TelemetryResourceKind", "UpdatePolicy",
    "Workload", "WorkloadKind", "WorkloadMember", "WorkloadMemberKind", "WorkloadState",
]  # fmt: skip

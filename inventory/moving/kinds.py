"""What comes over, in the order in which one kind needs the other, and where the REST API's answers have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from inventory.models import (
    CustomConfig,
    Host,
    Instance,
    LocalAccount,
    OperatingSystem,
    OsUpdatePolicy,
    OsUpdateRun,
    Provider,
    Region,
    RepeatedSchedule,
    Resource,
    SingleSchedule,
    Site,
    TelemetryGroup,
    TelemetryProfile,
    TelemetryResourceKind,
    Workload,
    WorkloadMember,
)


@dataclass(frozen=True)
class Reference:
    """at: where the id of what is referred to stands, "siteId" or "site.resourceId"; the first that says one counts.

    must: what names one that isn't here stays away itself; otherwise it comes over without.
    """

    column: str
    model: type[Resource]
    at: tuple[str, ...]
    must: bool = True


@dataclass(frozen=True, eq=False)
class Kind:
    """fixed: columns that the path says. parent: the column by which they form a tree."""

    called: str
    model: type[Resource]
    path: str
    collection: str
    references: tuple[Reference, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    parent: str = ""


TARGETS = (
    Reference("target_host", Host, ("targetHostId", "targetHost.resourceId")),
    Reference("target_site", Site, ("targetSiteId", "targetSite.resourceId")),
    Reference("target_region", Region, ("targetRegionId", "targetRegion.resourceId")),
)
PLACES = (
    Reference("instance", Instance, ("targetInstance",)),
    Reference("site", Site, ("targetSite",)),
    Reference("region", Region, ("targetRegion",)),
)
METRICS, LOGS = {"kind": TelemetryResourceKind.METRICS}, {"kind": TelemetryResourceKind.LOGS}

KINDS = (
    Kind("regions", Region, "regions", "regions", (
        Reference("parent_region", Region, ("parentId", "parentRegion.resourceId"), must=False),
    ), parent="parent_region"),
    Kind("providers", Provider, "providers", "providers"),
    Kind("sites", Site, "regions/region/sites", "sites", (
        Reference("region", Region, ("regionId", "region.resourceId"), must=False),
        Reference("provider", Provider, ("provider.resourceId",), must=False),
    )),
    Kind("operating systems", OperatingSystem, "compute/os", "OperatingSystemResources"),
    Kind("OS update policies", OsUpdatePolicy, "os-update-policies", "osUpdatePolicies", (
        Reference("target_os", OperatingSystem, ("targetOsId", "targetOs.resourceId")),
    )),
    Kind("local accounts", LocalAccount, "localAccounts", "localAccounts"),
    Kind("custom configs", CustomConfig, "customConfigs", "customConfigs"),
    # A host that somebody else's provider installs is none for us to install: without its provider it doesn't come.
    Kind("hosts", Host, "compute/hosts", "hosts", (
        Reference("site", Site, ("siteId", "site.resourceId"), must=False),
        Reference("provider", Provider, ("provider.resourceId",)),
        Reference("power_provider", Provider, ("powerProviderId",), must=False),
    )),
    Kind("instances", Instance, "compute/instances", "instances", (
        Reference("host", Host, ("hostID", "host.resourceId")),
        Reference("os", OperatingSystem, ("osID", "os.resourceId")),
        Reference("local_account", LocalAccount, ("localAccountID", "localaccount.resourceId"), must=False),
        Reference("os_update_policy", OsUpdatePolicy, ("osUpdatePolicyID", "updatePolicy.resourceId"), must=False),
    )),
    Kind("OS update runs", OsUpdateRun, "os-update-runs", "osUpdateRuns", (
        Reference("instance", Instance, ("instance.resourceId",)),
        Reference("applied_policy", OsUpdatePolicy, ("appliedPolicy.resourceId",), must=False),
    )),
    Kind("workloads", Workload, "workloads", "workloads"),
    Kind("workload members", WorkloadMember, "workload_members", "workloadMembers", (
        Reference("workload", Workload, ("workloadId", "workload.resourceId")),
        Reference("instance", Instance, ("instanceId", "instance.resourceId", "member.resourceId")),
    )),
    Kind("single schedules", SingleSchedule, "schedules/single", "singleSchedules", TARGETS),
    Kind("repeated schedules", RepeatedSchedule, "schedules/repeated", "repeatedSchedules", TARGETS),
    Kind("telemetry groups of metrics", TelemetryGroup, "telemetry/metricgroups", "telemetryMetricsGroups",
         fixed=METRICS),
    Kind("telemetry groups of logs", TelemetryGroup, "telemetry/loggroups", "telemetryLogsGroups", fixed=LOGS),
    Kind("telemetry profiles of metrics", TelemetryProfile, "telemetry/profiles/metrics", "telemetryMetricsProfiles", (
        Reference("group", TelemetryGroup, ("metricsGroupId", "metricsGroup.resourceId")), *PLACES,
    ), fixed=METRICS),
    Kind("telemetry profiles of logs", TelemetryProfile, "telemetry/profiles/logs", "telemetryLogsProfiles", (
        Reference("group", TelemetryGroup, ("logsGroupId", "logsGroup.resourceId")), *PLACES,
    ), fixed=LOGS),
)  # fmt: skip

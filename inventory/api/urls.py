"""The paths of the REST API: those under /v1/projects/<project>/, and those under /edge-infra.orchestrator.apis/v2/.

Most resources have several, as the archived system's clients do. A last slash is tolerated.
"""

from collections.abc import Iterator

from django.urls import URLPattern, re_path

from inventory.api import access, bulk, compute, location, os, policy, provider, schedule, telemetry, workload
from inventory.api.base import ResourceViewSet

LIST = {"get": "list", "post": "create"}
ONE = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}

# What is at a path, by method, and below it. `*` in a path is anything: clients put anything there.
HOSTS = {
    "": LIST,
    "/register": {"post": "register"},
    "/<id>": ONE,
    "/<id>/register": {"patch": "register_again"},
    "/<id>/onboard": {"patch": "onboard"},
    "/<id>/invalidate": {"put": "invalidate"},
}
RESOURCES = {"": LIST, "/<id>": ONE}
UNCHANGING = {"": LIST, "/<id>": {"get": "retrieve", "delete": "destroy"}}
IMPORTS = {"": LIST, "/<id>": {"get": "retrieve", "delete": "destroy"}, "/<id>/rows": {"get": "rows"}}
TOLD = {"": {"get": "list"}, "/<id>": {"get": "retrieve", "delete": "destroy"}}

# (endpoint, what is there, its paths in a project, the first being the one that clients are told of, its old path)
MOUNTS: list[tuple[type, dict, list[str], str]] = [
    (compute.HostViewSet, {"": {"get": "summary"}}, ["compute/hosts/summary", "compute/hosts_summary"],
     "hosts_summary"),
    (compute.HostViewSet, HOSTS, ["compute/hosts"], "hosts"),
    (compute.HostViewSet, {"/<id>/presence": {"get": "seen"}}, ["compute/hosts"], ""),
    (compute.InstanceViewSet, RESOURCES | {"/<id>/invalidate": {"put": "invalidate"}}, ["compute/instances"],
     "instances"),
    (os.OperatingSystemViewSet, RESOURCES, ["compute/os", "compute/operating_systems"], "operating_systems"),
    (location.RegionViewSet, RESOURCES, ["regions"], "regions"),
    (location.SiteViewSet, RESOURCES, ["regions/<regionId>/sites", "sites"], "sites"),
    (location.LocationViewSet, {"": {"get": "list"}}, ["locations"], "locations"),
    (provider.ProviderViewSet, UNCHANGING, ["providers"], "providers"),
    (policy.OsUpdatePolicyViewSet, UNCHANGING, ["os-update-policies", "os_update_policy"], "os_update_policy"),
    (policy.OsUpdateRunViewSet, TOLD, ["os-update-runs", "os_update_run"], "os_update_run"),
    (schedule.SingleScheduleViewSet, RESOURCES, ["schedules/single", "compute/schedules/single"], "schedules/single"),
    (schedule.RepeatedScheduleViewSet, RESOURCES, ["schedules/repeated", "compute/schedules/repeated"],
     "schedules/repeated"),
    (schedule.ScheduleViewSet, {"": {"get": "list"}}, ["compute/schedules", "schedules"], "schedules"),
    (workload.WorkloadViewSet, RESOURCES, ["compute/workloads", "workloads"], "workloads"),
    (workload.WorkloadMemberViewSet, UNCHANGING, ["workload_members"], "workload_members"),
    (telemetry.LogsGroupViewSet, UNCHANGING, ["telemetry/loggroups", "telemetry/groups/logs"], "telemetry/groups/logs"),
    (telemetry.MetricsGroupViewSet, UNCHANGING, ["telemetry/metricgroups", "telemetry/groups/metrics"],
     "telemetry/groups/metrics"),
    (telemetry.LogsProfileViewSet, RESOURCES, ["telemetry/profiles/logs"], "telemetry/profiles/logs"),
    (telemetry.MetricsProfileViewSet, RESOURCES, ["telemetry/profiles/metrics"], "telemetry/profiles/metrics"),
    (access.LocalAccountViewSet, UNCHANGING, ["localAccounts"], "localAccounts"),
    (access.CustomConfigViewSet, UNCHANGING, ["customConfigs"], "customConfigs"),
    (bulk.BulkImportViewSet, IMPORTS, ["bulk-imports"], ""),
]  # fmt: skip

# Further names, which old clients use and the document never had. The group in them was never looked at.
UNTOLD: list[tuple[type, dict, str]] = [
    (telemetry.LogsProfileViewSet, RESOURCES, "telemetry/loggroups/[^/]+/logprofiles"),
    (telemetry.MetricsProfileViewSet, RESOURCES, "telemetry/metricgroups/[^/]+/metricprofiles"),
]


def _patterns(
    endpoint: type[ResourceViewSet], there: dict, path: str, ending: str, **options: None
) -> Iterator[URLPattern]:
    """`ending` tells the operations of one path from those of its other names."""
    for below, methods in there.items():
        route = f"{path}{below}".replace("<id>", "(?P<resource_id>[^/]+)").replace("<regionId>", "(?P<regionId>[^/]+)")
        yield re_path(rf"^{route}/?$", endpoint.as_view(methods, ending=ending, detail="<id>" in below, **options))


in_projects = [
    pattern
    for endpoint, there, paths, _ in MOUNTS
    for path, ending in zip(paths, ["", "3", "4"], strict=False)
    for pattern in _patterns(endpoint, there, path, ending)
] + [pattern for endpoint, there, path in UNTOLD for pattern in _patterns(endpoint, there, path, "", schema=None)]
old = [
    pattern for endpoint, there, _, path in MOUNTS if path for pattern in _patterns(endpoint, there, path, "2")
]

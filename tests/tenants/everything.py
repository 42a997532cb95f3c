"""One of every resource of the inventory, for tests that want to see what others see of it."""

import time
from uuid import uuid4

from django.apps import apps
from django.db import connection

from inventory.models import (
    CustomConfig,
    Endpoint,
    Host,
    HostState,
    Instance,
    InstanceState,
    LocalAccount,
    Netlink,
    NetworkSegment,
    OperatingSystem,
    OsUpdatePolicy,
    OsUpdateRun,
    Ou,
    Provider,
    Region,
    RemoteAccess,
    RepeatedSchedule,
    Resource,
    SingleSchedule,
    Site,
    TelemetryGroup,
    TelemetryProfile,
    Workload,
    WorkloadMember,
)
from provisioning.models import Workflow, WorkflowState
from tenants.models import BulkImport, BulkImportState

SECRET = "secret-of-beta"


def one_of_everything() -> dict:
    """Made in the current schema; wherever a text may stand, it has SECRET in it."""
    made: dict = {}

    def make(resource: Resource, **wishes: str) -> Resource:
        resource.ask(**wishes)
        return made.setdefault(type(resource), resource)

    region = make(Region(name=SECRET, metadata=[{"key": "city", "value": SECRET}]))
    site = make(Site(name=SECRET, region=region))
    provider = make(
        Provider(name=SECRET, provider_kind="PROVIDER_KIND_BAREMETAL", api_endpoint=f"https://{SECRET}.example")
    )
    system = make(
        OperatingSystem(
            name=SECRET, profile_name=SECRET, sha256="a" * 64, os_type="OS_TYPE_MUTABLE",
            os_provider="OS_PROVIDER_KIND_INFRA",
        )
    )  # fmt: skip
    host = make(
        Host(name=SECRET, serial_number="SECRET00001", site=site, provider=provider), state=HostState.ONBOARDED
    )
    instance = make(Instance(name=SECRET, host=host, os=system), state=InstanceState.RUNNING)
    make(Ou(name=SECRET))
    policy = make(OsUpdatePolicy(name=SECRET, update_policy="UPDATE_POLICY_LATEST"))
    make(OsUpdateRun(name=SECRET, instance=instance, applied_policy=policy, start_time=1))
    workload = make(Workload(name=SECRET, kind="WORKLOAD_KIND_CLUSTER"))
    make(WorkloadMember(kind="WORKLOAD_MEMBER_KIND_CLUSTER_NODE", workload=workload, instance=instance))
    make(LocalAccount(username=SECRET, ssh_key="ssh-ed25519 AAAA"))
    make(CustomConfig(name=SECRET, config=f"#cloud-config\nhostname: {SECRET}\n"))
    in_an_hour = int(time.time()) + 3600
    make(RemoteAccess(instance=instance, expiration_timestamp=in_an_hour), state="REMOTE_ACCESS_STATE_ENABLED")
    make(SingleSchedule(name=SECRET, target_host=host, start_seconds=in_an_hour))
    always = dict.fromkeys(["cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week"], "*")
    make(RepeatedSchedule(name=SECRET, target_site=site, duration_seconds=60, **always))
    made |= {TelemetryGroup: {}, TelemetryProfile: {}}
    for kind, told in (("METRICS", {"metrics_interval": 60}), ("LOGS", {"log_level": "SEVERITY_LEVEL_INFO"})):
        group = TelemetryGroup(
            name=SECRET, kind=f"TELEMETRY_RESOURCE_KIND_{kind}", groups=[SECRET],
            collector_kind="TELEMETRY_COLLECTOR_KIND_HOST",
        )  # fmt: skip
        group.ask()
        profile = TelemetryProfile(kind=group.kind, group=group, instance=instance, **told)
        profile.ask()
        made[TelemetryGroup][kind], made[TelemetryProfile][kind] = group, profile
    make(NetworkSegment(name=SECRET, site=site))
    make(Netlink(name=SECRET, src=make(Endpoint(name=SECRET, host=host))), state="NETLINK_STATE_ONLINE")
    missing = {model for model in apps.get_app_config("inventory").get_models() if issubclass(model, Resource)}
    assert missing == made.keys(), f"make one of {missing - made.keys()} too"
    return made


# How the path of a collection ends -> the model that an id behind it is of, and which one of it.
COLLECTIONS: dict[str, type[Resource] | tuple[type[Resource], str]] = {
    "regions": Region, "sites": Site, "providers": Provider, "os": OperatingSystem,
    "operating_systems": OperatingSystem, "hosts": Host, "instances": Instance, "os-update-policies": OsUpdatePolicy,
    "os_update_policy": OsUpdatePolicy, "os-update-runs": OsUpdateRun, "os_update_run": OsUpdateRun,
    "schedules/single": SingleSchedule, "schedules/repeated": RepeatedSchedule, "workloads": Workload,
    "workload_members": WorkloadMember, "localAccounts": LocalAccount, "customConfigs": CustomConfig,
    "loggroups": (TelemetryGroup, "LOGS"), "groups/logs": (TelemetryGroup, "LOGS"),
    "metricgroups": (TelemetryGroup, "METRICS"), "groups/metrics": (TelemetryGroup, "METRICS"),
    "profiles/logs": (TelemetryProfile, "LOGS"), "logprofiles": (TelemetryProfile, "LOGS"),
    "profiles/metrics": (TelemetryProfile, "METRICS"), "metricprofiles": (TelemetryProfile, "METRICS"),
}  # fmt: skip


def ids_by_collection() -> dict[str, str]:
    """One of everything, made in the current schema: {"regions": "region-1a2b3c4d"} and so on."""
    made = one_of_everything()
    which = {path: kind if isinstance(kind, tuple) else (kind, None) for path, kind in COLLECTIONS.items()}
    ids = {path: (made[model][one] if one else made[model]).resource_id for path, (model, one) in which.items()}
    bulk = BulkImport(name=SECRET)
    bulk.ask(state=BulkImportState.DONE)
    workflow_id = a_failed_run(made[Instance]).workflow_id
    return {**ids, "bulk-imports": bulk.resource_id, "workflows": workflow_id}


def a_failed_run(instance: Instance) -> Workflow:
    """One of the current schema, in one of the tables that all tenants share."""
    return Workflow.objects.create(
        schema=connection.schema_name, workflow_id="workflow-0123456789abcdef", instance_id=str(instance),
        host_id=str(instance.host), host_uuid=uuid4(), state=WorkflowState.FAILED, reason=SECRET,
        actions=[{"name": SECRET, "image": SECRET, "timeout": 1, "state": WorkflowState.FAILED, "message": SECRET}],
    )  # fmt: skip

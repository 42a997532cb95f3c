"""Series for each single host, as the archived exporter had them, of the tenants that ask for them.

Ours tell a text that isn't in its lists, too, instead of zeros alone.
"""

import time
from collections.abc import Iterator

from django.db import connection
from django.db.models import F, Q
from django_tenants.utils import schema_context
from prometheus_client.core import GaugeMetricFamily

from inventory.models import Host, Region, RepeatedSchedule, SingleSchedule, Site
from provisioning.models import Workflow, WorkflowState
from tenants.models import Project

LABELS = ["hostID", "deviceGuid", "name", "hostname", "serial", "projectId"]

# Metric -> its help, the label, the column, and the texts that always have a series.
STATUSES = {
    "edge_host_status": (
        "1 for what the host's status says", "status", "host_status",
        ["", "Unknown", "No Connection", "Running", "Error", "Invalidating", "Invalidated", "Deleting"],
    ),
    "edge_host_onboarding_status": (
        "1 for what the host's onboarding status says", "onboardingStatus", "onboarding_status",
        ["Onboarded", "Onboarding Failed", "Device initialized", "Device initialization failed"],
    ),
    "edge_host_provisioning_status": (
        "1 for what the provisioning status of the host's instance says", "provisioningStatus",
        "instance__provisioning_status",
        ["Unknown", "Provisioning In Progress", "Provisioning Failed", "Provisioned"],
    ),
    "edge_host_update_status": (
        "1 for what the update status of the host's instance says", "updateStatus", "instance__update_status",
        ["Unknown", "Updating", "Update completed", "Update failed", "No new updates available"],
    ),
}  # fmt: skip


def families() -> Iterator[GaugeMetricFamily]:
    """Call from public."""
    told = {
        metric: GaugeMetricFamily(metric, text, labels=[*LABELS, label])
        for metric, (text, label, _, _) in STATUSES.items()
    }
    schedule = GaugeMetricFamily("edge_host_schedule", "1 while a schedule is in force for the host", labels=LABELS)
    took = GaugeMetricFamily(
        "edge_host_total_provisioning_time", "Seconds that the installation of the host took", labels=LABELS
    )
    for project in Project.objects.ready().filter(host_metrics=True).order_by("pk"):
        with schema_context(project.schema_name):
            scheduled, seconds = in_schedules(int(time.time())), provisioning_seconds()
            for host in _hosts().iterator(chunk_size=2000):
                labels = [
                    host["resource_id"], str(host["uuid"] or ""), host["name"], host["hostname"],
                    host["serial_number"], str(project.uuid),
                ]  # fmt: skip
                for metric, (_, _, column, texts) in STATUSES.items():
                    says = (host[column] or "").partition(":")[0]
                    for text in texts if says in texts else [*texts, says]:
                        told[metric].add_metric([*labels, text], float(text == says))
                schedule.add_metric(labels, float(host["resource_id"] in scheduled))
                if host["instance__instance_status"] == "Running" and seconds.get(host["resource_id"]):
                    took.add_metric(labels, seconds[host["resource_id"]])
    yield from (*told.values(), schedule, took)


def _hosts():
    columns = [column for _, _, column, _ in STATUSES.values()]
    identity = ["resource_id", "uuid", "name", "hostname", "serial_number", "instance__instance_status"]
    return Host.objects.order_by("pk").values(*identity, *columns)


def in_schedules(at: int) -> set[str]:
    """Ids of the hosts for which a schedule of either kind lasts at this second: theirs, their site's, a region's."""
    singles = SingleSchedule.objects.filter(SingleSchedule.in_force(at))
    lasting = [*singles, *(one for one in RepeatedSchedule.objects.all() if one.lasts_at(at))]
    if not lasting:
        return set()
    regions = {one.target_region_id for one in lasting if one.target_region_id}
    parents = dict(Region.objects.values_list("resource_id", "parent_region_id")) if regions else {}
    below = {region for region in parents if regions & {*_upwards(region, parents)}}
    sites = Q(resource_id__in=[one.target_site_id for one in lasting if one.target_site_id]) | Q(region_id__in=below)
    of_sites = Host.objects.filter(site_id__in=Site.objects.filter(sites).values("resource_id"))
    own = {one.target_host_id for one in lasting if one.target_host_id}
    return own | {*of_sites.values_list("resource_id", flat=True)}


def _upwards(region: str | None, parents: dict[str, str | None]) -> Iterator[str]:
    while region:
        yield region
        region = parents.get(region)


def provisioning_seconds() -> dict[str, float]:
    """Of each host's last installation that came to its end."""
    done = Workflow.objects.filter(
        schema=connection.schema_name, state=WorkflowState.SUCCESS, finished_at__isnull=False
    ).annotate(took=F("finished_at") - F("created_at"))
    rows = done.order_by("pk").values_list("host_id", "took")
    return {host: round(took.total_seconds(), 1) for host, took in rows}

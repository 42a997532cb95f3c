"""What is under way, and what waits: outstanding work, installations, builds, presence, the broker's queues."""

from collections.abc import Iterator

from celery import current_app
from django.db import connection
from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily

from inventory import presence
from provisioning.models import ACTIVE, Artifact, Workflow
from tenants.models import Project, Ring
from workers.models import Queue, Work

AGES = [0, 10, 60, 600, 3600, 86400]  # seconds


def families() -> Iterator[GaugeMetricFamily]:
    """Call from public."""
    yield from _outstanding()
    refused = GaugeMetricFamily(
        "eim_refused_work", "Resources whose wish can't be fulfilled as it is", labels=["reconciler"]
    )
    for reconciler, count in Work.objects.exclude(refused="").values_list("reconciler").annotate(Count("pk")):
        refused.add_metric([reconciler], count)
    yield refused
    yield GaugeMetricFamily("eim_rings", "Changes that no reconciler has heard of yet", value=Ring.objects.count())
    runs = GaugeMetricFamily("eim_workflows", "Installations that are under way", labels=["project", "state"])
    names = dict(Project.objects.values_list("schema_name", "name"))
    active = Workflow.objects.filter(state__in=ACTIVE).order_by().values_list("schema", "state")
    for schema, state, count in active.annotate(Count("pk")):
        runs.add_metric([names.get(schema, schema), state], count)
    yield runs
    builds = GaugeMetricFamily("eim_artifacts", "1 for what the artifact's build says", labels=["artifact", "status"])
    for name, status in Artifact.objects.values_list("name", "build_status"):
        builds.add_metric([name, status.partition(":")[0]], 1)
    yield builds
    yield GaugeMetricFamily(
        "eim_hosts_heard", "Hosts whose agents were heard in time, over all tenants", value=presence.heard()
    )
    waiting = GaugeMetricFamily("eim_broker_messages", "Messages that wait in the broker", labels=["queue"])
    with current_app.connection_for_read() as broker:
        for queue in [*Queue.values, "wake"]:
            waiting.add_metric([queue], broker.default_channel.client.llen(queue))
    yield waiting


def _outstanding() -> Iterator[GaugeMetricFamily]:
    """By queue and age: since when it is outstanding; and for how long the oldest has been due and not begun."""
    count = GaugeMetricFamily(
        "eim_outstanding_work", "Resources that aren't as asked, for longer than so many seconds",
        labels=["queue", "older_than"],
    )  # fmt: skip
    late = GaugeMetricFamily(
        "eim_outstanding_work_late_seconds", "How long the oldest work that is due has been so", labels=["queue"]
    )
    ages = ", ".join(f"count(*) FILTER (WHERE now() - made_at >= interval '{age} s')" for age in AGES)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT queue, extract(epoch FROM now() - min(due_at) FILTER"
            f" (WHERE leased_until IS NULL OR leased_until < now())), {ages}"
            " FROM workers_work WHERE refused = '' GROUP BY queue"
        )
        rows = {queue: (due, counts) for queue, due, *counts in cursor.fetchall()}
    for queue in Queue.values:
        due, counts = rows.get(queue, (0, [0] * len(AGES)))
        late.add_metric([queue], max(0.0, float(due or 0)))
        for age, number in zip(AGES, counts, strict=True):
            count.add_metric([queue, str(age)], number)
    yield from (count, late)

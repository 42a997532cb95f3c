"""The fleet's state as metrics, computed by SQL when Prometheus asks: exact after any restart, one query a tenant."""

from collections.abc import Iterator

from django.db.models import Count
from django_tenants.utils import schema_context
from prometheus_client.core import GaugeMetricFamily

from inventory.models import Host, Instance
from tenants.models import Project
from workers.models import Work


class Fleet:
    """A collector in prometheus_client's sense."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        hosts = GaugeMetricFamily("edge_hosts", "Hosts by what their status says", labels=["project", "status"])
        instances = GaugeMetricFamily("edge_instances", "Instances by what is current", labels=["project", "state"])
        for project in Project.objects.ready():
            with schema_context(project.schema_name):
                for status, count in Host.objects.order_by().values_list("host_status").annotate(Count("pk")):
                    hosts.add_metric([project.name, status], count)
                for state, count in Instance.objects.order_by().values_list("current_state").annotate(Count("pk")):
                    instances.add_metric([project.name, state], count)
        yield hosts
        yield instances
        work = GaugeMetricFamily("eim_outstanding_work", "Resources that reconcilers must look at", labels=["queue"])
        for queue, count in Work.objects.filter(refused="").values_list("queue").annotate(Count("pk")):
            work.add_metric([queue], count)
        yield work

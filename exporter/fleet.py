"""How many hosts and instances there are of each kind, tenant by tenant: a statement for every fifty tenants."""

from collections.abc import Iterator

from django.db import connection
from prometheus_client.core import GaugeMetricFamily

from tenants.models import Project

AT_ONCE = 50  # tenants in one statement: planning more of them together gets no cheaper

# What is counted: metric -> its help, the label, the table, the column. A status counts without its detail.
COUNTED = {
    "edge_hosts": ("Hosts by what their status says", "status", "host", "split_part(host_status, ':', 1)"),
    "edge_hosts_by_state": ("Hosts by what is current", "state", "host", "current_state"),
    "edge_hosts_onboarding": ("Hosts by onboarding status", "status", "host", "split_part(onboarding_status, ':', 1)"),
    "edge_instances": ("Instances by what is current", "state", "instance", "current_state"),
    "edge_instances_provisioning": (
        "Instances by provisioning status", "status", "instance", "split_part(provisioning_status, ':', 1)",
    ),
    "edge_instances_update": ("Instances by update status", "status", "instance", "split_part(update_status, ':', 1)"),
}  # fmt: skip


def families() -> Iterator[GaugeMetricFamily]:
    """Call from public. Tenants are told by their names, which are unique."""
    found = {
        name: GaugeMetricFamily(name, text, labels=["project", label]) for name, (text, label, _, _) in COUNTED.items()
    }
    projects = dict(Project.objects.ready().order_by("pk").values_list("schema_name", "name"))
    schemas = [*projects]
    for start in range(0, len(schemas), AT_ONCE):
        for schema, metric, said, count in _counted(schemas[start : start + AT_ONCE]):
            found[metric].add_metric([projects[schema], said], count)
    yield from found.values()


def _counted(schemas: list[str]) -> list[tuple[str, str, str, int]]:
    """(schema, metric, what its label says, how many). Each table is read once."""
    parts = []
    for table in dict.fromkeys(table for _, _, table, _ in COUNTED.values()):
        columns = {metric: column for metric, (_, _, of, column) in COUNTED.items() if of == table}
        sets = ", ".join(f"({column})" for column in columns.values())
        which = " ".join(f"WHEN GROUPING({column}) = 0 THEN '{metric}'" for metric, column in columns.items())
        said = " ".join(f"WHEN GROUPING({column}) = 0 THEN {column}" for column in columns.values())
        parts += [
            f"SELECT '{schema}', CASE {which} END, CASE {said} END, count(*)"
            f" FROM {connection.ops.quote_name(schema)}.inventory_{table} GROUP BY GROUPING SETS ({sets})"
            for schema in schemas
        ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return cursor.fetchall()

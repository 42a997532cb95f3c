"""How many hosts there are, and how they are: the dashboard's tiles."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.declare import Bench, Side
from inventory.stages import STATUSES_OF_HOSTS, STATUSES_OF_INSTANCES

_BAD = " OR ".join(f"host.{name}_status_indicator = 'STATUS_INDICATION_ERROR'" for name in STATUSES_OF_HOSTS)
_BAD_INSTANCE = " OR ".join(
    f"instance.{name}_status_indicator = 'STATUS_INDICATION_ERROR'" for name in STATUSES_OF_INSTANCES
)
SUMMARY = f"""
SELECT json_build_object('total', count(*), 'error', count(*) FILTER (WHERE {_BAD} OR {_BAD_INSTANCE}),
    'running', count(*) FILTER (WHERE instance.current_state = 'INSTANCE_STATE_RUNNING'
                                AND NOT ({_BAD}) AND NOT ({_BAD_INSTANCE})),
    'unallocated', count(*) FILTER (WHERE host.site_id IS NULL))::text
FROM {{schema}}.inventory_host host LEFT JOIN {{schema}}.inventory_instance instance
    ON instance.host_id = host.resource_id
"""


@rest.behind_the_door
def summary_by_sql(request, database) -> str:
    return database.execute(SUMMARY.format(schema=connection.schema_name)).fetchone()[0]


OURS, _FLOOR = "compute/hosts/summary", "floor/summary"

bench = Bench(
    name="summary",
    ours=Side(f"GET {OURS}", partial(rest.get, path=OURS)),
    floor=Side("the same numbers by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=OURS, floor=_FLOOR),
    urls=[path(_FLOOR, summary_by_sql)],
)

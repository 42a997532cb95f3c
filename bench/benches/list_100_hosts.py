"""A page of 100 of a project's 10,000 hosts, with site, region, instance, operating system and hardware."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.as_sql import Statement
from bench.declare import Bench, Side
from inventory.api.compute import HostSerializer

HOSTS = Statement(HostSerializer, "host").sql


def page(where: str = "true") -> str:
    """The statement of a page of 100 of the hosts of which this is true; {schema} is to be filled in."""
    return f"""
SELECT json_build_object(
    'hosts', (SELECT json_agg(row_to_json(page)) FROM
              ({HOSTS} WHERE {where} ORDER BY host.resource_id LIMIT 100) page),
    'totalElements', total, 'hasNext', total > 100)::text
FROM (SELECT count(*) AS total FROM {{schema}}.inventory_host host WHERE {where}) counted
"""


@rest.behind_the_door
def page_by_sql(request, database) -> str:
    return database.execute(page().format(schema=connection.schema_name)).fetchone()[0]


_OURS, _FLOOR = "compute/hosts?pageSize=100", "floor/hosts"

bench = Bench(
    name="list-100-hosts",
    ours=Side(f"GET {_OURS} of 10,000 hosts", partial(rest.get, path=_OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=_OURS, floor=_FLOOR),
    urls=[path(_FLOOR, page_by_sql)],
)

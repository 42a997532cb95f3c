"""Hosts found by a part of their name, a few of all."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.benches.list_100_hosts import page
from bench.declare import Bench, Side

FOUND = "host.name ILIKE '%edge-77%'"


@rest.behind_the_door
def page_by_sql(request, database) -> str:
    return database.execute(page(FOUND).format(schema=connection.schema_name)).fetchone()[0]


OURS, _FLOOR = "compute/hosts?pageSize=100&filter=name=edge-77", "floor/hosts-by-name"

bench = Bench(
    name="search-by-name",
    ours=Side(f"GET {OURS}", partial(rest.get, path=OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=OURS, floor=_FLOOR),
    urls=[path(_FLOOR, page_by_sql)],
)

"""Hosts found as the web UI's search box asks: by a part of any of seven texts, two of them of other resources."""

from functools import partial
from urllib.parse import quote

from django.db import connection
from django.urls import path

from bench import rest
from bench.benches.list_100_hosts import page
from bench.declare import Bench, Side

LOOKED_INTO = ("name", "uuid", "serialNumber", "resourceId", "note", "site.name", "instance.os.name")
ASKED = " OR ".join(f'{name}="edge-77"' for name in LOOKED_INTO)
# The floor knows what is found: that no site and no system is called so.
FOUND = "host.name ILIKE '%edge-77%'"


@rest.behind_the_door
def page_by_sql(request, database) -> str:
    return database.execute(page(FOUND).format(schema=connection.schema_name)).fetchone()[0]


OURS, _FLOOR = f"compute/hosts?pageSize=100&filter={quote(f'({ASKED})')}", "floor/hosts-of-the-search-box"

bench = Bench(
    name="search-of-the-ui",
    ours=Side("GET compute/hosts?pageSize=100&filter=(name=... OR six more)", partial(rest.get, path=OURS)),
    floor=Side("those found by name, by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=OURS, floor=_FLOOR),
    urls=[path(_FLOOR, page_by_sql)],
)

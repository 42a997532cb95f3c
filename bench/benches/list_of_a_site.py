"""A page of 100 hosts of one site, one of ten, as the web UI's drawer asks for it."""

from functools import partial
from urllib.parse import quote

from django.db import connection
from django.urls import path

from bench import rest
from bench.benches.list_100_hosts import page
from bench.declare import Bench, Side

SITE = "Store 3"
OF_SITE = f"host.site_id = (SELECT resource_id FROM {{schema}}.inventory_site WHERE name = '{SITE}')"


@rest.behind_the_door
def page_by_sql(request, database) -> str:
    return database.execute(page(OF_SITE).format(schema=connection.schema_name)).fetchone()[0]


OURS, _FLOOR = f"compute/hosts?pageSize=100&filter={quote(f'site.name={SITE!r}')}", "floor/hosts-of-a-site"

bench = Bench(
    name="list-of-a-site",
    ours=Side("GET compute/hosts?pageSize=100&filter=site.name='Store 3'", partial(rest.get, path=OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=OURS, floor=_FLOOR),
    urls=[path(_FLOOR, page_by_sql)],
)

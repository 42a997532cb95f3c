"""One host, with all that is nested in it."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.benches.list_100_hosts import HOSTS
from bench.declare import Bench, Side

ONE = f"SELECT row_to_json(one)::text FROM ({HOSTS} WHERE host.resource_id = %s) one"


@rest.behind_the_door
def one_by_sql(request, database, resource_id: str) -> str:
    return database.execute(ONE.format(schema=connection.schema_name), [resource_id]).fetchone()[0]


_OURS, _FLOOR = "compute/hosts/host-00000063", "floor/hosts/host-00000063"

bench = Bench(
    name="get-host",
    ours=Side("GET compute/hosts/<id>", partial(rest.get, path=_OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=_OURS, floor=_FLOOR),
    urls=[path("floor/hosts/<str:resource_id>", one_by_sql)],
)

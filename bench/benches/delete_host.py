"""DELETE of a host that never connected: it is gone, with its claim, when the answer comes."""

import json
from collections.abc import Iterator
from functools import partial
from itertools import count

from django.db import connection
from django.urls import path

from bench import rest, rows
from bench.declare import Bench, Figures, Side, Unfair
from bench.load import HttpCaller
from bench.rig import Rig
from inventory.models import Host
from tenants.models import Claim, Event, Ring
from tenants.schema import in_schema

PREPARED = 3000  # hosts, for one measurement: more than a client deletes in that time
_firsts = count(50_000_000, PREPARED + 1)  # numbers of hosts that aren't there yet
DELETE = """
WITH host AS (DELETE FROM {schema}.inventory_host WHERE resource_id = %(id)s RETURNING id),
    claim AS (DELETE FROM tenants_claim WHERE schema = '{schema}' AND resource_id = %(id)s),
    event AS (INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
              VALUES ('{schema}', 'host', %(id)s, 'deleted', %(who)s, now()))
INSERT INTO tenants_ring (schema, label, pk_rung, asked)
SELECT '{schema}', 'inventory.Host', id, false FROM host
"""


@rest.behind_the_door
def delete_by_sql(request, database, resource_id: str) -> str:
    said = {"id": resource_id, "who": request.user.name}
    database.execute(DELETE.format(schema=connection.schema_name), said)
    return "{}"


def _prepared(rig: Rig) -> Iterator[str]:
    with in_schema(rig.project):
        return iter(rows.add_registered(next(_firsts), PREPARED))


def delete(rig: Rig, path: str) -> Figures:
    hosts = _prepared(rig)
    return rest.under_load(rig, lambda caller: caller.call("DELETE", f"{rig.api}/{path}/{next(hosts)}"))


def leave_the_same(rig: Rig) -> None:
    """Raises Unfair unless both leave nothing of the host but the same lines and rings."""
    caller, hosts, left = HttpCaller(rig.http_port, rig.token), _prepared(rig), []
    for where in (OURS, FLOOR):
        resource_id = next(hosts)
        with in_schema(rig.project):
            pk = Host.objects.get(resource_id=resource_id).pk
            answer = json.loads(caller.call("DELETE", f"{rig.api}/{where}/{resource_id}"))
            left.append([
                answer, Host.objects.filter(pk=pk).exists(), Claim.objects.filter(resource_id=resource_id).exists(),
                sorted(Event.objects.filter(resource_id=resource_id).values_list("schema", "kind", "verb", "who")),
                sorted(Ring.objects.filter(pk_rung=pk).values_list("schema", "label", "asked")),
            ])  # fmt: skip
    if left[0] != left[1]:
        raise Unfair(f"ours leaves {left[0]}, the floor {left[1]}")


OURS, FLOOR = "compute/hosts", "floor/deleted"

bench = Bench(
    name="delete-host",
    ours=Side(f"DELETE {OURS}/<id>", partial(delete, path=OURS)),
    floor=Side("the same rows by one SQL statement, from a bare view, and no bell", partial(delete, path=FLOOR)),
    figures=rest.FIGURES,
    check=leave_the_same,
    urls=[path(f"{FLOOR}/<str:resource_id>", delete_by_sql)],
)

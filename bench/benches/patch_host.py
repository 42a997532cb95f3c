"""PATCH of a host's name: the row, a line of the journal, and a ring for the loop."""

import json
from functools import partial
from itertools import count

from django.db import connection
from django.urls import path

from bench import rest
from bench.benches.get_host import ONE
from bench.declare import Bench, Figures, Side, Unfair
from bench.load import HttpCaller
from bench.rig import Rig
from inventory.models import Host
from tenants.models import Event
from tenants.schema import in_schema

CHANGED = 1000  # hosts, in turn
_names = count()
UPDATE = """
WITH host AS (UPDATE {schema}.inventory_host SET name = %(name)s, updated_at = now()
              WHERE resource_id = %(id)s RETURNING id),
    event AS (INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
              VALUES ('{schema}', 'host', %(id)s, 'changed', %(who)s, now()))
INSERT INTO tenants_ring (schema, label, pk_rung, asked) SELECT '{schema}', 'inventory.Host', id, false FROM host
"""


@rest.behind_the_door
def patch_by_sql(request, database, resource_id: str) -> str:
    said = {"id": resource_id, "name": json.loads(request.body)["name"], "who": request.user.name}
    database.execute(UPDATE.format(schema=connection.schema_name), said)
    return database.execute(ONE.format(schema=connection.schema_name), [resource_id]).fetchone()[0]


def _patch(caller: HttpCaller, api: str, path: str, name: str | None = None, number: int | None = None) -> bytes:
    number = next(_names) if number is None else number
    body = json.dumps({"name": name or f"n{number}"}).encode()
    return caller.call("PATCH", f"{api}/{path}/host-{number % CHANGED + 1:08x}", body)


def patch(rig: Rig, path: str) -> Figures:
    return rest.under_load(rig, lambda caller: _patch(caller, rig.api, path))


def leave_the_same(rig: Rig) -> None:
    """Raises Unfair unless both answer the same, but for what answers to writes never had, and write the same."""
    caller = HttpCaller(rig.http_port, rig.token)
    answers, left = [], []
    for where in (OURS, FLOOR):
        answers.append(json.loads(_patch(caller, rig.api, where, "renamed", 7)))
        with in_schema(rig.project):
            host = Host.objects.get(resource_id=answers[-1]["resourceId"])
            last = Event.objects.filter(resource_id=host.resource_id).order_by("-pk")[:1]
            left.append([host.name, *last.values_list("schema", "kind", "verb", "who")])
    if left[0] != left[1]:
        raise Unfair(f"ours leaves {left[0]}, the floor {left[1]}")
    rest.must_be_equal(*answers, apart_from={"timestamps", "ipaddresses"})


OURS, FLOOR = "compute/hosts", "floor/patched"

bench = Bench(
    name="patch-host",
    ours=Side(f"PATCH {OURS}/<id> of a name", partial(patch, path=OURS)),
    floor=Side("the same rows by one SQL statement, from a bare view, and no bell", partial(patch, path=FLOOR)),
    figures=rest.FIGURES,
    check=leave_the_same,
    urls=[path(f"{FLOOR}/<str:resource_id>", patch_by_sql)],
)

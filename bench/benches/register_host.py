"""POST hosts/register: the host, its claim, a line of the journal and a ring for the loop, in one transaction."""

import json
from functools import cache, partial
from secrets import token_hex
from uuid import uuid4

from django.db import connection
from django.urls import path
from django_tenants.utils import schema_context

from bench import rest
from bench.benches.get_host import ONE
from bench.declare import Bench, Figures, Side, Unfair
from bench.load import HttpCaller
from bench.rig import Rig
from inventory.models import AmtState, Host, HostState, PowerState
from tenants.models import Claim, Event, Ring

GIVEN = {
    "resource_id": "%(id)s", "uuid": "%(uuid)s", "serial_number": "%(serial)s", "name": "%(name)s",
    "desired_state": f"'{HostState.REGISTERED}'", "desired_power_state": f"'{PowerState.ON}'",
    "desired_amt_state": f"'{AmtState.UNPROVISIONED}'", "created_at": "now()", "updated_at": "now()",
}  # fmt: skip
INSERT = """
WITH host AS (INSERT INTO {schema}.inventory_host ({columns}) VALUES ({values}) RETURNING id),
    claim AS (INSERT INTO tenants_claim (schema, resource_id, uuid, serial)
              VALUES ('{schema}', %(id)s, %(uuid)s, %(serial)s)),
    event AS (INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
              VALUES ('{schema}', 'host', %(id)s, 'created', %(who)s, now()))
INSERT INTO tenants_ring (schema, label, pk_rung, asked) SELECT '{schema}', 'inventory.Host', id, false FROM host
"""


@rest.behind_the_door
def register_by_sql(request, database) -> str:
    said, resource_id = json.loads(request.body), f"host-{token_hex(4)}"
    row = {"id": resource_id, "uuid": said["uuid"], "serial": said["serialNumber"], "name": said["name"]}
    database.execute(_insert(connection.schema_name), row | {"who": request.user.name})
    return database.execute(ONE.format(schema=connection.schema_name), [resource_id]).fetchone()[0]


@cache
def _insert(schema: str) -> str:
    """One statement, so one transaction. What isn't given is written into it as the model has it by default."""
    blank, values = Host(), dict(GIVEN)
    for column in Host._meta.concrete_fields:
        if not column.primary_key and column.column not in values:
            default = column.get_db_prep_save(getattr(blank, column.attname), connection)
            values[column.column] = connection.ops.compose_sql("%s", [default])
    return INSERT.format(schema=schema, columns=", ".join(values), values=", ".join(values.values()))


def register(rig: Rig, path: str) -> Figures:
    return rest.under_load(rig, lambda caller: caller.call("POST", f"{rig.api}/{path}", _a_host()))


def _a_host() -> bytes:
    return json.dumps({"name": "new", "uuid": str(uuid4()), "serialNumber": token_hex(8)}).encode()


def leave_the_same(rig: Rig) -> None:
    """Raises Unfair unless both answer the same, but for what is of that one host, and leave the same rows."""
    caller = HttpCaller(rig.http_port, rig.token)
    ours, floor = (json.loads(caller.call("POST", f"{rig.api}/{path}", _a_host())) for path in (OURS, FLOOR))
    left = [_rows_of(rig, answer["resourceId"]) for answer in (ours, floor)]
    if left[0] != left[1]:
        raise Unfair(f"ours leaves {left[0]}, the floor {left[1]}")
    rest.must_be_equal(ours, floor, apart_from={"resourceId", "uuid", "serialNumber", "timestamps"})


def _rows_of(rig: Rig, resource_id: str) -> list:
    with schema_context(rig.project.schema_name):
        pk = Host.objects.get(resource_id=resource_id).pk
        return [
            Claim.objects.filter(resource_id=resource_id).count(),
            list(Event.objects.filter(resource_id=resource_id).values_list("schema", "kind", "verb", "who")),
            list(Ring.objects.filter(pk_rung=pk).values_list("schema", "label", "asked")),
        ]


OURS, FLOOR = "compute/hosts/register", "floor/register"

bench = Bench(
    name="register-host",
    ours=Side(f"POST {OURS}", partial(register, path=OURS)),
    floor=Side("the same rows by one SQL statement, from a bare view, and no bell", partial(register, path=FLOOR)),
    figures=rest.FIGURES,
    check=leave_the_same,
    urls=[path(FLOOR, register_by_sql)],
)

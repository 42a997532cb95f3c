"""`manage.py bulk_import` of 10,000 new hosts with instance, site and metadata, from the file to the last commit."""

import csv
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from uuid import uuid4

import psycopg
from django.core.management import call_command
from django.db import connection
from django_tenants.utils import schema_context
from psycopg.types.json import Jsonb

from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.rig import PROJECT, Rig
from inventory.bulk.sheet import SHORT
from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem, Resource, Site
from tenants.models import Claim, Event, Ring

ROWS = 10_000
SERIAL = "BULK"  # how the serial numbers of our machines begin
HOST = {
    "resource_id": "host_id", "name": "host_id", "uuid": "incoming.uuid", "serial_number": "serial",
    "site_id": "site.resource_id", "metadata": "incoming.metadata", "desired_state": f"'{HostState.REGISTERED}'",
    "created_at": "now()", "updated_at": "now()",
}  # fmt: skip
INSTANCE = {
    "resource_id": "instance_id", "host_id": "host_id", "os_id": "os.resource_id",
    "desired_state": f"'{InstanceState.RUNNING}'", "created_at": "now()", "updated_at": "now()",
}  # fmt: skip
INCOMING = """
CREATE TEMPORARY TABLE incoming (
    n bigint GENERATED ALWAYS AS IDENTITY (START 3000000000), serial text, uuid uuid, profile text, site text,
    metadata jsonb, host_id text GENERATED ALWAYS AS ('host-' || to_hex(n)) STORED,
    instance_id text GENERATED ALWAYS AS ('inst-' || to_hex(n)) STORED
) ON COMMIT DROP
"""  # numbered ids: of 10,000 random ones two are the same once in 90 times, and then nothing is inserted
INSERT = """
WITH host AS (INSERT INTO inventory_host ({host}) SELECT {host_values}
              FROM incoming JOIN inventory_site site ON site.name = incoming.site RETURNING id, resource_id),
    claim AS (INSERT INTO tenants_claim (schema, resource_id, uuid, serial)
              SELECT '{schema}', host_id, uuid, serial FROM incoming),
    instance AS (INSERT INTO inventory_instance ({instance}) SELECT {instance_values}
                 FROM incoming JOIN inventory_operatingsystem os ON os.profile_name = profile
                 RETURNING id, resource_id),
    made AS (SELECT 'host' kind, 'inventory.Host' label, * FROM host
             UNION ALL SELECT 'instance', 'inventory.Instance', * FROM instance),
    event AS (INSERT INTO tenants_event (schema, kind, resource_id, verb, who, at)
              SELECT '{schema}', kind, resource_id, 'created', 'bulk_import', now() FROM made)
INSERT INTO tenants_ring (schema, label, pk_rung, asked) SELECT '{schema}', label, id, false FROM made
"""


def measure(rig: Rig, run: Callable[[Rig, Path], None]) -> Figures:
    """The machines are new each time, and gone afterwards: other benches count the project's hosts."""
    file = _a_file(rig, ROWS)
    began = time.perf_counter()
    run(rig, file)
    seconds = time.perf_counter() - began
    _forget(rig)
    return {"rows": ROWS / seconds}


def by_us(rig: Rig, file: Path) -> None:
    call_command("bulk_import", str(file), project=PROJECT, stdout=StringIO(), stderr=StringIO())


def by_copy(rig: Rig, file: Path) -> None:
    schema = rig.project.schema_name
    with psycopg.connect(rig.stack.database_url) as database, file.open(newline="") as lines:
        database.execute(f'SET search_path = "{schema}", public')
        database.execute(INCOMING)
        with database.cursor().copy("COPY incoming (serial, uuid, profile, site, metadata) FROM STDIN") as copy:
            for line in csv.DictReader(lines):
                pairs = (pair.split("=") for pair in line["Metadata"].split("&"))
                labels = Jsonb([{"key": key, "value": value} for key, value in pairs])
                copy.write_row([line["Serial"], line["UUID"], line["OSProfile"], line["Site"], labels])
        host, instance = _values(Host, HOST), _values(Instance, INSTANCE)
        columns = {"host": ", ".join(host), "instance": ", ".join(instance)}
        values = {"host_values": ", ".join(host.values()), "instance_values": ", ".join(instance.values())}
        database.execute(INSERT.format(schema=schema, **columns, **values))


def _values(kind: type[Resource], given: dict[str, str]) -> dict[str, str]:
    """SQL for every column: what is given, and else what the model has by default."""
    blank, values = kind(), dict(given)
    for column in kind._meta.concrete_fields:
        if not column.primary_key and column.column not in values:
            default = column.get_db_prep_save(getattr(blank, column.attname), connection)
            values[column.column] = connection.ops.compose_sql("%s", [default])
    return values


def _a_file(rig: Rig, rows: int) -> Path:
    with schema_context(rig.project.schema_name):
        sites = list(Site.objects.values_list("name", flat=True))
        profile = OperatingSystem.objects.values_list("profile_name", flat=True)[0]
    file = rig.data / "hosts.csv"
    with file.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(SHORT)
        for n in range(rows):
            site, labels = sites[n % len(sites)], f"city=c{n % 50}&rack=r{n % 400}"
            table.writerow([f"{SERIAL}{n:06}", uuid4(), profile, site, "false", "", labels, ""])
    return file


def leave_the_same(rig: Rig) -> None:
    """Raises Unfair unless both leave the same rows, but for ids, times and who the machines are."""
    left = []
    for run in (by_us, by_copy):
        run(rig, _a_file(rig, 20))
        left.append(_rows(rig))
        _forget(rig)
    if left[0] != left[1]:
        raise Unfair(f"ours leaves {left[0]}, the floor {left[1]}")


def _rows(rig: Rig) -> list:
    own = {"_state", "id", "resource_id", "created_at", "updated_at", "uuid", "name", "host_id"}
    with schema_context(rig.project.schema_name):
        hosts = Host.objects.filter(serial_number__startswith=SERIAL).order_by("serial_number")
        instances = Instance.objects.filter(host__in=hosts).order_by("host__serial_number")
        ids = [*hosts.values_list("resource_id", flat=True), *instances.values_list("resource_id", flat=True)]
        pks = [*hosts.values_list("pk", flat=True), *instances.values_list("pk", flat=True)]
        return [
            *({name: value for name, value in vars(row).items() if name not in own} for row in (*hosts, *instances)),
            [host.name == host.resource_id for host in hosts],
            Claim.objects.filter(resource_id__in=ids).count(),
            sorted(Event.objects.filter(resource_id__in=ids).values_list("schema", "kind", "verb", "who")),
            sorted(Ring.objects.filter(pk_rung__in=pks).values_list("schema", "label", "asked")),
        ]


def _forget(rig: Rig) -> None:
    schema = rig.project.schema_name
    with schema_context(schema), connection.cursor() as cursor:
        cursor.execute("DELETE FROM inventory_instance WHERE host_id IN (SELECT resource_id FROM inventory_host"
                       " WHERE serial_number LIKE %s)", [f"{SERIAL}%"])  # fmt: skip
        for table, column in (("inventory_host", "serial_number"), ("tenants_claim", "serial")):
            cursor.execute(f"DELETE FROM {table} WHERE {column} LIKE %s", [f"{SERIAL}%"])
        cursor.execute("DELETE FROM tenants_event WHERE schema = %s AND who = 'bulk_import'", [schema])
        cursor.execute("DELETE FROM tenants_ring WHERE schema = %s", [schema])


bench = Bench(
    name="bulk-import",
    ours=Side(f"manage.py bulk_import, {ROWS:,} rows", lambda rig: measure(rig, by_us)),
    floor=Side("the same rows by COPY and one INSERT, unchecked", lambda rig: measure(rig, by_copy)),
    figures={"rows": Unit.PER_SECOND},
    check=leave_the_same,
)

"""Wishes that come at 50 a second, and a heap of them that has piled up, with two worker processes."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median

import psycopg
from django.db import connection
from django_tenants.utils import schema_context

from bench import rows
from bench.benches.wish_to_work import new_workflows
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller, percentile
from bench.rest import bare_connection
from bench.rig import Rig
from inventory.models import Host, OperatingSystem
from tenants.models import Ring
from workers.models import Work

RATE, SECONDS = 50, 10
HEAP = int(os.environ.get("BENCH_HEAP", "2000"))  # 10,000 is what was promised
PATIENCE = 200  # seconds
_spares = count(500_000, RATE * SECONDS + HEAP)


@contextmanager
def around(rig: Rig) -> Iterator[None]:
    with rig.worker(), rig.running("beat"):
        yield


def wishes(rig: Rig) -> Figures:
    with schema_context(rig.project.schema_name):
        hosts = rows.add_spare(next(_spares), RATE * SECONDS + HEAP)
        os_id = OperatingSystem.objects.get(profile_name=rows.PROFILE).resource_id
    rig.tidy()  # or Postgres sweeps up after so many new rows meanwhile
    caller = HttpCaller(rig.http_port, rig.token)
    with new_workflows(rig) as new:
        waits = _paced(rig, caller, hosts[: RATE * SECONDS], os_id, new)
    return {"p50": median(waits) * 1000, "p99": percentile(waits, 99) * 1000, "drained": _drain(rig, hosts[-HEAP:])}


def _paced(rig: Rig, caller: HttpCaller, hosts: list[str], os_id: str, new: psycopg.Connection) -> list[float]:
    answered, worked, began = {}, {}, time.perf_counter()

    def listen(timeout: float) -> None:
        for told in new.notifies(timeout=max(timeout, 0), stop_after=None if timeout > 0 else 1):
            worked[told.payload] = time.perf_counter()

    for number, host in enumerate(hosts):
        listen(began + number / RATE - time.perf_counter())
        body = json.dumps({"hostID": host, "osID": os_id}).encode()
        caller.call("POST", f"{rig.api}/compute/instances", body)
        answered[host] = time.perf_counter()
    end = time.perf_counter() + PATIENCE
    while len(answered.keys() & worked.keys()) < len(hosts):
        if time.perf_counter() > end:
            raise TimeoutError(f"{len(answered.keys() - worked.keys())} wishes aren't acted on after {PATIENCE} s")
        listen(0.2)
    return [max(worked[host] - answered[host], 0) for host in hosts]


def _drain(rig: Rig, hosts: list[str]) -> float:
    """Hosts that are not trusted any more: wished for at once, a second, until none is outstanding."""
    with schema_context(rig.project.schema_name):
        pks = [*Host.objects.filter(resource_id__in=hosts).values_list("pk", flat=True)]
        with connection.cursor() as cursor:
            cursor.execute("UPDATE inventory_host SET desired_state = 'HOST_STATE_UNTRUSTED' WHERE id = ANY(%s)", [pks])
        began = time.perf_counter()
        Ring.objects.bulk_create(
            Ring(schema=rig.project.schema_name, label="inventory.Host", pk_rung=pk, asked=True) for pk in pks
        )
    while Ring.objects.exists() or Work.objects.filter(reconciler="HostTrust").exists():
        if time.perf_counter() - began > PATIENCE:
            raise TimeoutError(f"not drained after {PATIENCE} s")
        time.sleep(0.05)
    return len(pks) / (time.perf_counter() - began)


def bare(rig: Rig) -> Figures:
    """What a wish writes, by one connection: the wish, and then the fact."""
    database, table = bare_connection(), f"{rig.project.schema_name}.inventory_host"
    with schema_context(rig.project.schema_name):
        pks = [*Host.objects.values_list("pk", flat=True)[:RATE]]
    waits = []
    for pk in pks:
        began = time.perf_counter()
        for column in ("desired_state", "current_state"):
            database.execute(f"UPDATE {table} SET {column} = {column} WHERE id = %s", [pk])
        waits.append(time.perf_counter() - began)
    return {"p50": median(waits) * 1000, "p99": percentile(waits, 99) * 1000, "drained": len(waits) / sum(waits)}


bench = Bench(
    name="wishes-many",
    ours=Side(f"{RATE} wishes a second until acted on, and {HEAP} at once until none is outstanding", wishes),
    floor=Side("two bare statements a wish", bare),
    figures={"p50": Unit.MS, "p99": Unit.MS, "drained": Unit.PER_SECOND},
    around=around,
)

"""What Prometheus waits for, and what it costs, when it asks the exporter for 100,000 hosts in 300 tenants."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import requests
from django.conf import settings

from bench import thousand
from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.load import percentile
from bench.rig import Rig
from tenants.models import Project

SCRAPES = 5
HOST_METRICS = 3  # tenants that want series for each of their hosts, of which there are 334


@contextmanager
def around(rig: Rig) -> Iterator[None]:
    filled = thousand.filled()
    Project.objects.filter(pk__in=[project.pk for project in filled[:HOST_METRICS]]).update(host_metrics=True)
    rig.tidy()
    with rig.running("exporter"):
        yield


def scrape(rig: Rig) -> Figures:
    """Each after what was collected for the one before is too old to be told again."""
    waits, used, length = [], [], 0
    for _ in range(SCRAPES):
        time.sleep(settings.EXPORTER_KEEPS + 0.2)
        before, began = rig.cpu(), time.perf_counter()
        text = requests.get(f"{rig.stack.exporter}/metrics", timeout=60).text
        waits.append(time.perf_counter() - began)
        used.append(rig.cpu() - before)
        length = len(text)
    if (hosts := _told(text)) < thousand.FILLED * thousand.HOSTS:
        raise Unfair(f"only {hosts} hosts are told")
    return {"longest": max(waits) * 1000, "CPU": percentile(used, 50) * 1000, "told": length / 2**20}


def _told(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("edge_hosts_by_state{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def counted(rig: Rig) -> Figures:
    """Hosts by state, tenant by tenant, over one connection, and nothing said of it."""
    waits, schemas = [], [project.schema_name for project in thousand.filled()]
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:
        for _ in range(SCRAPES):
            before, began = rig.cpu(), time.perf_counter()
            for name in schemas:
                database.execute(f"SELECT current_state, count(*) FROM {name}.inventory_host GROUP BY 1").fetchall()
            waits.append((time.perf_counter() - began, rig.cpu() - before))
    return {
        "longest": max(wait for wait, _ in waits) * 1000, "CPU": percentile([used for _, used in waits], 50) * 1000,
        "told": 0.0,
    }  # fmt: skip


bench = Bench(
    name="thousand-scrape",
    ours=Side(f"a scrape of all metrics, 100,000 hosts in 300 tenants, {HOST_METRICS} with series by host", scrape),
    floor=Side("one count of hosts by state for each tenant, by SQL", counted),
    figures={"longest": Unit.MS, "CPU": Unit.MS, "told": Unit.MEGABYTES},
    around=around,
)

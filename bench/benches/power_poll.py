"""What it costs to look at the power of 1,000 machines every minute, while one in twenty of them hangs.

Their controllers answer in 200 ms, each at an address of its own on the loopback, 50 others hang for 30 s in each
repetition. How late a look comes, the controllers themselves measure.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

import aiohttp
from django.db import connection
from django_tenants.utils import schema_context

from bench.declare import Bench, Figures, Side, Unit
from bench.rig import NODES, Rig
from eim_project.management.commands.memory import family
from inventory.models import Host, Provider
from workers.models import Watch

HANGING = NODES // 20
PERIOD = 60.0  # seconds
FIRST = IPv4Address("127.1.0.1")
TICKS = os.sysconf("SC_CLK_TCK")
_turn = count()
_port = 0


@contextmanager
def controllers(rig: Rig) -> Iterator[None]:
    """The emulated ones, the process that talks to them, and all of it settled."""
    global _port
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    emulated = subprocess.Popen([sys.executable, "-m", "bench.controllers"], stdout=subprocess.PIPE, text=True)
    os.environ["EIM_BMC_NETWORKS"] = "127.0.0.0/8"
    try:
        assert emulated.stdout
        _port = int(emulated.stdout.readline())
        with schema_context(rig.project.schema_name):
            _manage_all(rig.project.schema_name)
            with rig.running("bmc"):
                _wait_until_all_are_seen(rig.data / "bmc.log")
                yield
            Watch.objects.all().delete()
            Host.objects.update(power_provider=None)
    finally:
        emulated.terminate()
        emulated.wait()


def _manage_all(schema: str) -> None:
    provider, _ = Provider.objects.get_or_create(name="rack", defaults={
        "provider_kind": "PROVIDER_KIND_BAREMETAL", "provider_vendor": "PROVIDER_VENDOR_REDFISH",
        "api_endpoint": f"http://<bmcIp>:{_port}", "config": '{"network":"127.1.0.0/16"}',
    })  # fmt: skip
    with connection.cursor() as cursor:  # as 1,000 machines that reported, and were looked at one after the other
        cursor.execute(
            """
            UPDATE inventory_host SET power_provider_id = %s, bmc_ip = host(%s::inet + n - 1) FROM
            (SELECT id AS which, row_number() OVER (ORDER BY id) AS n FROM inventory_host ORDER BY id LIMIT %s) numbered
            WHERE id = which
            """,
            [provider.resource_id, str(FIRST), NODES],
        )
        cursor.execute(
            "INSERT INTO workers_watch (schema, target, due_at, failures, seen) SELECT %s, id, "
            "now() + random() * interval '60 seconds', 0, '' FROM inventory_host WHERE power_provider_id = %s",
            [schema, provider.resource_id],
        )


def _wait_until_all_are_seen(log: Path) -> None:
    deadline = time.monotonic() + 3 * PERIOD
    while unseen := Watch.objects.exclude(seen="POWER_STATE_ON").count():
        if time.monotonic() > deadline:
            raise TimeoutError("\n".join([f"{unseen} were never seen to be on", *log.read_text().splitlines()[-20:]]))
        time.sleep(0.5)


def by_the_watch(rig: Rig) -> Figures:
    first = next(_turn) % 4 * HANGING
    _ask("POST", "/hang?addresses=" + ",".join(str(FIRST + first + n) for n in range(HANGING)))
    pid = next(pid for pid in family(os.getpid()) if b"manage.py bmc" in Path(f"/proc/{pid}/cmdline").read_bytes())
    database = [pid for pid in family(os.getpid()) if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    began, used, of_database = time.monotonic(), _cpu(pid), {pid: _cpu(pid) for pid in database}
    time.sleep(PERIOD + 5)
    took = time.monotonic() - began
    share, its = _cpu(pid) - used, sum(_cpu(pid) - before for pid, before in of_database.items())
    told = _ask("GET", "/late")
    assert told["looks"] >= NODES - 4 * HANGING, f"only {told['looks']} machines were looked at"
    _ask("POST", "/hang?addresses=")
    return {
        "process": share / took * 100,
        "with Postgres": (share + its) / took * 100,
        "late, at most": max(0.0, told["longest"] - PERIOD),
    }


def by_bare_requests(rig: Rig) -> Figures:
    """The same number of requests a second over open connections, with nothing done about the answers."""

    async def poll() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> None:
                url = f"http://{FIRST + number}:{_port}/redfish/v1/Systems/1"
                async with session.get(url) as answer:
                    (await answer.json())["PowerState"]

            await asyncio.gather(*(one(number) for number in range(HANGING * 4, HANGING * 4 + 200)))
            nonlocal began, used
            began, used = time.monotonic(), time.process_time()
            waiting = []
            for number in range(200):
                waiting.append(asyncio.create_task(one(HANGING * 4 + number)))
                await asyncio.sleep(PERIOD / NODES)
            await asyncio.gather(*waiting)

    began = used = 0.0
    asyncio.run(poll())
    share = (time.process_time() - used) / (time.monotonic() - began) * 100
    return {"process": share, "with Postgres": share, "late, at most": 0.0}


def _ask(method: str, path: str) -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{_port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def _cpu(pid: int) -> float:
    """Seconds; none if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in stat[11:13]) / TICKS


bench = Bench(
    name="power-poll",
    ours=Side("1,000 machines are looked at every minute, 50 of them hang", by_the_watch),
    floor=Side("as many bare requests over open connections", by_bare_requests),
    figures={"process": Unit.PERCENT, "with Postgres": Unit.PERCENT, "late, at most": Unit.SECONDS},
    around=controllers,
)

"""A thousand nodes that fall silent at once, and that come back at once."""

import asyncio
import time
from collections.abc import Callable
from contextlib import contextmanager

import grpc
import redis
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from bench import nodes
from bench.declare import Bench, Figures, Side, Unit
from bench.rest import bare_connection
from bench.rig import NODES, Rig
from bench.rows import uuid_of
from inventory import presence
from inventory.models import Host

PATIENCE = 60  # seconds
AT_ONCE = 100  # heartbeats under way


@contextmanager
def around(rig: Rig):
    with rig.running("reconcilers", "beat"):
        yield


def fall_silent_and_return(rig: Rig) -> Figures:
    callers = [nodes.Node.of(rig, number, False) for number in range(NODES)]
    asyncio.run(_all_beat(rig, callers))
    memory = redis.Redis.from_url(settings.PRESENCE_URL)
    _until(lambda: presence.is_known(), "presence")
    memory.delete("grace")
    [seconds, _] = memory.time()
    memory.zadd("due", {f"{rig.project.schema_name} {uuid_of(number)}": seconds + 1 for number in range(NODES)})
    deadline = time.time() + 1
    _until(lambda: _count(rig, "No Connection") == NODES, "marks")
    marked = time.time() - deadline
    began = time.time()
    asyncio.run(_all_beat(rig, callers))
    _until(lambda: _count(rig, "Running") == NODES, "healing")
    return {"all marked after their deadline": max(marked, 0.001), "all healed after their return": time.time() - began}


async def _all_beat(rig: Rig, callers: list[nodes.Node]) -> None:
    root, room = nodes.trust(rig), asyncio.Semaphore(AT_ONCE)

    async def beat(node: nodes.Node):
        async with room:
            await node.beat(call)

    async with grpc.aio.secure_channel(rig.stack.grpc, root) as channel:
        call = channel.unary_unary(nodes.OURS)
        await asyncio.gather(*map(beat, callers))


def _count(rig: Rig, status: str) -> int:
    with schema_context(rig.project.schema_name):
        return Host.objects.filter(host_status=status, uuid__lte=uuid_of(NODES - 1)).count()


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.time() + PATIENCE
    while not holds():
        if time.time() > end:
            raise TimeoutError(f"no {what} after {PATIENCE} s")
        time.sleep(0.05)


def bare(rig: Rig) -> Figures:
    """The same rows by one statement, and then by one each; twice the same, so that nothing is to be undone."""
    with schema_context(rig.project.schema_name), connection.cursor() as cursor:
        began = time.time()
        cursor.execute("UPDATE inventory_host SET updated_at = now() WHERE uuid <= %s", [uuid_of(NODES - 1)])
    one, began_each = time.time() - began, time.time()
    database = bare_connection()
    for number in range(NODES):
        table = f"{rig.project.schema_name}.inventory_host"
        database.execute(f"UPDATE {table} SET updated_at = now() WHERE uuid = %s", [uuid_of(number)])
    return {"all marked after their deadline": one, "all healed after their return": time.time() - began_each}


bench = Bench(
    name="fleet-silence",
    ours=Side("1,000 nodes fall silent at once, and come back at once", fall_silent_and_return),
    floor=Side("their rows updated by one statement, and by one each", bare),
    figures={"all marked after their deadline": Unit.SECONDS, "all healed after their return": Unit.SECONDS},
    around=around,
)

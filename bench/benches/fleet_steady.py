"""Ten thousand nodes in ten tenants that report with all four agents and say nothing new: 700 calls a second."""

import asyncio
import os
import time
from contextlib import contextmanager
from itertools import cycle

import grpc

from bench import fleet, nodes
from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.load import percentile
from bench.rig import NODES, Rig
from edge.link import RPC_SECONDS

SECONDS = float(os.environ.get("BENCH_FLEET_SECONDS", "20"))  # of one repetition; 300 is what was promised
FLOOR = min(SECONDS, 20)  # seconds of the floor: it tells the same in each of them
RATE = 700  # calls a second of the floor
_running: list[fleet.Fleet] = []


@contextmanager
def around(rig: Rig):
    with rig.running("reconcilers", "builders", "beat", "bmc", "flower", "exporter"), fleet.running(rig) as steady:
        _running.append(steady)
        yield
    _running.clear()


def steady(rig: Rig) -> Figures:
    [running] = _running
    before, used, began = running.told()["calls"], fleet.servers_cpu(rig, running), time.perf_counter()
    time.sleep(SECONDS)
    seconds = time.perf_counter() - began
    cpu, told = fleet.servers_cpu(rig, running) - used, running.told()
    new = {name: number - before.get(name, 0) for name, number in told["calls"].items()}
    return {
        "calls": sum(new.values()) / seconds,
        "CPU of all servers": 100 * cpu / seconds,
        "p99": told["p99_ms"],
        "calls lost": sum(number for name, number in new.items() if not name.endswith(" OK")),
        "false No Connection": fleet.count(fleet.tenants(rig), host_status="No Connection"),
        "memory of all servers": fleet.servers_memory(running),
    }


def bare(rig: Rig) -> Figures:
    """The fleet is silent meanwhile, for less than a node may be: two cores have no room for both."""
    [running] = _running
    callers = [nodes.Node.of(rig, number, False) for number in range(100)]
    lost: list[grpc.RpcError] = []
    running.say(f"silent {fleet.TENANTS * NODES}")
    time.sleep(RPC_SECONDS)  # by then its last calls have ended
    before, began = fleet.servers_cpu(rig, running), time.perf_counter()
    waits = asyncio.run(_paced(rig, callers, lost))
    seconds = time.perf_counter() - began
    cpu = fleet.servers_cpu(rig, running) - before
    running.say("well")
    if not waits:
        raise Unfair(f"none of the floor's {len(lost)} calls was answered: {lost[0]}")
    return {
        "calls": len(waits) / seconds, "CPU of all servers": 100 * cpu / seconds,
        "p99": percentile(waits, 99) * 1000, "calls lost": len(lost), "false No Connection": 0,
        "memory of all servers": fleet.servers_memory(running),
    }  # fmt: skip


async def _paced(rig: Rig, callers: list[nodes.Node], lost: list[grpc.RpcError]) -> list[float]:
    root, turns, waits = nodes.trust(rig), cycle(callers), []
    free = asyncio.Semaphore(len(callers))  # nodes that wait for no answer: on a busy machine they call later

    async def beat(call, node):
        async with free:
            began = time.perf_counter()
            try:
                await node.beat(call)
            except grpc.RpcError as fault:
                lost.append(fault)
            else:
                waits.append(time.perf_counter() - began)

    async with grpc.aio.secure_channel(rig.stack.grpc, root) as channel:
        call = channel.unary_unary(nodes.floor("Heard"))
        async with asyncio.TaskGroup() as tasks:
            began = time.perf_counter()
            for number in range(int(RATE * FLOOR)):
                if (pause := began + number / RATE - time.perf_counter()) > 0:
                    await asyncio.sleep(pause)
                tasks.create_task(beat(call, next(turns)))
    return waits


bench = Bench(
    name="fleet-steady",
    ours=Side("10,000 nodes in 10 tenants with all four agents' periods", steady),
    floor=Side(f"{RATE} calls a second of a method that verifies the token and asks Redis once", bare),
    figures={
        "calls": Unit.PER_SECOND, "CPU of all servers": Unit.PERCENT, "p99": Unit.MS, "calls lost": Unit.COUNT,
        "false No Connection": Unit.COUNT, "memory of all servers": Unit.MEGABYTES,
    },
    around=around,
)  # fmt: skip

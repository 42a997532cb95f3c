"""A request to a tenant that nobody asked about yet, with a thousand of them there, and what that costs in memory."""

import itertools
import time
from functools import cache
from statistics import median

from bench import thousand
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller
from bench.rig import Rig

REQUESTS = 300


@cache
def _unvisited():
    return iter(thousand.tenants())


def _asked(rig: Rig, projects) -> Figures:
    token = rig.token_for(thousand.tenants())
    caller = HttpCaller(rig.http_port, token)
    caller.call("GET", f"/v1/projects/{thousand.tenants()[0].name}/regions")
    waits = []
    for project in projects:
        began = time.perf_counter()
        caller.call("GET", f"/v1/projects/{project.name}/regions")
        waits.append(time.perf_counter() - began)
    return {"p50": median(waits) * 1000, "fattest connection": thousand.fattest_connection(rig)}


def cold(rig: Rig) -> Figures:
    return _asked(rig, itertools.islice(_unvisited(), REQUESTS))


def warm(rig: Rig) -> Figures:
    return _asked(rig, [thousand.tenants()[0]] * REQUESTS)


bench = Bench(
    name="thousand-cold",
    ours=Side("GET regions of a tenant never asked about before", cold),
    floor=Side("of one that was asked just before", warm),
    figures={"p50": Unit.MS, "fattest connection": Unit.MEGABYTES},
)

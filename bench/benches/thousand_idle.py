"""What servers use when nothing happens: 100,000 hosts in 300 tenants that have nothing to say."""

import time
from contextlib import contextmanager

from bench import thousand
from bench.declare import Bench, Figures, Side, Unit
from bench.rig import Rig
from workers.tasks import audit

SETTLES = 75  # seconds, in which what is done each minute was done once
SECONDS = 60  # so that all that is done each minute is counted


@contextmanager
def around(rig: Rig):
    thousand.filled()
    with rig.worker(), rig.running("builders", "beat"):
        audit(parts=1)  # new tenants have no OS profiles: what beat would find out within an hour, while it is measured
        time.sleep(SETTLES)
        rig.settle()
        rig.tidy()  # or Postgres does, at a time of its own
        yield


def idle(rig: Rig) -> Figures:
    return {"CPU of all servers": _used(rig)}


def bare(rig: Rig) -> Figures:
    """Nothing is less: so that it can be divided by, a hundredth of a percent."""
    return {"CPU of all servers": 0.01}


def _used(rig: Rig) -> float:
    before, began = rig.cpu(), time.perf_counter()
    time.sleep(SECONDS)
    return 100 * (rig.cpu() - before) / (time.perf_counter() - began)


bench = Bench(
    name="thousand-idle",
    ours=Side("all servers while nothing happens, 100,000 hosts in 300 tenants", idle),
    floor=Side("nothing", bare),
    figures={"CPU of all servers": Unit.PERCENT},
    around=around,
)

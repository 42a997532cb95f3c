"""The web server computes with one thread at a time, so it is kept to one core.

Where its threads are spread over several, each handing over of Python's lock wakes up another core: to answer with one
host took 2.9 ms of CPU and takes 2.0, and 410 were answered in a second and are 610 (bench: get-host, 16 clients, two
cores). Who needs more than a core starts several web servers, and each finds a core of its own.

Not the southbound server: gRPC has threads that do without Python's lock, and so kept it answers a third less.
"""

import logging
import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0, 10.0  # seconds at least and at most: of two that share a core, one looks first
CROWDED = 0.2  # of a core that others use more here than elsewhere; for less it isn't worth to leave warm caches


def keep_to_one() -> None:
    """Keep this process, and what threads it will have, to one core; to a quieter one when others crowd that."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        here = random.choice(sorted(cores))
        try:
            _move_to(here)
        except OSError as refused:  # where a sandbox doesn't allow it, it only takes more time
            log.warning("the web server isn't kept to one core", extra={"because": refused})
            return
        threading.Thread(target=_keep_looking, args=(here, cores), name="cores", daemon=True).start()


def _keep_looking(here: int, cores: set[int]) -> None:
    try:
        while True:
            there = quieter(here, _used_by_others(here, cores))
            if there != here:
                _move_to(there)
                here = there
    except (OSError, KeyError) as gone:  # cores were taken away: then the system shares out those that are left
        log.warning("the web server isn't kept to one core any more", extra={"because": repr(gone)})


def quieter(here: int, used_by_others: dict[int, float]) -> int:
    """The core to be on, by what others use of each (1.0: all of it). `here`, unless another is a good deal better."""
    best = min(used_by_others, key=lambda core: used_by_others[core])
    return best if used_by_others[here] - used_by_others[best] > CROWDED else here


def _move_to(core: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), {core})


def _used_by_others(here: int, cores: set[int]) -> dict[int, float]:
    """During the next seconds."""
    before, ours_before, began = _used(), time.process_time(), time.monotonic()
    time.sleep(random.uniform(*LOOK_EVERY))
    now, ours, elapsed = _used(), time.process_time() - ours_before, time.monotonic() - began
    used = {core: (now[core] - before[core]) / elapsed for core in cores}
    return used | {here: used[here] - ours / elapsed}


def _used() -> dict[int, float]:
    """By core, for how many seconds it has been busy since the system's start."""
    used, tick = {}, os.sysconf("SC_CLK_TCK")
    for name, *times in map(str.split, Path("/proc/stat").read_text().splitlines()):
        if core := name.startswith("cpu") and name.removeprefix("cpu"):
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, times[:8])
            used[int(core)] = (user + nice + system + irq + softirq + steal) / tick
    return used

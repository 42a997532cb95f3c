"""The web server stays on one core, and leaves one that others crowd."""

import os
import subprocess
import sys

import pytest

from eim_project import cores

TOLD = """
import os, threading
from eim_project import cores
stop = threading.Event()
before = threading.Thread(target=stop.wait)
before.start()
cores.keep_to_one()
after = threading.Thread(target=stop.wait)
after.start()
found = [sorted(os.sched_getaffinity(thread.native_id)) for thread in threading.enumerate()]
stop.set()
assert threading.active_count() >= 2
print(*found, sep="|")
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core only")
def test_all_threads_stay_on_one_core_and_it_is_the_same():
    """Those that were there before, and those that come later."""
    told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, check=True).stdout
    found = told.strip().split("|")
    assert len(found) == 4 and len(set(found)) == 1
    assert found[0] in [f"[{core}]" for core in os.sched_getaffinity(0)]


def test_where_one_core_may_be_used_no_thread_watches_others():
    command = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {TOLD.strip()}"
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert told.count("|") == 2  # main, before and after


def test_a_core_that_others_crowd_is_left_for_the_quietest():
    assert cores.quieter(0, {0: 0.9, 1: 0.3, 2: 0.1}) == 2


def test_for_a_small_difference_nobody_moves():
    assert cores.quieter(1, {0: 0.0, 1: 0.15, 2: 0.1}) == 1


def test_what_each_core_has_been_used_is_known_and_grows():
    before = cores._used()
    sum(range(10_000_000))
    now = cores._used()
    assert before.keys() == now.keys() >= os.sched_getaffinity(0)
    assert all(now[core] >= before[core] for core in now) and sum(now.values()) > sum(before.values())

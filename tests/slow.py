"""What the long proofs said last, kept in tests/slow.json: how each test went, how long, when, of which commit."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("slow.json")
MARKS = ("slow", "boots")


def pytest_runtest_logreport(report):
    """At once: a run of hours may be ended on the way. Of tests that aren't run, what they said last stays."""
    if report.when != "call" or report.skipped or not any(mark in report.keywords for mark in MARKS):
        return
    if "PYTEST_XDIST_WORKER" in os.environ:  # who started it hears of it
        return
    from bench.report import commit  # not at each start of the quick ones

    when = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[report.nodeid.removeprefix("tests/")] = {
        "outcome": report.outcome, "seconds": round(report.duration), **when,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")

"""What the long proofs said last, kept in tests/slow.json: how each test went, how long, when, of which commit."""

import json
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("slow.json")
MARKS = ("slow", "boots")

_went: dict[str, dict[str, object]] = {}


def pytest_runtest_logreport(report):
    if report.when == "call" and not report.skipped and any(mark in report.keywords for mark in MARKS):
        _went[report.nodeid.removeprefix("tests/")] = {"outcome": report.outcome, "seconds": round(report.duration)}


def pytest_sessionfinish(session):
    """Of tests that weren't run, what they said last stays. xdist's workers tell the process that started them."""
    if not _went or hasattr(session.config, "workerinput"):
        return
    from bench.report import commit  # not at each start of the quick ones

    when = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known |= {name: went | when for name, went in _went.items()}
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")

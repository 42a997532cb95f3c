"""Starts real Postgres and Valkey for the tests, before Django's settings are read; loaded by `-p tests.services`."""

import atexit
import os
from contextlib import ExitStack
from pathlib import Path

from eim_project import embedded

if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
    # xdist's workers inherit the environment, so they find the servers that the first process started.
    home = Path("/var/lib/eim") if os.geteuid() == 0 else Path(__file__).parent.parent / "var"
    data = Path(os.environ.setdefault("EIM_DATA", str(home / "tests")))
    running = ExitStack()
    atexit.register(running.close)
    urls = running.enter_context(embedded.services(data, durable=False))
    os.environ.setdefault("DATABASE_URL", urls.database)
    os.environ.setdefault("REDIS_URL", urls.redis)

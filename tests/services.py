"""Starts real Postgres and Valkey for the tests, before Django's settings are read; loaded by `-p tests.services`."""

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from eim_project import embedded, tls

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # we fork to start programs, gRPC need not warn of it

if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
    # xdist's workers inherit the environment, so they find the servers that the first process started.
    home = Path("/var/lib/eim") if os.geteuid() == 0 else Path(__file__).parent.parent / "var"
    home.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="tests-", dir=home))  # of this run alone: two runs don't meet
    running = ExitStack()
    running.callback(shutil.rmtree, data, ignore_errors=True)
    atexit.register(running.close)
    urls = running.enter_context(embedded.services(data, durable=False))
    tls.ensure(data / "tls", ["localhost", "127.0.0.1"])  # here, once: each worker would make it at the same time
    os.environ |= {"EIM_DATA": str(data), "DATABASE_URL": urls.database, "REDIS_URL": urls.redis}

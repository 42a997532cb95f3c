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

# Each process of a run has databases of its own: what one empties, the others go on using.
_first = 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_DATABASES = ["CELERY_BROKER_URL", "EIM_PRESENCE_URL", "EIM_LIMITS_URL", "CHAOS_BROKER_URL"]
os.environ |= {name: f"{os.environ['REDIS_URL']}/{_first + number}" for number, name in enumerate(_DATABASES)}

SERVERS = {"DATABASE_URL", "REDIS_URL", *_DATABASES}  # what names them, in the environment


def environment_without() -> dict[str, str]:
    """For a stack that a test starts beside these servers, with its own."""
    return {name: value for name, value in os.environ.items() if name not in SERVERS}

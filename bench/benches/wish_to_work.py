"""From the answer that accepts a wish until its work is there: an instance on an onboarded host, and its workflow."""

import json
import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import psycopg
import redis
from celery import shared_task
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from bench import rows
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller, percentile
from bench.rig import Rig
from inventory.models import OperatingSystem
from provisioning.models import Workflow

TIMES = 30
PATIENCE = 30  # seconds for one
DONE = "floor:done"
_spares = count(100_000, TIMES)  # numbers of hosts that nobody has wished for yet


@shared_task(name="bench.nothing")
def nothing() -> None:
    redis.Redis.from_url(settings.PRESENCE_URL).lpush(DONE, 1)


def wishes(rig: Rig) -> Figures:
    return _figures(waits(rig))


def waits(rig: Rig) -> list[float]:
    """Milliseconds, each wish's."""
    with schema_context(rig.project.schema_name):
        hosts = rows.add_spare(next(_spares), TIMES)
        os_id = OperatingSystem.objects.get(profile_name=rows.PROFILE).resource_id
    caller = HttpCaller(rig.http_port, rig.token)
    with new_workflows(rig) as new:
        return _in_ms(_wish(rig, caller, {"hostID": host, "osID": os_id}, new) for host in hosts)


def _wish(rig: Rig, caller: HttpCaller, instance: dict, new: psycopg.Connection) -> float:
    caller.call("POST", f"{rig.api}/compute/instances", json.dumps(instance).encode())
    answered = time.perf_counter()
    for told in new.notifies(timeout=PATIENCE, stop_after=1):
        if told.payload == instance["hostID"]:
            return time.perf_counter() - answered
    raise TimeoutError(f"no workflow for {instance['hostID']} after {PATIENCE} s")


def new_workflows(rig: Rig) -> psycopg.Connection:
    """A connection that is told of each new workflow when it is committed, with the host's id."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE OR REPLACE FUNCTION tell_of_workflow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_notify('new_workflow', NEW.host_id); RETURN NULL; END $$;
            CREATE OR REPLACE TRIGGER tell_of_workflow AFTER INSERT ON {Workflow._meta.db_table}
            FOR EACH ROW EXECUTE FUNCTION tell_of_workflow()
            """
        )
    listening = psycopg.connect(rig.stack.database_url, autocommit=True)
    listening.execute("LISTEN new_workflow")
    return listening


def round_trips(rig: Rig) -> Figures:
    server = redis.Redis.from_url(settings.PRESENCE_URL)
    return _figures(_in_ms(_round_trip(server) for _ in range(TIMES)))


def _round_trip(server: redis.Redis) -> float:
    began = time.perf_counter()
    nothing.apply_async(queue="wake")
    if server.blpop([DONE], timeout=PATIENCE) is None:
        raise TimeoutError(f"the task didn't run within {PATIENCE} s")
    return time.perf_counter() - began


def _in_ms(seconds: Iterator[float]) -> list[float]:
    next(seconds)  # the worker's processes open their connections
    next(seconds)
    return [wait * 1000 for wait in seconds]


def _figures(waits: list[float]) -> Figures:
    return {"p50": median(waits), "p90": percentile(waits, 90)}


bench = Bench(
    name="wish-to-work",
    ours=Side("an instance is asked for by POST, until its workflow is committed", wishes),
    floor=Side("a task that does nothing, there and back by the same broker and worker", round_trips),
    figures={"p50": Unit.MS, "p90": Unit.MS},
    around=Rig.worker,
)

"""What Flower shows of the loop: every reconciliation as a task, by its reconciler's name, with tenant and resource.

The messages that are really sent (tasks.py) say on purpose only that there is work, so by themselves they would show
an operator nothing but `workers.run`. What is told here is for looking at alone: nothing depends on its being heard.
"""

import logging
import socket
import time
from functools import lru_cache
from typing import Any
from uuid import uuid4

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tenants.models import Project

log = logging.getLogger(__name__)

SILENT = 10  # seconds, after nobody could be told: a broker that is away must not hold up the work
_under = ""  # the worker's name; without one nobody is told
_silent_until = 0.0


def begin(worker: str) -> None:
    """This process is a worker of that name, `reconcilers@host`, and so are those that it forks."""
    global _under
    _under = worker


def begin_as(what: str) -> None:
    begin(f"{what}@{socket.gethostname()}")


class Telling:
    """A context in which one resource is reconciled: told at its end, with the outcome; at its begin too if it is slow.

    What takes milliseconds is told in one message: to tell it costs more than many a reconciliation.
    """

    outcome = ""

    def __init__(self, name: str, schema: str, resource: str, *, slow: bool) -> None:
        self._told = {"uuid": str(uuid4()), "name": name, "kwargs": "{}"}
        self._about = schema, resource
        self._slow = slow
        self._began = time.time()

    def __enter__(self) -> "Telling":
        if _under:
            schema, resource = self._about
            self._told["args"] = str((_tenant(schema), resource))
        if _under and self._slow:
            _tell(*self._begin())
        return self

    def __exit__(self, kind, fault, trace) -> None:
        if not _under:
            return
        end = {"runtime": time.time() - self._began}
        if fault:
            ended = ("task-failed", self._told | end | {"exception": f"{kind.__name__}: {fault}"})
        else:
            ended = ("task-succeeded", self._told | end | {"result": self.outcome})
        _tell(*([] if self._slow else self._begin()), ended)

    def _begin(self) -> list[tuple[str, dict[str, Any]]]:
        told = self._told | {"timestamp": self._began}
        return [("task-received", told), ("task-started", told)]


def _tell(*events: tuple[str, dict[str, Any]]) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        with current_app.events.default_dispatcher(hostname=_under) as dispatcher:
            dispatcher.buffer_group = {"task"}  # all in one message
            for kind, said in events:
                dispatcher.send(kind, **said)
            dispatcher.flush()
    except (OperationalError, RedisError, OSError) as away:
        _silent_until = time.monotonic() + SILENT
        log.warning("nobody can be told of what is done", extra={"because": away})


@lru_cache(5_000)
def _tenant(schema: str) -> str:
    """The project's name; what is of none is of them all."""
    return Project.objects.filter(schema_name=schema).values_list("name", flat=True).first() or schema

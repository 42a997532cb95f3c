"""/livez: the process answers. /readyz: what it needs is there, and the loop keeps up. Both are open to anybody."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from workers.models import oldest_due

log = logging.getLogger(__name__)

PATIENCE = 1  # seconds for an answer of Redis


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works on, but somebody should look
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was found about one thing, and what to do if it isn't well."""

    level: Level
    name: str
    says: str
    advice: str = ""


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """Asks nobody else: a process isn't cured of a missing database by being started anew."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """503 while requests can't be served, that is without the database.

    Without Redis or broker they are, and wishes wait in the database; nor are late workers mended by taking the web
    servers away. So that is told, and answered with 503 only where ?strict is asked for, as a monitor does.
    """
    waits, findings = readiness()
    worst = {finding.level for finding in findings}
    ready = Level.FAIL not in worst and not ("strict" in request.GET and Level.WARN in worst)
    said, status = "ready" if ready else "not ready", 200 if ready else 503
    if request.get_preferred_type(["text/plain", "application/json"]) == "application/json":
        checks = [{"name": one.name, "status": one.level, "message": one.says} for one in findings]
        return JsonResponse({"status": said, "oldestDueSeconds": waits, "checks": checks}, status=status)
    lines = [said, *(f"{one.name} {one.level}: {one.says}" for one in findings)]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8", status=status)


def readiness() -> tuple[float | None, list[Finding]]:
    """For how long the oldest work is due (None: nobody knows), and what was found."""
    began = time.perf_counter()
    try:
        waits = round(oldest_due(), 1)
    except DatabaseError as why:
        log.warning("the database doesn't answer", extra={"because": why})
        away = Finding(
            Level.FAIL,
            "database",
            "doesn't answer, or isn't migrated",
            "see the log, DATABASE_URL; a new one needs manage.py migrate_fleet",
        )
        return None, [away, *_redis_servers()]
    took = (time.perf_counter() - began) * 1000
    return waits, [Finding(Level.OK, "database", f"answers in {took:.0f} ms"), *_redis_servers(), _loop(waits)]


def _loop(waits: float) -> Finding:
    if waits <= settings.WORK_LATE:
        return Finding(Level.OK, "work", f"the oldest that is due waits for {waits:.0f} s")
    return Finding(
        Level.WARN, "work", f"the oldest that is due waits for {waits:.0f} s, more than {settings.WORK_LATE}",
        "see that workers and beat run (manage.py outstanding tells what waits), or start more workers",
    )  # fmt: skip


def _redis_servers() -> Iterator[Finding]:
    for name, url in {"redis": settings.PRESENCE_URL, "broker": settings.BROKER_URL}.items():
        yield _asked(name, redis_of(url).ping)


def _asked(name: str, ping: Callable[[], object]) -> Finding:
    try:
        ping()
    except redis.RedisError as why:
        log.warning("%s doesn't answer", name, extra={"because": why})
        return Finding(Level.WARN, name, "doesn't answer; wishes wait in the database", f"see that {name} runs")
    return Finding(Level.OK, name, "answers")


@cache
def redis_of(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, decode_responses=True)

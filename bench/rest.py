"""The REST API under load, and the way in of floors that answer HTTP: the same token, the same rights."""

import json
from collections.abc import Callable, Container, Iterator
from functools import wraps
from typing import Any

import psycopg
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt

from bench.declare import Figures, Unfair, Unit
from bench.load import HttpCaller, by_threads
from bench.rig import Rig
from tenants.permissions import BearerAuthentication, HasProjectRole

CALLERS = 16
FIGURES = {
    "p50, 1 client": Unit.MS,
    "p99, 1 client": Unit.MS,
    f"p50, {CALLERS} clients": Unit.MS,
    f"p99, {CALLERS} clients": Unit.MS,
    f"rate, {CALLERS} clients": Unit.PER_SECOND,
    f"CPU, {CALLERS} clients": Unit.MS,
}


def under_load(rig: Rig, ask: Callable[[HttpCaller], object]) -> Figures:
    """What FIGURES names, when clients do nothing but ask(connection)."""

    def open_caller() -> Callable[[], object]:
        connection = HttpCaller(rig.http_port, rig.token)
        return lambda: ask(connection)

    alone = by_threads(open_caller, 1, rig.cpu)
    together = by_threads(open_caller, CALLERS, rig.cpu)
    return dict(
        zip(FIGURES, [alone.p50, alone.p99, together.p50, together.p99, together.rate, together.cpu], strict=True)
    )


def get(rig: Rig, path: str) -> Figures:
    return under_load(rig, lambda caller: caller.call("GET", f"{rig.api}/{path}"))


def must_equal(rig: Rig, ours: str, floor: str) -> None:
    """Raises Unfair unless both GETs answer the same JSON."""
    caller = HttpCaller(rig.http_port, rig.token)
    must_be_equal(*(json.loads(caller.call("GET", f"{rig.api}/{path}")) for path in (ours, floor)))


def must_be_equal(ours: Any, floor: Any, apart_from: Container[str] = ()) -> None:
    """Raises Unfair unless both are the same JSON, apart from these keys of objects."""
    if differences := list(differing(ours, floor, apart_from)):
        raise Unfair(f"the floor doesn't answer what ours answers: {', '.join(differences[:5])}")


def differing(one: Any, other: Any, apart_from: Container[str], where: str = "") -> Iterator[str]:
    """Where two JSON documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                yield f"{where}.{key} is missing in {'ours' if key not in one else 'the floor'}"
            elif key not in apart_from:
                yield from differing(one[key], other[key], apart_from, f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differing(*pair, apart_from, f"{where}[{number}]")
    elif one != other:
        yield f"{where}: {one!r:.80} != {other!r:.80}"


def behind_the_door(view: Callable[..., str]) -> Callable[..., HttpResponse]:
    """A bare view for those who may: `view(request, connection of psycopg, ...)` answers JSON as text."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, project: str, **kwargs) -> HttpResponse:
        request.user, _ = BearerAuthentication().authenticate(request)
        if not HasProjectRole().has_permission(request, None):
            return HttpResponseForbidden()
        return HttpResponse(view(request, bare_connection(), **kwargs), content_type="application/json")

    return answer


def bare_connection() -> psycopg.Connection:
    """Django's connection of this thread without what Django does around each statement."""
    connection.ensure_connection()
    return connection.connection

"""How a bench is declared, and the list of them all: one file in benches/ is one bench.

    bench = Bench(
        name="get-host",
        ours=Side("GET hosts/<id>", partial(read, path="compute/hosts/...")),
        floor=Side("the same JSON by one SQL statement", partial(read, path="floor/host/...")),
        figures={"p50": Unit.MS},
        urls=[path("floor/host/<id>", bare_view)],   # what the floor needs inside the servers, if anything
    )

The floor is what nobody can go below who does the same job with the same servers, data and authentication. It runs
inside our own servers, so bench/ is an app of Django's (bench/settings.py) whose URLs, gRPC methods and Celery tasks
are those that the benches declare.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.rig import Rig


class Unit(StrEnum):
    MS = "ms"
    US = "µs"
    PER_SECOND = "/s"
    SECONDS = "s"
    MEGABYTES = "MB"
    TIMES = "x"
    PERCENT = "% of a core"
    COUNT = ""

    def times(self, ours: float, floor: float) -> float:
        """How many times dearer ours is than the floor."""
        dearer, cheaper = (floor, ours) if self is Unit.PER_SECOND else (ours, floor)
        return dearer / cheaper if cheaper else float("inf")


Figures = dict[str, float]  # by name, in the unit that the bench declares


@dataclass(frozen=True)
class Side:
    what: str
    measure: Callable[[Rig], Figures]  # once; the harness repeats it


@dataclass(frozen=True)
class Bench:
    name: str
    ours: Side
    floor: Side
    figures: dict[str, Unit]
    check: Callable[[Rig], None] = lambda rig: None  # raises Unfair if the two don't do the same job
    around: Callable[[Rig], AbstractContextManager] = lambda rig: nullcontext()  # what runs only for this bench
    urls: Sequence[Any] = ()  # paths below /v1/projects/<project>/
    calls: dict[str, Callable[..., Awaitable]] = field(default_factory=dict)  # gRPC methods of the service bench.Floor


class Unfair(Exception):
    """The floor doesn't do what ours does, so comparing them says nothing."""


@cache
def benches() -> dict[str, Bench]:
    """All of them by name. Importing them needs Django's settings."""
    package = import_module("bench.benches")
    found = [import_module(f"{package.__name__}.{module.name}").bench for module in iter_modules(package.__path__)]
    return {bench.name: bench for bench in found}

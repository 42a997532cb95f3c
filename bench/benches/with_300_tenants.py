"""What 300 tenants more cost the one that is asked, and what it costs to ask them in turn, each for its one host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from bench import rows, thousand
from bench.benches.at_100000_hosts import lines
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller, Load, by_threads
from bench.rest import CALLERS
from bench.rig import Rig
from tenants import schema

TENANTS = 300
FIRST = 70_000_000  # the number of the first tenant's host: those before are others'
NAMES = ("one host", "register", "PATCH")
IN_TURN = "one host, tenants in turn"
_turn = count()
_without: list[Figures] = []  # measured while there are no other tenants


@contextmanager
def _tenants(rig: Rig) -> Iterator[None]:
    _without.extend(_measured(rig) for _ in range(3))
    for number, project in enumerate(thousand.tenants(TENANTS)):
        with schema.in_schema(project):
            rows.fill(1, FIRST + number)
    rig.tidy()
    yield


def with_tenants(rig: Rig) -> Figures:
    projects = thousand.tenants(TENANTS)
    paths = []
    for project in projects:
        with schema.in_schema(project):
            paths.append(f"/v1/projects/{project.name}/compute/hosts/{rows.first_id()}")
    token = rig.token_for(projects)
    in_turn = _load(rig, token, lambda caller: caller.call("GET", paths[next(_turn) % len(paths)]))
    return _measured(rig) | _figures(IN_TURN, in_turn)


def without(rig: Rig) -> Figures:
    return _without.pop()


def _measured(rig: Rig) -> Figures:
    """IN_TURN of one tenant is its one host."""
    figures: Figures = {}
    for name in NAMES:
        ask = lines(0)[name]
        load = _load(rig, rig.token, lambda caller, ask=ask: ask(caller, rig.api))
        figures |= _figures(name, load)
        if name == NAMES[0]:
            figures |= _figures(IN_TURN, load)
    return figures


def _figures(name: str, load: Load) -> Figures:
    return {f"{name}, rate": load.rate, f"{name}, CPU": load.cpu}


def _load(rig: Rig, token: str, ask: Callable[[HttpCaller], object]) -> Load:
    def opened() -> Callable[[], object]:
        caller = HttpCaller(rig.http_port, token)
        return lambda: ask(caller)

    return by_threads(opened, CALLERS, rig.cpu)


bench = Bench(
    name="with-300-tenants",
    ours=Side(f"a project with 10,000 hosts beside {TENANTS} others, asked by {CALLERS} clients", with_tenants),
    floor=Side("the same, before there were others", without),
    figures={f"{name}, rate": Unit.PER_SECOND for name in (*NAMES, IN_TURN)}
    | {f"{name}, CPU": Unit.MS for name in (*NAMES, IN_TURN)},
    around=_tenants,
)

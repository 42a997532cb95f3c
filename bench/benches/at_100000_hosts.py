"""What a tenant with 100,000 hosts costs, beside one with 1,000: rates, and the waits of what looks at all of them."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from secrets import token_hex
from urllib.parse import quote
from uuid import uuid4

from bench import rows
from bench.benches import list_of_a_site, locations, search_by_name, search_of_the_ui, summary
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller, Load, by_threads
from bench.rig import Rig
from tenants import schema
from tenants.models import Organization, Project, TenantState
from workers import attending

FIRST = 60_000_000  # the number of the first host: those before are others'
SMALL, LARGE = 1_000, 100_000
MOST_CLIENTS = 16

Line = Callable[[HttpCaller, str], object]  # asks once, of the project at this path
_names = count()


def _get(path: str) -> Line:
    return lambda caller, api: caller.call("GET", f"{api}/{path}")


def _register(caller: HttpCaller, api: str) -> None:
    body = {"name": "new", "uuid": str(uuid4()), "serialNumber": token_hex(8)}
    caller.call("POST", f"{api}/compute/hosts/register", json.dumps(body).encode())


def _patch(first: int) -> Line:
    def patch(caller: HttpCaller, api: str) -> None:
        number = next(_names)
        body = json.dumps({"name": f"n{number}"}).encode()
        caller.call("PATCH", f"{api}/compute/hosts/host-{first + 1 + number % 500:08x}", body)

    return patch


def lines(first: int) -> dict[str, Line]:
    """By the names that figures have: what is asked of a project whose first host has this number."""
    return {
        "one host": _get(f"compute/hosts/host-{first + 99:08x}"),
        "register": _register,
        "PATCH": _patch(first),
        "page": _get("compute/hosts?pageSize=100"),
        "page of a site": _get(list_of_a_site.OURS),
        "search by name": _get(search_by_name.OURS.replace("edge-77", _rare(first))),
        "search of the UI": _get(search_of_the_ui.OURS.replace(quote("edge-77"), _rare(first))),
        "summary": _get(summary.OURS),
        "locations": _get(locations.OURS),
    }


def _rare(first: int) -> str:
    """A part of the names of ten hosts, in small projects and in large ones."""
    return f"edge-{(first + 777) // 10}"


FIGURES = {f"{name}, rate": Unit.PER_SECOND for name in lines(0)} | {
    "summary, p99 of 1 client": Unit.MS,
    "summary, p99 of 16 clients": Unit.MS,
    "locations, p99 of 1 client": Unit.MS,
    "locations, p99 of 16 clients": Unit.MS,
    "worst p99 / p50": Unit.TIMES,
}


def with_hosts(rig: Rig, hosts: int) -> Figures:
    project, first = _projects(rig)[hosts]
    figures: Figures = {}
    api, spread = f"/v1/projects/{project.name}", []
    for name, line in lines(first).items():
        load = _load(rig, line, api, MOST_CLIENTS)
        figures[f"{name}, rate"] = load.rate
        spread.append(load.p99 / load.p50)
        if name in ("summary", "locations"):
            figures[f"{name}, p99 of 16 clients"] = load.p99
            figures[f"{name}, p99 of 1 client"] = _load(rig, line, api, 1).p99
    return figures | {"worst p99 / p50": max(spread)}


def _load(rig: Rig, line: Line, api: str, clients: int) -> Load:
    token = rig.token_for(project for project, _ in _projects(rig).values())

    def opened() -> Callable[[], object]:
        caller = HttpCaller(rig.http_port, token)
        return lambda: line(caller, api)

    return by_threads(opened, clients, rig.cpu)


@cache
def _projects(rig: Rig) -> dict[int, tuple[Project, int]]:
    """By how many hosts they have: the project, and its first host's number."""
    owner, made, first = Organization.objects.get(name=rig.project.organization.name), {}, FIRST
    for hosts in (SMALL, LARGE):
        project = Project(name=f"hosts-{hosts}", organization=owner)
        project.ask(state=TenantState.CREATED)
        attending.attend(project)
        project.refresh_from_db()
        with schema.in_schema(project):
            rows.fill(hosts, first)
        made[hosts], first = (project, first), first + 2 * LARGE
    return made


@contextmanager
def _analyzed(rig: Rig):
    _projects(rig)
    rig.tidy()
    yield


bench = Bench(
    name="at-100000-hosts",
    ours=Side("a project with 100,000 hosts, asked by 16 clients", partial(with_hosts, hosts=LARGE)),
    floor=Side("one with 1,000 hosts", partial(with_hosts, hosts=SMALL)),
    figures=FIGURES,
    around=_analyzed,
)

"""Every operation of the REST API and of gRPC, tried by everybody who might: each answer is known beforehand.

doors.txt says who may use an operation and what whoever may is answered, over a resource that is another tenant's; all
others get the one refusal that is theirs. An operation that isn't in it fails the test, and so does a line too many.
"""

import re
from pathlib import Path

import pytest
from django.urls import URLResolver, get_resolver
from django_tenants.utils import schema_context
from rest_framework.test import APIClient

from tests.conftest import client_of
from tests.tenants.everything import COLLECTIONS, SECRET, one_of_everything

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
TABLE = Path(__file__).with_name("doors.txt")

NOBODY = (401, "Unauthenticated")
FORBIDDEN = (403, "PermissionDenied")
ROLES = {
    "nobody": [],
    "foreign": ["{beta}_im-rw", "{beta}_en-ob", "{beta}_en-agent-rw"],
    "reader": ["{acme}_im-r"],
    "writer": ["{acme}_im-rw"],
    "agent": ["{acme}_en-agent-rw"],
    "manager": [f"org-{verb}-role" for verb in ("read", "write", "delete")]
    + [f"{{org}}_project-{verb}-role" for verb in ("read", "write", "delete")],
}
# What a line's second word says: who is let in.
MAY = {
    "open": {*ROLES},
    "read": {"reader", "writer"},
    "write": {"writer"},
    "manage": {"manager"},
    "person": set(),  # a token of nobody who is known here, as these are, is no person's (test_people.py)
}


def lines() -> dict[str, list[str]]:
    """{"GET v1/projects/<project>/regions": ["read", "200"]}"""
    rows = {}
    for line in TABLE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            method, route, *rest = line.split()
            rows[f"{method} {route}"] = rest
    return rows


def operations() -> list[str]:
    """Every route of the REST API with every method that its view has."""
    found = []
    for route, view in _routes(get_resolver().url_patterns):
        if route.startswith(("v1/", "edge-infra.")):
            found += [f"{method} {route}" for method in METHODS if method.lower() in _methods(view)]
    return found


def _routes(patterns, before=""):
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield _readable(route), pattern.callback


def _readable(route: str) -> str:
    route = re.sub(r"\(\?P<(\w+)>(?:\[\^/\]\+|[^()]*)\)", r"<\1>", route)
    return re.sub(r"<\w+:(\w+)>", r"<\1>", route).replace("[^/]+", "*").replace("^", "").replace("$", "")


def _methods(view) -> set[str]:
    if actions := getattr(view, "actions", None):
        return {*actions}
    if (kind := getattr(view, "cls", None) or getattr(view, "view_class", None)) is None:
        return {method.lower() for method in METHODS}
    return {name for name in kind.http_method_names if hasattr(kind, name)}


def test_every_operation_of_the_api_is_in_the_table_and_nothing_else_is():
    assert sorted(operations()) == sorted(lines())


@pytest.fixture
def clients(acme, beta):
    uuids = {"acme": acme.uuid, "beta": beta.uuid, "org": acme.organization.uuid}
    made = {}
    for name, roles in ROLES.items():
        made[name] = APIClient() if name == "nobody" else client_of(acme, wire=[r.format(**uuids) for r in roles])
    return made


@pytest.fixture
def theirs(acme, beta):
    """{"regions": the id of one of beta's regions}, and so on for every collection."""
    with schema_context(beta.schema_name):
        made = one_of_everything()
    people = {"users": "somebody", "groups": "some-group", "members": "somebody", "grants": "1"}
    return {name: made[model].resource_id for name, model in COLLECTIONS.items()} | people


def path_of(route: str, project, theirs: dict[str, str]) -> str:
    """The path with another tenant's resource in it, of the kind that the route is about."""
    parts = route.replace("<project>", project.name).replace("*", "any").split("/")
    for at, part in enumerate(parts):
        if part.startswith("<"):
            parts[at] = theirs[parts[at - 1]]
    return "/" + "/".join(parts)


@pytest.mark.django_db
@pytest.mark.parametrize("operation", operations())
def test_each_caller_gets_the_answer_that_is_known_beforehand(operation, clients, theirs, acme):
    method, route = operation.split()
    may, *answer = lines()[operation]
    expected = {
        name: tuple(answer) if name in MAY[may] else tuple(map(str, NOBODY if name == "nobody" else FORBIDDEN))
        for name in clients
    }
    got = {}
    for name, client in clients.items():
        response = client.generic(method, path_of(route, acme, theirs), "{}", content_type="application/json")
        if response["Content-Type"].startswith("application/json") and response.status_code >= 400:
            got[name] = (str(response.status_code), response.json().get("code", ""))
        else:
            got[name] = (str(response.status_code),)
        assert SECRET.encode() not in b"".join(response)
    assert got == expected


@pytest.mark.django_db
def test_a_wrong_project_is_refused_in_the_same_words_whether_it_exists_or_not(acme, beta):
    api = client_of(acme, "im-rw")
    there, not_there = (api.get(f"/v1/projects/{name}/regions") for name in (beta.name, "no-such-project"))
    assert (there.status_code, there.content) == (not_there.status_code, not_there.content) == (403, there.content)

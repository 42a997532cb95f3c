"""Every operation of the REST API and of gRPC, tried by everybody who might: each answer is known beforehand.

doors.txt says who may use an operation and what whoever may is answered, over a resource that is another tenant's; all
others get the one refusal that is theirs. An operation that isn't in it fails the test, and so does a line too many.
"""

import json
import re
from pathlib import Path

import pytest
from django.db import transaction
from django.urls import URLResolver, get_resolver
from django_tenants.utils import schema_context
from rest_framework.test import APIClient

from tenants import tokens
from tenants.models import Project, User
from tests.conftest import client_of, fresh_project
from tests.tenants.everything import SECRET, ids_by_collection

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
TABLE = Path(__file__).with_name("doors.txt")

NOBODY = ("401", "Unauthenticated")
FORBIDDEN = ("403", "PermissionDenied")
ROLES = {
    "nobody": [],
    "foreign": ["{theirs}_im-rw", "{theirs}_en-ob", "{theirs}_en-agent-rw"],
    "reader": ["{mine}_im-r"],
    "writer": ["{mine}_im-rw"],
    "agent": ["{mine}_en-agent-rw"],
    "manager": [f"org-{verb}-role" for verb in ("read", "write", "delete")]
    + [f"{{org}}_project-{verb}-role" for verb in ("read", "write", "delete")],
    "person": [],  # a person without any role
    "admin": [],  # a superuser
}
# What a line's second word says: who is let in.
MAY = {
    "open": {*ROLES},
    "read": {"reader", "writer", "admin"},
    "write": {"writer", "admin"},
    "manage": {"manager", "admin"},
    "known": {*ROLES} - {"nobody"},
    "see": {"reader", "writer", "agent", "manager", "admin"},
    "person": {"person", "admin"},  # service accounts are none
    "administer": {"admin"},
}
HIDDEN = {"see"}  # whoever isn't let in is told that it isn't there, instead of that it isn't theirs


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


@pytest.fixture(scope="module")
def mine_and_theirs(django_db_setup, django_db_blocker):
    """Two projects, and the ids of one of everything in the second."""
    with django_db_blocker.unblock(), fresh_project() as mine, fresh_project() as theirs:
        with schema_context(theirs.schema_name):
            ids = ids_by_collection()
        yield mine, theirs, ids


@pytest.fixture
def clients(public, mine_and_theirs):
    mine, theirs, _ = mine_and_theirs
    uuids = {"mine": mine.uuid, "theirs": theirs.uuid, "org": mine.organization.uuid}
    made = {}
    for name, roles in ROLES.items():
        made[name] = APIClient() if name == "nobody" else client_of(mine, wire=[r.format(**uuids) for r in roles])
    for name in ("person", "admin"):
        user = User.objects.create(username=name, is_superuser=name == "admin")
        made[name].credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.for_person(user, 'system-client')}")
    return made


def path_of(route: str, project, theirs: dict[str, str]) -> str:
    """The path with another tenant's resource in it, of the kind that the route is about."""
    parts = re.sub("<(project|projectName|name)>", project.name, route).replace("<regionId>", "any")
    parts = parts.replace("<key>", "abcdefgh").replace("<sid>", "0")  # of an API token and of a sign-in
    parts = parts.replace("<kind>", "db").replace("<digest>", "0")  # of a boot key and of a mirrored file
    parts = parts.replace("<enrolmentId>", "1")
    parts = parts.replace("*", "any").replace("<member>", "somebody").replace("<pk>", "1").removesuffix("/?").split("/")
    for at, part in enumerate(parts):
        if part.startswith("<"):
            parts[at] = theirs.get("/".join(parts[at - 2 : at])) or theirs[parts[at - 1]]
    return "/" + "/".join(parts)


def tried(operation: str, client: APIClient, mine, theirs: dict[str, str]) -> tuple[str, ...]:
    """(status, code of the refusal) of this operation with an empty body. What it did is undone."""
    method, route = operation.split()
    header = {} if route.startswith("v1/") else {"HTTP_ACTIVEPROJECTID": str(mine.uuid)}
    with transaction.atomic():
        answer = client.generic(method, path_of(route, mine, theirs), "{}", content_type="application/json", **header)
        body = b"".join(answer)
        transaction.set_rollback(True)
    assert SECRET.encode() not in body
    if answer.status_code < 400:
        return (str(answer.status_code),)
    return str(answer.status_code), json.loads(body)["code"]


@pytest.mark.parametrize("operation", operations())
def test_each_caller_gets_the_answer_that_is_known_beforehand(operation, clients, mine_and_theirs):
    mine, _, ids = mine_and_theirs
    may, *answer = lines()[operation]
    refusal = ("404", "NotFound") if may in HIDDEN else FORBIDDEN
    expected = {
        name: tuple(answer) if name in MAY[may] else NOBODY if name == "nobody" else refusal for name in clients
    }
    assert {name: tried(operation, client, mine, ids) for name, client in clients.items()} == expected


@pytest.mark.django_db
def test_whoever_has_too_small_a_role_is_told_which_it_takes(acme):
    refused = [
        client_of(acme, "im-r").post("/v1/projects/acme/regions", {"name": "north"}),
        client_of(acme, "im-r").get("/v1/projects/acme/audit"),
        client_of(acme, "en-ob").get("/v1/projects/acme/regions"),
    ]
    assert [(answer.status_code, answer.json()["message"]) for answer in refused] == [
        (403, "You need the role im-rw in project acme"),
        (403, "You need the role im-rw in project acme"),
        (403, "You need the role im-r in project acme"),
    ]


@pytest.mark.parametrize("operation", operations())
def test_where_authentication_is_off_every_operation_has_an_answer(operation, public, mine_and_theirs, settings):
    settings.AUTHENTICATION = False
    mine, _, ids = mine_and_theirs
    assert tried(operation, APIClient(), mine, ids)[0] < "500"


@pytest.mark.parametrize("operation", [one for one in operations() if "v1/projects/<projectName>/" in one])
def test_a_wrong_project_is_refused_in_the_same_words_whether_it_exists_or_not(operation, clients, mine_and_theirs):
    mine, _, ids = mine_and_theirs
    method, route = operation.split()
    for who in ("foreign", "person"):
        there, not_there = (
            clients[who].generic(method, path_of(route, project, ids), "{}", content_type="application/json")
            for project in (mine, Project(name="no-such-project"))
        )
        assert (there.status_code, there.content) == (not_there.status_code, not_there.content)

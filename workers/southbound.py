"""The southbound door: who calls, in whose schema the call runs, and which status code a refusal becomes.

The server is grpc.aio, because onboarding keeps streams open; all database work goes through one bounded thread pool,
which enters the tenant's schema for the call and leaves it after.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import grpc
from django.db import ProgrammingError, close_old_connections
from django_tenants.utils import schema_context
from psycopg.errors import UndefinedTable

from tenants import tokens
from tenants.credentials import AGENT_ROLE, client_id_of
from tenants.errors import BadToken, IssuerAway
from tenants.events import acting_as
from tenants.models import Project
from tenants.models.token import NODE_CLIENT

log = logging.getLogger(__name__)

THREADS = 8  # each with a database connection
GONE = "The token's project is gone"
PROJECT_KNOWN = 5  # seconds for which a project that was ready is taken to be so


class Refusal(Exception):
    """Ends a call with this status code and sentence."""

    def __init__(self, code: grpc.StatusCode, sentence: str = "") -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


@dataclass(frozen=True)
class Node:
    """The edge node that calls, as its token says."""

    schema: str
    project_uuid: UUID
    client_id: str

    @property
    def host_uuid(self) -> UUID:
        return UUID(self.client_id.removeprefix(NODE_CLIENT))

    def must_be(self, host_uuid: UUID) -> None:
        """A node's own credentials speak for that node alone, not for others of its tenant."""
        if self.client_id.startswith(NODE_CLIENT) and self.client_id != client_id_of(host_uuid):
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "This token belongs to another host")


_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="orm")


async def in_database(work: Callable, *args, schema: str = "public", who: str = ""):
    """Run `work(*args)` on a thread of the pool, in this schema, and return what it returns."""
    return await asyncio.get_running_loop().run_in_executor(_pool, _enter, schema, who, work, args)


def _enter(schema: str, who: str, work: Callable, args: tuple):
    close_old_connections()
    try:
        with inside(schema, who):
            return work(*args)
    finally:
        close_old_connections()


@contextmanager
def inside(schema: str, who: str) -> Iterator[None]:
    """In this schema, as this caller. Raises Refusal if it has gone: a project that was ready seconds ago may have."""
    try:
        with schema_context(schema), acting_as(who):
            yield
    except ProgrammingError as fault:
        if isinstance(fault.__cause__, UndefinedTable) and not Project.objects.ready().filter(schema_name=schema):
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, GONE) from fault
        raise


def bearer(context: grpc.aio.ServicerContext) -> str:
    """The token of the call. Raises Refusal: an agent's very first call has the word Bearer and nothing behind it."""
    header = dict(context.invocation_metadata() or ()).get("authorization", "")
    scheme, _, token = str(header).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "A bearer token is needed")
    return token.strip()


def project_named_by(context: grpc.aio.ServicerContext) -> str | None:
    """What the call's metadata say of its project: not believed, only compared with the token."""
    named = dict(context.invocation_metadata() or ()).get("activeprojectid")
    return None if named is None else str(named)


def node_of(token: str, named: str | None = None, roles: tuple[str, ...] = (AGENT_ROLE,)) -> Node:
    """Who calls, with one of these roles in one project. Raises Refusal. Needs the database: call by in_database().

    roles: en-agent-rw for agents; where people onboard machines, en-ob as well. Whoever has them in several projects
    says by `named`, a project's UUID, which one is meant; the token decides whether that is one of theirs.
    """
    try:
        caller = tokens.verify(token)
    except BadToken as wrong:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, str(wrong)) from wrong
    except IssuerAway as away:
        raise Refusal(grpc.StatusCode.UNAVAILABLE, str(away)) from away
    projects = caller.projects_with(*roles)
    if not projects:
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "Request is blocked by RBAC")
    if named is not None:
        projects = {uuid for uuid in projects if str(uuid) == named.strip().lower()}
        if not projects:
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, "The token is not for the project in activeprojectid")
    if len(projects) > 1:
        raise Refusal(
            grpc.StatusCode.UNAUTHENTICATED, f"The token is for {len(projects)} projects: name one by activeprojectid"
        )
    [uuid] = projects
    return Node(_schema_of(uuid, int(time.monotonic() / PROJECT_KNOWN)), uuid, caller.client_id)


@lru_cache(maxsize=1000)
def _schema_of(project_uuid: UUID, _period: int) -> str:
    """Asked of the database once a period: an unchanged heartbeat doesn't touch it. That there is none isn't kept."""
    project = Project.objects.ready().filter(uuid=project_uuid).first()
    if project is None:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, GONE)
    return project.schema_name


def for_nodes(handler: Callable) -> Callable:
    """A unary call of an edge node: `handler(self, node, request)` is plain code that runs in the node's schema."""

    def work(self, token: str, named: str | None, request):
        node = node_of(token, named)
        with inside(node.schema, node.client_id):
            return handler(self, node, request)

    async def call(self, request, context: grpc.aio.ServicerContext):
        return await in_database(work, self, bearer(context), project_named_by(context), request)

    return call

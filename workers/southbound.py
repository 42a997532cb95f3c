"""The southbound door: who calls, in whose schema the call runs, and which status code a refusal becomes.

The server (workers/server.py) is grpc.aio, because onboarding keeps streams open; all database work goes through one
bounded thread pool, which enters the tenant's schema for the call and leaves it after. What says the same as the last
time never gets there: who calls is known, and presence is asked, on the event loop.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Generic, TypeVar
from uuid import UUID

import grpc
from django.db import ProgrammingError, close_old_connections
from django_tenants.utils import schema_context
from psycopg.errors import UndefinedTable

from inventory import presence
from tenants import keys, standing, tokens
from tenants.credentials import AGENT_ROLE, client_id_of
from tenants.errors import BadToken, IssuerAway
from tenants.events import acting_as
from tenants.models import Project
from tenants.models.token import NODE_CLIENT
from tenants.request import bind, bound, id_of

log = logging.getLogger(__name__)

THREADS = 6  # each with a database connection
POLLS = 2  # threads more, for what machines ask again and again: it waits for no queue of those who report
AT_ONCE = 2000  # calls that have a thread or wait for one; a caller beyond that is told to come again
PATIENCE = 2.0  # seconds that an agent's call waits for a thread: the agent waits for 5 in all, and is gone then
GONE = "The token's project is gone"
TOO_MUCH = "The server has more to do than it can: come again later"
PROJECTS_KNOWN = 8  # seconds for which the list of projects that are ready is taken to be right
KNOWN = 20_000  # tokens whose nodes are kept

Made = TypeVar("Made")


class Refusal(Exception):
    """Ends a call with this status code and sentence. because_of: ids of resources of which one has to change before

    the same node is answered otherwise; none if that isn't known.
    """

    def __init__(self, code: grpc.StatusCode, sentence: str = "", *, because_of: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.because_of = code, sentence, because_of


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


_busy = 0  # calls that have a thread, or wait for one
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="orm")
_polls = ThreadPoolExecutor(POLLS, thread_name_prefix="poll")


async def in_database(
    work: Callable, *args, schema: str = "public", who: str = "", poll: bool = False, patience: float = float("inf")
):
    """Run `work(*args)` on a thread of the pool, in this schema, and return what it returns.

    poll: it asks one thing by an index, and writes hardly ever. patience: seconds after which it isn't begun any more.
    """
    global _busy
    if _busy >= AT_ONCE:
        raise Refusal(grpc.StatusCode.UNAVAILABLE, TOO_MUCH)
    _busy += 1
    try:
        knows = copy_context()  # whose call it is, for the log
        pool = _polls if poll else _pool
        until = time.monotonic() + patience
        return await asyncio.get_running_loop().run_in_executor(pool, knows.run, _enter, until, schema, who, work, args)
    finally:
        _busy -= 1


def _enter(until: float, schema: str, who: str, work: Callable, args: tuple):
    if time.monotonic() > until:
        raise Refusal(grpc.StatusCode.UNAVAILABLE, TOO_MUCH)
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
        with schema_context(schema), acting_as(who), bound(schema=schema, who=who):
            yield
    except ProgrammingError as fault:
        if isinstance(fault.__cause__, UndefinedTable) and not Project.objects.ready().filter(schema_name=schema):
            raise Refusal(grpc.StatusCode.UNAUTHENTICATED, GONE) from fault
        raise


# Who calls -----------------------------------------------------------------------------------------------------------


def bearer(context: grpc.aio.ServicerContext) -> str:
    """The token of the call. Raises Refusal: an agent's very first call has the word Bearer and nothing behind it."""
    scheme, _, token = str(_said(context, "authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "A bearer token is needed")
    return token.strip()


def project_named_by(context: grpc.aio.ServicerContext) -> str | None:
    """What the call's metadata say of its project: not believed, only compared with the token."""
    named = _said(context, "activeprojectid")
    return None if named is None else str(named)


def request_id_of(context: grpc.aio.ServicerContext) -> str:
    """What the call is called in the log: the id that it came with, if any."""
    return id_of(str(_said(context, "x-request-id") or ""))


def _said(context: grpc.aio.ServicerContext, name: str) -> str | bytes | None:
    return next((value for key, value in context.invocation_metadata() or () if key == name), None)


async def caller_of(context: grpc.aio.ServicerContext, roles: tuple[str, ...] = (AGENT_ROLE,)) -> Node:
    """The agent, or whoever has one of these roles, that calls. Raises Refusal."""
    token, named = bearer(context), project_named_by(context)
    node = _node_at_hand(token, named) or await in_database(node_of, token, named, roles)
    bind(schema=node.schema, who=node.client_id)
    return node


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
    node = Node(_schema_of(uuid), uuid, caller.client_id)
    if caller.kind is tokens.Kind.NODE:
        if len(_nodes) >= KNOWN:
            _nodes.clear()
        _nodes[token, named] = node, tokens.proof_of(token)
    return node


_nodes: dict[tuple[str, str | None], tuple[Node, tokens.Proof]] = {}


def _node_at_hand(token: str, named: str | None) -> Node | None:
    """What node_of() would say, if that can be told without asking anybody."""
    node, proof = _nodes.get((token, named), (None, None))
    if node is None or not proof.stands() or not _projects.are_fresh():
        return None
    return node if _projects.schemas.get(node.project_uuid) == node.schema else None


@dataclass
class _Projects:
    """Those that are ready, by UUID."""

    schemas: dict[UUID, str]
    at: float

    def are_fresh(self) -> bool:
        return 0 <= time.time() - self.at < PROJECTS_KNOWN


_projects = _Projects({}, float("-inf"))


def renew() -> None:
    """Ask the database for what who calls is known by, before it is too old. Every few seconds, by the server."""
    _renew_projects()
    keys.own.renew()
    standing.node_revoked_at("", kept=standing.KEPT / 3)


def _renew_projects() -> None:
    global _projects
    _projects = _Projects(dict(Project.objects.ready().values_list("uuid", "schema_name")), time.time())


def _schema_of(project_uuid: UUID) -> str:
    """That there is none isn't kept: it may have become ready just now."""
    if not _projects.are_fresh() or project_uuid not in _projects.schemas:
        _renew_projects()
    if project_uuid not in _projects.schemas:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, GONE)
    return _projects.schemas[project_uuid]


# Calls of nodes ------------------------------------------------------------------------------------------------------


class OnceALoop(Generic[Made]):
    """Called, it is what was made for the running event loop, or is now."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self.made: dict[asyncio.AbstractEventLoop, Made] = {}

    def __call__(self) -> Made:
        loop = asyncio.get_running_loop()
        if loop not in self.made:
            self.made[loop] = self._make()
        return self.made[loop]


ears = OnceALoop(presence.Ears)


def for_nodes(handler: Callable) -> Callable[..., Awaitable]:
    """A unary call of an edge node: `handler(self, node, request)` is plain code that runs in the node's schema."""

    @wraps(handler)
    async def call(self, request, context: grpc.aio.ServicerContext):
        node = await caller_of(context)
        return await of_agent(handler, self, node, request)

    return call


async def of_agent(handler: Callable, servicer: object, node: Node, request: Any) -> Any:
    """handler(servicer, node, request), in the node's schema. Raises Refusal also if it would come too late."""
    work = partial(handler, servicer, node, request)
    return await in_database(work, schema=node.schema, who=node.client_id, patience=PATIENCE)


def unless_repeated(report_in: Callable[[Any], presence.Report], answer: Any) -> Callable[[Callable], Callable]:
    """The same, for reports that come again and again: the handler runs if the host has something new to tell.

    report_in(request) tells what it tells, and raises Refusal; answer is what is answered if it has told that before.
    Whoever undoes what a report led to says so by presence.forget().
    """

    def decorate(handler: Callable) -> Callable[..., Awaitable]:
        @wraps(handler)
        async def call(self, request, context: grpc.aio.ServicerContext):
            node = await caller_of(context)
            report = report_in(request)
            node.must_be(report.host_uuid)
            if not await ears().hear(node.schema, report):
                return answer
            try:
                return await of_agent(handler, self, node, request)
            except BaseException:  # also if the caller is gone: nobody knows then whether it was written down
                await ears().forget(node.schema, report)  # is done also if it can't wait for it
                raise

        return call

    return decorate

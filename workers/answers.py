"""Answers to agents that ask the same again and again, kept until something they were made of has changed.

What changed, the journal says: it is read at most once a second, by whichever call comes first, however many nodes ask.
So a call that says and gets what it said and got before costs no statement of its own, and what an operator changes is
in the answer a second later. The same goes for who is refused until something has changed.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db import connection
from google.protobuf.message import Message

from workers.reporting import guid
from workers.southbound import Node, OnceALoop, Refusal, caller_of, in_database, of_agent

LOOK_EVERY = 1.0  # seconds
KEPT = 3600  # seconds, for the longest; agents ask every five minutes and oftener. Half of it for the shortest
MOST = 50_000  # answers in one process
MANY = 5_000  # changes in one look: nothing is kept then

# Kinds whose changes concern the answers of one host alone; a change of the others may concern all of its tenant.
OF_ONE = {"host", "instance"}
OF_ALL = {
    "site", "region", "singleschedule", "repeatedschedule", "osupdatepolicy", "operatingsystem", "telemetryprofile",
    "telemetrygroup",
}  # fmt: skip

Thing = tuple[str, str]  # a schema, and the id of a resource in it; "" stands for all of them


@dataclass(frozen=True)
class Answer:
    message: Message | Refusal
    made_of: tuple[str, ...]  # ids of the host and the instance
    lasts: float = KEPT  # seconds; an answer may depend on the time


@dataclass(frozen=True)
class _Kept:
    message: Message | Refusal
    said: bytes
    things: tuple[Thing, ...]
    as_of: float
    until: float


class Answers:
    """Of one event loop. All times are of the monotonic clock."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, UUID], _Kept] = {}
        self._changed: dict[Thing, float] = {}  # when the look began that found it changed
        self.looked = float("-inf")  # when the last look began
        self._looking: asyncio.Task | None = None
        self._since = 0  # transactions before this one have been seen whole

    async def look(self) -> float:
        """As of when it is known what changed: no longer ago than LOOK_EVERY."""
        if time.monotonic() - self.looked >= LOOK_EVERY:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)  # others wait for it, too
        return self.looked

    async def _look(self) -> None:
        began = time.monotonic()
        is_long_ago = began - self.looked > KEPT
        since, changes = await in_database(changes_since, 0 if is_long_ago else self._since, poll=True)
        if is_long_ago or len(changes) >= MANY:
            self._kept.clear()
        self._changed |= dict.fromkeys(changes, began)
        if len(self._changed) > MOST:
            self._changed = {thing: at for thing, at in self._changed.items() if began - at <= KEPT}
        self._since, self.looked = since, began

    async def refusal(self, key: tuple[str, str, UUID]) -> Refusal | None:
        """The one that holds still. Whoever wasn't refused the last time asks nobody for that."""
        if key not in self._kept:
            return None
        await self.look()
        found = self.find(key, b"")
        if found is None:
            self._kept.pop(key, None)
        return found if isinstance(found, Refusal) else None

    def find(self, key: tuple[str, str, UUID], said: bytes) -> Message | Refusal | None:
        kept = self._kept.get(key)
        if kept is None or kept.said != said or kept.until < time.monotonic():
            return None
        return None if any(self._changed.get(thing, 0) > kept.as_of for thing in kept.things) else kept.message

    def keep(self, key: tuple[str, str, UUID], said: bytes, answer: Answer, as_of: float) -> None:
        """as_of: of the look before the answer was made; what changed later may or may not be in it."""
        self._kept.pop(key, None)
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]  # the oldest
        things = tuple((key[1], resource_id) for resource_id in ("", *answer.made_of))
        # Those that were made in one minute, after a start, aren't to be made anew in one minute.
        until = time.monotonic() + min(answer.lasts, random.uniform(KEPT / 2, KEPT))
        self._kept[key] = _Kept(answer.message, said, things, as_of, until)


def changes_since(transaction: int) -> tuple[int, list[Thing]]:
    """What changed in this transaction or later ones, and the first transaction that isn't over yet.

    What is told once more when that one is over does no harm. From 0 on there is nothing to tell: nothing is kept yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint, schema, kind, resource_id
            FROM (VALUES (1)) AS always LEFT JOIN
                 (SELECT DISTINCT schema, kind, resource_id FROM tenants_event
                  WHERE xid >= %s AND %s > 0 AND kind = ANY(%s) LIMIT %s) AS event ON true
            """,
            [transaction, transaction, [*OF_ONE, *OF_ALL], MANY],
        )
        rows = cursor.fetchall()
    things = [(schema, resource_id if kind in OF_ONE else "") for _, schema, kind, resource_id in rows if schema]
    return rows[0][0], things


answers = OnceALoop(Answers)


def kept(host_in: Callable[[Any], UUID]) -> Callable[[Callable], Callable]:
    """A unary call of an edge node about itself: `handler(self, node, request) -> Answer` runs in the node's schema if

    there is no answer that still holds. host_in(request) tells which host is meant, and raises Refusal if the message
    isn't as it should be.
    """

    def decorate(handler: Callable[..., Answer]) -> Callable[..., Awaitable[Message]]:
        @wraps(handler)
        async def call(self, request, context):
            node: Node = await caller_of(context)
            host_uuid = host_in(request)
            node.must_be(host_uuid)
            key, said = (handler.__name__, node.schema, host_uuid), _digest(request)
            as_of = await answers().look()
            message = answers().find(key, said)
            if message is None:
                answer = await of_agent(handler, self, node, request)
                answers().keep(key, said, answer, as_of)
                message = answer.message
            return message

        return call

    return decorate


def refused_until_it_changes(call: Callable[..., Awaitable]) -> Callable[..., Awaitable]:
    """Around a unary call of an edge node about itself. Who is told to come again comes again and again: as long as

    what was the reason is as it was, that is answered without a question.
    """

    @wraps(call)
    async def answered(self, request, context):
        node: Node = await caller_of(context)
        host_uuid = guid(request.host_guid)
        key = ("refused", node.schema, host_uuid)
        if known := await answers().refusal(key):
            node.must_be(host_uuid)
            raise Refusal(known.code, known.sentence)  # a new one: each carries the trace of its call
        as_of = answers().looked  # however long ago that was: what has changed since then may or may not be the reason
        try:
            return await call(self, request, context)
        except Refusal as refusal:
            if refusal.because_of:
                answers().keep(key, b"", Answer(refusal, refusal.because_of), as_of)
            raise

    return answered


def _digest(request: Message) -> bytes:
    return blake2b(request.SerializeToString(deterministic=True), digest_size=16).digest()

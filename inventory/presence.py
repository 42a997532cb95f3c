"""Who was heard from, and when, and who has been silent for too long: kept in Redis, by Redis' clock.

A heartbeat costs a share of one command: those that come within some milliseconds go together. Silence counts
only while there is a door to speak at: when no southbound server was there for a while, or Redis wasn't, everybody has
the whole time once more. What is here may be lost: restore() brings it back (workers/silence.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

log = logging.getLogger(__name__)

SAID_KEPT = 86400  # seconds; then what a host says is compared with Postgres once more
DOOR_GAP = 15  # seconds without a door after which everybody's time begins anew
LEASE = 30  # seconds for which who sweeps has a silent host; then it is swept again
BATCH = 500  # heartbeats in one command
PACE = 0.005  # seconds between two commands: a command costs more than what is in it
ALIVE = ("Running", "Booting", "Error")  # host statuses of a host that is heard from
BEAT = "beat"  # of all that is told, what proves that a host is alive
NOTHING = ""  # in place of what was told: it is forgotten

# due: host -> when it is silent. seen:<schema>: UUID -> when it was last heard from. said:<schema>:<UUID>: kind of
# report -> what it said. active: tenants that were heard from since the last snapshot. A host is "<schema> <UUID>".
_HEAR = """
local now, silence, kept, answers = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1]), ARGV[2], {}
for i = 3, #ARGV, 4 do
    local schema, uuid, kind, said = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local key = 'said:' .. schema .. ':' .. uuid
    if kind == 'beat' and said ~= '' then
        redis.call('ZADD', 'due', now + silence, schema .. ' ' .. uuid)
        redis.call('HSET', 'seen:' .. schema, uuid, now)
        redis.call('SADD', 'active', schema)
    end
    if said == '' then
        redis.call('HDEL', key, kind)
        answers[#answers + 1] = 1
    elseif redis.call('HGET', key, kind) == said then
        answers[#answers + 1] = 0
    else
        redis.call('HSET', key, kind, said)
        redis.call('EXPIRE', key, kept)
        answers[#answers + 1] = 1
    end
end
return answers
"""
_DOOR = """
local now, open = tonumber(redis.call('TIME')[1]), tonumber(redis.call('GET', 'open') or 0)
if now - open > tonumber(ARGV[1]) then redis.call('SET', 'grace', now + tonumber(ARGV[2])) end
redis.call('SET', 'open', now)
"""
_SWEEP = """
local now, open = tonumber(redis.call('TIME')[1]), tonumber(redis.call('GET', 'open') or 0)
if now - open > tonumber(ARGV[1]) or tonumber(redis.call('GET', 'grace') or 0) > now then return {} end
local silent, lease = redis.call('ZRANGEBYSCORE', 'due', '-inf', now, 'LIMIT', 0, ARGV[3]), now + tonumber(ARGV[2])
for _, host in ipairs(silent) do
    local space = string.find(host, ' ', 1, true)
    redis.call('ZADD', 'due', lease, host)
    redis.call('HDEL', 'said:' .. string.sub(host, 1, space - 1) .. ':' .. string.sub(host, space + 1), 'beat')
end
return {lease, silent}
"""
_LET_GO = """
for i = 2, #ARGV do
    if redis.call('ZSCORE', 'due', ARGV[i]) == ARGV[1] then redis.call('ZREM', 'due', ARGV[i]) end
end
"""
_RESTORE = """
local due = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2])
for i = 3, #ARGV, 2 do
    redis.call('ZADD', 'due', 'NX', due, ARGV[1] .. ' ' .. ARGV[i])
    if ARGV[i + 1] ~= '' then redis.call('HSETNX', 'seen:' .. ARGV[1], ARGV[i], ARGV[i + 1]) end
end
"""

_TIMEOUTS = {"socket_timeout": 2, "socket_connect_timeout": 2, "health_check_interval": 30, "decode_responses": True}
_redis = redis.Redis.from_url(settings.PRESENCE_URL, **_TIMEOUTS)
_door, _sweep, _let_go, _restore = map(_redis.register_script, (_DOOR, _SWEEP, _LET_GO, _RESTORE))

Away = redis.RedisError


def silence() -> int:
    """Seconds without a heartbeat after which a host counts as silent."""
    return settings.HEARTBEAT_SECONDS * settings.HEARTBEATS_MISSED


@dataclass(frozen=True)
class Report:
    """What a host told, as far as it matters whether it has told the same before."""

    host_uuid: UUID
    kind: str
    said: str


class Ears:
    """Hears for one event loop."""

    def __init__(self) -> None:
        self._redis = redis.asyncio.Redis.from_url(settings.PRESENCE_URL, **_TIMEOUTS)
        self._hear = self._redis.register_script(_HEAR)
        self._waiting: list[tuple[tuple[str, str, str, str], asyncio.Future[bool]]] = []
        self._sender: asyncio.Task | None = None
        self._sent = self._complained = 0.0

    async def hear(self, schema: str, report: Report) -> bool:
        """Note that this was told just now. True if it differs from the last time, or nobody knows."""
        return await self._put(schema, report, report.said)

    def forget(self, schema: str, report: Report) -> Awaitable[bool]:
        """This report counts as new when it comes again: it could not be written down. Done also if nobody waits."""
        return self._put(schema, report, NOTHING)

    def _put(self, schema: str, report: Report, said: str) -> asyncio.Future[bool]:
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(((schema, str(report.host_uuid), report.kind, said), answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return answer

    async def close(self) -> None:
        await self._redis.aclose()

    async def _send(self) -> None:
        while self._waiting:
            if (pause := self._sent + PACE - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            self._sent = time.monotonic()
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            news = await self._ask([word for words, _ in batch for word in words], len(batch))
            for (_, answer), is_new in zip(batch, news, strict=True):
                if not answer.done():  # its caller may have gone
                    answer.set_result(bool(is_new))
        self._sender = None

    async def _ask(self, words: list[str], count: int) -> list[int]:
        try:
            return await self._hear(args=[silence(), SAID_KEPT, *words])
        except redis.RedisError as away:
            if time.monotonic() - self._complained > 10:  # seconds, and not once a heartbeat
                self._complained = time.monotonic()
                log.warning("presence is away, comparing with Postgres", extra={"because": away})
            return [1] * count


def forget(schema: str, host_uuid: UUID) -> None:
    """Whatever this host tells next counts as new: what it told could not be written down, or was undone."""
    try:
        _redis.delete(f"said:{schema}:{host_uuid}")
    except redis.RedisError as away:
        log.warning("presence is away", extra={"because": away})


def forget_host(schema: str, host_uuid: UUID) -> None:
    """It is gone, or not trusted any more: nobody waits for it."""
    forget(schema, host_uuid)
    try:
        _redis.zrem("due", f"{schema} {host_uuid}")
        _redis.hdel(f"seen:{schema}", str(host_uuid))
    except redis.RedisError as away:
        log.warning("presence is away", extra={"because": away})


def forget_tenant(schema: str) -> None:
    """Its hosts fall due once more, and then nobody finds them."""
    try:
        _redis.delete(f"seen:{schema}")
    except redis.RedisError as away:
        log.warning("presence is away", extra={"because": away})


def last_seen(schema: str, host_uuid: UUID | None) -> int | None:
    """When it was last heard from, in seconds since 1970. None if never, or if that isn't known just now."""
    try:
        seen = _redis.hget(f"seen:{schema}", str(host_uuid))
    except redis.RedisError as away:
        log.warning("presence is away", extra={"because": away})
        return None
    return int(seen) if seen else None


def heard() -> int:
    """How many hosts were heard from in time, of all tenants. Raises Away."""
    now, _ = _redis.time()
    return int(_redis.zcount("due", now, "+inf"))


# For those who watch over silence: all of these raise Away ------------------------------------------------------------


def door_is_open() -> None:
    """Said every few seconds by each southbound server."""
    _door(args=[DOOR_GAP, silence()])


def sweep(most: int) -> tuple[str, list[tuple[str, UUID]]]:
    """Hosts that are silent, as (schema, UUID), and the lease under which the caller has them for LEASE seconds."""
    found = _sweep(args=[DOOR_GAP, LEASE, most])
    if not found:
        return "", []
    lease, hosts = found
    return str(lease), [(schema, UUID(uuid)) for schema, uuid in (host.split(" ") for host in hosts)]


def still_silent(lease: str, schema: str, uuids: Iterable[UUID]) -> set[UUID]:
    """Those that nobody has heard from since they were swept under this lease."""
    uuids = list(uuids)
    if not uuids:
        return set()
    scores = _redis.zmscore("due", [f"{schema} {uuid}" for uuid in uuids])
    return {uuid for uuid, score in zip(uuids, scores, strict=True) if score is not None and int(score) == int(lease)}


def let_go(lease: str, schema: str, uuids: Iterable[UUID]) -> None:
    """Nobody waits for these any more, unless they were heard from since."""
    _let_go(args=[lease, *(f"{schema} {uuid}" for uuid in uuids)])


def is_known() -> bool:
    """Whether Redis still has what it was told, or has been given it back."""
    return bool(_redis.exists("known"))


def is_lost() -> bool:
    """That it hasn't, said once: whoever hears it restores, and then says that it's there again."""
    return not is_known() and bool(_redis.set("restoring", 1, nx=True, ex=60))


def is_there_again() -> None:
    _redis.set("known", int(time.time()))
    _redis.delete("restoring")


def restore(schema: str, seen: Mapping[str, int | None]) -> None:
    """Wait for these hosts again, by UUID, from now on; as for when they were last heard from, what is known stands."""
    words = [str(word) if word is not None else "" for pair in seen.items() for word in pair]
    for start in range(0, len(words), 2 * BATCH):
        _restore(args=[schema, silence(), *words[start : start + 2 * BATCH]])


def active() -> Iterable[str]:
    """The tenants that were heard from since this was asked last."""
    with _redis.pipeline() as both:
        return both.smembers("active").delete("active").execute()[0]


def seen_in(schema: str) -> dict[str, int]:
    """When each host of a tenant was last heard from: UUID -> seconds since 1970."""
    return {uuid: int(at) for uuid, at in _redis.hgetall(f"seen:{schema}").items()}

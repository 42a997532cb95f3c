"""A heartbeat that says what the last one said: most of what a southbound server does."""

from functools import cache, partial

import redis.asyncio
from django.conf import settings

from bench import nodes
from bench.declare import Bench, Side


@cache
def _redis() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(settings.PRESENCE_URL)


@nodes.with_token
async def heard(request) -> None:
    await _redis().hget(f"floor:{request.host_guid}", "said")


bench = Bench(
    name="heartbeat-unchanged",
    ours=Side("a heartbeat that says nothing new", partial(nodes.heartbeats, method=nodes.OURS, changing=False)),
    floor=Side(
        "a method of the same server that verifies the token and asks Redis once",
        partial(nodes.heartbeats, method=nodes.floor("Heard"), changing=False),
    ),
    figures=nodes.FIGURES,
    calls={"Heard": heard},
)

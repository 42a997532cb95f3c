"""Who was heard from, and when: one Redis call a heartbeat, so that an unchanged one never touches Postgres."""

import logging
import time
from uuid import UUID

import redis
from django.conf import settings

log = logging.getLogger(__name__)

KEPT = 86400  # seconds; a host that comes back later is compared with Postgres again

_redis = redis.Redis.from_url(
    settings.PRESENCE_URL, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30, decode_responses=True
)


def heard(schema: str, host_uuid: UUID, said: str) -> bool:
    """Note that this host was heard from just now. True if it said something else than last time, or nobody knows."""
    try:
        before = _redis.set(f"heard:{schema}:{host_uuid}", f"{int(time.time())} {said}", ex=KEPT, get=True)
    except redis.RedisError as away:
        log.warning("presence is away, comparing with Postgres", extra={"because": away})
        return True
    return (before or "").partition(" ")[2] != said


def forget(schema: str, host_uuid: UUID) -> None:
    """Whatever this host says next counts as new: what it said could not be written down, or was undone."""
    try:
        _redis.delete(f"heard:{schema}:{host_uuid}")
    except redis.RedisError as away:
        log.warning("presence is away", extra={"because": away})

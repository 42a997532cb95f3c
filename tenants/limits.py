"""How much anybody may ask for: requests by tenant and by address, wrong passwords by account and by address.

Counted in Redis, by the `limits` library, in a database of their own. Without Redis requests aren't limited, and
wrong passwords are counted in the process.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from functools import cache

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest, HttpResponse
from limits import RateLimitItem, parse, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from rest_framework.throttling import BaseThrottle

from tenants.errors import ResourceError, TooMany
from tenants.request import refused

log = logging.getLogger(__name__)

PAUSE = 5.0  # seconds for which a Redis that didn't answer isn't asked again
MOST = 10_000  # of whom a process knows that they have hits that are counted already

# Wrong passwords. Each line lets somebody go on a little later than the one before, and none locks an account for good.
OF_AN_ACCOUNT = parse_many("5 per 15 seconds; 10 per 2 minutes; 20 per 15 minutes; 50 per hour")
OF_AN_ACCOUNT_ANYWHERE = parse_many("100 per 15 minutes; 300 per hour")
OF_AN_ADDRESS = parse_many("30 per minute; 150 per 15 minutes; 300 per hour")
# Refusals that are written into the audit: a flood of them mustn't fill the disk.
REFUSALS_OF_AN_ADDRESS = parse_many("60 per minute; 600 per hour")
REFUSALS = parse_many("600 per minute; 6000 per hour")


class Limiter:
    """Counts hits in Redis, and otherwise as `otherwise` does; if that is None, everything passes."""

    def __init__(self, url: str, otherwise: FixedWindowRateLimiter | None) -> None:
        # Two installations may share a Redis; they don't share their limits.
        storage = RedisStorage(
            url, wrap_exceptions=True, key_prefix=f"limits:{settings.DATABASES['default']['NAME']}",
            socket_timeout=0.2, socket_connect_timeout=0.2,
        )  # fmt: skip
        self.storage, self._redis, self._otherwise = storage, FixedWindowRateLimiter(storage), otherwise
        self._away_until = 0.0
        self._paid: dict[tuple[RateLimitItem | str, ...], int] = {}

    def hit(self, limits: Sequence[RateLimitItem], *whose: str) -> int:
        """Count one more. Returns 0, or after how many seconds it may be tried again.

        Whom a shorter limit stops isn't counted by the longer ones: a pause is a pause.
        """
        for limit in limits:
            if not self._ask("hit", limit, *whose):
                return self._wait(limit, *whose)
        return 0

    def hit_often(self, limits: Sequence[RateLimitItem], *whose: str) -> int:
        """As hit(), for what comes by the thousand: a hundredth of the limit is counted at once, beforehand, and then

        used up without asking. So somebody may be stopped by a hundredth too early, and limits below 100 are exact.
        """
        for limit in limits:
            if paid := self._paid.get((limit, *whose), 0):
                self._paid[limit, *whose] = paid - 1
                continue
            ahead = limit.amount // 100
            if not self._ask("hit", limit, *whose, cost=1 + ahead):
                return self._wait(limit, *whose)
            if ahead:
                if len(self._paid) >= MOST:
                    self._paid.clear()
                self._paid[limit, *whose] = ahead
        return 0

    def test(self, limits: Sequence[RateLimitItem], *whose: str) -> int:
        """As hit(), without counting."""
        for limit in limits:
            if not self._ask("test", limit, *whose):
                return self._wait(limit, *whose)
        return 0

    def clear(self, limits: Sequence[RateLimitItem], *whose: str) -> None:
        for limit in limits:
            self._ask("clear", limit, *whose)

    def _wait(self, limit: RateLimitItem, *whose: str) -> int:
        stats = self._ask("get_window_stats", limit, *whose)
        resets_at = limit.get_expiry() + time.time() if stats is True else stats.reset_time
        return max(1, round(resets_at - time.time() + 0.5))

    def _ask(self, verb: str, *arguments, **options):
        if time.monotonic() >= self._away_until:
            try:
                return getattr(self._redis, verb)(*arguments, **options)
            except StorageError as away:
                self._away_until = time.monotonic() + PAUSE
                log.warning("Redis is away, so requests are not limited", extra={"because": away.storage_error})
        return getattr(self._otherwise, verb)(*arguments, **options) if self._otherwise else True


@cache
def of_requests() -> Limiter:
    return Limiter(settings.LIMITS_URL, None)


@cache
def of_few() -> Limiter:
    """For what must be limited in any case: wrong passwords, and lines in the audit."""
    return Limiter(settings.LIMITS_URL, FixedWindowRateLimiter(MemoryStorage()))


@cache
def _limit(text: str) -> list[RateLimitItem]:
    """`200/second`, as the settings have it; `off` and nothing limit nothing."""
    return [] if text in ("", "off") else [parse(text)]


def network_of(address: str) -> str:
    """Whom an address stands for: of IPv6, everybody has 2^64."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


# Requests --------------------------------------------------------------------------------------------------------


class AddressMiddleware:
    """Limits the requests of a client's address. Refusals of the login backend get their answer here, too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        _limit(settings.LIMIT_ADDRESS), _limit(settings.LIMIT_TENANT)  # a wrong one ends the start, not each request

    def __call__(self, request: HttpRequest) -> HttpResponse:
        network = network_of(request.client_address)
        if wait := of_requests().hit_often(_limit(settings.LIMIT_ADDRESS), "address", network):
            return refused(request, TooMany("Too many requests from your address", wait))
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        """What a plain Django view, like the login page, lets pass; those of DRF have a handler of their own."""
        return refused(request, problem) if isinstance(problem, ResourceError) else None


class TenantThrottle(BaseThrottle):
    """Limits the requests of a tenant. DRF asks after the permissions, so strangers can't use a tenant's share up."""

    def allow_request(self, request, view) -> bool:
        if project := getattr(request, "project", None):
            wait = of_requests().hit_often(_limit(settings.LIMIT_TENANT), "tenant", project.schema_name)
            if wait:
                raise TooMany(f"Too many requests for project {project}", wait)
        return True


# Passwords -------------------------------------------------------------------------------------------------------


class PatientBackend(ModelBackend):
    """Passwords, whoever asks for them (login pages, token service), with pauses that grow with every wrong one.

    An account that doesn't exist is slowed down as one that does. Raises TooMany.
    """

    def authenticate(self, request, username=None, password=None, **kwargs):
        if username is None or password is None:
            return None
        # A name may be of any length, or a password typed into the wrong line.
        account = hashlib.sha256(username.encode(errors="replace")).hexdigest()[:32]
        address = network_of(getattr(request, "client_address", ""))
        limiter = of_few()
        # An account's tries are counted beforehand, so that many at once aren't let through together; from each address
        # apart, so that a stranger's guesses don't keep its owner out.
        wait = (
            limiter.test(OF_AN_ADDRESS, "guesses", address)
            or limiter.hit(OF_AN_ACCOUNT, "account", account, address)
            or limiter.hit(OF_AN_ACCOUNT_ANYWHERE, "account", account)
        )
        if wait:
            raise TooMany("Too many wrong passwords: wait before you try again", wait)
        user = super().authenticate(request, username, password, **kwargs) if username.isprintable() else None
        if user is None:
            limiter.hit(OF_AN_ADDRESS, "guesses", address)
        else:
            limiter.clear(OF_AN_ACCOUNT, "account", account, address)
            limiter.clear(OF_AN_ACCOUNT_ANYWHERE, "account", account)
        return user

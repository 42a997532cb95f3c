"""What we know of those whom tokens speak for, and what has ended since the tokens were given.

Kept for KEPT seconds in each process: so long, at most, a token outlives a role, a password, a person, a sign-in or a
node's credentials; and no request that comes in between asks the database.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django_tenants.utils import schema_context

from tenants.models import ApiToken, RevokedNode, SignIn, User
from tenants.models.token import stamp_of
from tenants.roles import roles_of

KEPT = 15  # seconds
MOST = 20_000  # people, or tokens, of whom that is kept

_people: dict[int, "Standing"] = {}
_api_tokens: dict[str, "Known"] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Standing:
    """A person, or a service account."""

    is_active: bool = False
    name: str = ""
    stamp: str = ""
    is_staff: bool = False
    is_superuser: bool = False
    is_service: bool = False
    roles: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()  # sign-ins whose tokens may be about yet
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Known:
    """An API token."""

    user_id: int
    secret_hash: str
    expires: float
    revoked: bool
    read_only: bool
    projects: frozenset[str] | None  # UUIDs; None: all
    name: str
    at: float = field(default_factory=time.time)


@dataclass
class Revoked:
    nodes: dict[str, float] = field(default_factory=dict)  # client id: when, in seconds since the epoch
    at: float = float("-inf")


_revoked = Revoked()


def forget() -> None:
    """For whoever has just changed something here, and for tests: this process asks anew."""
    global _revoked
    _people.clear()
    _api_tokens.clear()
    _revoked = Revoked()


def of(user_id: int, anew: bool = False) -> Standing:
    """What is known; anew: asked now, for whoever is about to be refused what they may have just been given."""
    standing = None if anew else _people.get(user_id)
    if standing is None or not 0 <= time.time() - standing.at < KEPT:
        standing = _kept(_people, user_id, _load(user_id))
    return standing


def of_api_token(key: str) -> Known | None:
    known = _api_tokens.get(key)
    if known is None or not 0 <= time.time() - known.at < KEPT:
        known = _load_api_token(key)
        if known is not None:
            _kept(_api_tokens, key, known)
    return known


def node_revoked_at(client_id: str, kept: float = KEPT) -> float:
    """When this node's credentials were last revoked, in seconds since the epoch; long ago if they never were.

    kept: how many seconds ago that may have been asked.
    """
    global _revoked
    revoked = _revoked
    if not 0 <= time.time() - revoked.at < kept and _loading.acquire(blocking=revoked.at < 0):
        try:  # one thread asks, the others go on with what they know
            if _revoked is revoked:
                _revoked = _load_revoked()
        finally:
            _loading.release()
    return _revoked.nodes.get(client_id, float("-inf"))


def node_stands(client_id: str, issued: float) -> bool:
    """Whether what this node was given then is good yet. False also when that can't be told without asking."""
    fresh = 0 <= time.time() - _revoked.at < KEPT
    return fresh and issued > _revoked.nodes.get(client_id, float("-inf"))


def _kept(kept: dict, key, value):
    if len(kept) >= MOST:
        kept.clear()
    kept[key] = value
    return value


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), tz=UTC)


def _load(user_id: int) -> Standing:
    user = User.objects.select_related("service_client").filter(pk=user_id).first()
    if user is None or not user.is_active:
        return Standing()
    client = getattr(user, "service_client", None)
    if client is not None and not client.enabled:
        return Standing()
    since = _now() - timedelta(seconds=settings.TOKEN_LIFETIME)
    ended = SignIn.objects.filter(user=user, ended_at__gt=since).values_list("sid", flat=True)
    return Standing(
        True, user.get_username(), stamp_of(user), user.is_staff, user.is_superuser, client is not None,
        frozenset(roles_of(user)), frozenset(ended),
    )  # fmt: skip


def _load_api_token(key: str) -> Known | None:
    token = ApiToken.objects.filter(key=key).first()
    if token is None:
        return None
    now = _now()
    if token.revoked_at is None and (token.used_at is None or token.used_at < now - timedelta(hours=1)):
        ApiToken.objects.filter(pk=token.pk).update(used_at=now)
    projects = None if token.everywhere else frozenset(map(str, token.projects.values_list("uuid", flat=True)))
    return Known(
        token.user_id, token.secret_hash, token.expires_at.timestamp(), token.revoked_at is not None, token.read_only,
        projects, token.name,
    )  # fmt: skip


def _load_revoked() -> Revoked:
    """A constant cost, whatever the number of nodes: one query a process and KEPT seconds."""
    came = time.time()
    since = _now() - timedelta(seconds=settings.TOKEN_LIFETIME)
    with schema_context("public"):
        rows = RevokedNode.objects.filter(at__gt=since).order_by("at").values_list("client_id", "at")
        return Revoked({client_id: at.timestamp() for client_id, at in rows}, came)

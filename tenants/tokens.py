"""Bearer tokens: who is asking, and what they may do where. HTTP and gRPC both ask here.

Three kinds come in: JWTs of the embedded token service (tenants/issuer.py), JWTs of the OIDC issuers that we trust
(EIM_OIDC_ISSUER), and API tokens (eim_...). What a person known here may do is looked up here, whatever their token
says; the roles of whom only an external issuer knows are those in its token.
"""

import re
import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from tenants import keys, standing
from tenants.errors import BadToken
from tenants.models import Project, Role, User
from tenants.models.token import NODE_CLIENT, matches, stamp_of
from tenants.roles import roles_of

REALM = "/realms/master"
LEEWAY = 10  # seconds by which an issuer's clock may be ahead of ours
MOST_ROLES = 40  # that a person's token lists, for clients that look; more make headers that servers refuse
API_TOKEN = re.compile(r"eim_([a-z0-9]{8})_([A-Za-z0-9_-]{43})\Z")
NOT_ACCESS = {"ID", "Refresh", "Offline", "Logout"}  # what Keycloak and we write as `typ` into tokens of other uses
PROJECT_ROLES = {Role.READ, Role.WRITE, Role.ONBOARD, Role.AGENT}


class Kind(StrEnum):
    PERSON = "person"
    SERVICE = "service account"
    NODE = "edge node"
    API_TOKEN = "API token"  # noqa: S105  a name
    EXTERNAL = "external identity"


@dataclass(frozen=True)
class Caller:
    """Whoever holds the token. roles are as in realm_access.roles, "<project's uuid>_im-rw"."""

    kind: Kind
    subject: str
    name: str
    client_id: str
    roles: frozenset[str]
    user_id: int | None = None
    sign_in: str = ""
    is_staff: bool = False
    is_superuser: bool = False
    is_narrowed: bool = False  # an API token that may less than its owner
    expires: float = 0  # of an external identity: when what its token says is over

    is_authenticated = True  # what DRF and Django ask of a user
    is_active = True
    is_anonymous = False

    def __str__(self) -> str:
        return self.name

    @property
    def pk(self) -> str:
        return self.subject

    def get_username(self) -> str:
        return self.name

    get_short_name = get_full_name = get_username

    def roles_in(self, project: Project) -> frozenset[str]:
        return _by_prefix(self.roles).get(str(project.uuid), frozenset())

    def projects_with(self, *roles: str) -> set[UUID]:
        """Of all that are named in the token; whether they are there yet, the caller asks."""
        prefixes = _by_prefix(self.roles).items()
        return {UUID(prefix) for prefix, held in prefixes if held.intersection(roles) and _is_uuid(prefix)}

    def the_project(self, *roles: str) -> UUID:
        """The one project in which the caller has one of these roles. Raises BadToken if that is none, or several."""
        projects = self.projects_with(*roles)
        if len(projects) != 1:
            raise BadToken(f"The token has a role {' or '.join(roles)} in {len(projects) or 'no'} project, not in one")
        return projects.pop()


@lru_cache(maxsize=4096)
def _by_prefix(roles: frozenset[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for role in roles:
        prefix, _, rest = role.partition("_")
        if rest:
            found.setdefault(prefix, set()).add(rest)
    return {prefix: frozenset(rest) for prefix, rest in found.items()}


# Given out -----------------------------------------------------------------------------------------------------------


def for_person(user: User, client_id: str, *, issuer: str = "", lifetime: int | None = None, **claims: Any) -> str:
    """An access token for somebody known here, valid for `lifetime` seconds. claims: sid, nonce and scope, if any."""
    roles = sorted(roles_of(user))
    person = {
        "sub": subject_of(user),
        "preferred_username": user.get_username(),
        "stamp": stamp_of(user),
        "realm_access": {"roles": roles if len(roles) <= MOST_ROLES else []},
        "resource_access": {},
    }
    return signed(
        {"typ": "Bearer", "aud": "account", "azp": client_id} | person | claims,
        issuer or settings.TOKEN_ISSUER, lifetime or settings.TOKEN_LIFETIME,
    )  # fmt: skip


def for_node(client_id: str, project: UUID, *, issuer: str = "") -> str:
    """An access token for an edge node of this project."""
    claims = {
        "typ": "Bearer",
        "aud": "account",
        "azp": client_id,
        "sub": client_id,
        "preferred_username": f"service-account-{client_id}",
        "realm_access": {"roles": [f"{project}_{Role.AGENT}"]},
    }
    return signed(claims, issuer or settings.TOKEN_ISSUER, settings.TOKEN_LIFETIME)


def subject_of(user: User) -> str:
    return f"user-{user.pk}"


def signed(claims: dict[str, Any], issuer: str, lifetime: float) -> str:
    """A JWT of ours. iat_ms is the time of issue to the millisecond, to compare with that of a revocation."""
    now = time.time()
    kid, key = keys.signing()
    times = {"iat": int(now), "iat_ms": int(now * 1000), "exp": int(now + lifetime)}
    return jwt.encode({"iss": issuer, "jti": uuid.uuid4().hex} | times | claims, key, "RS256", {"kid": kid})


# Shown to us ---------------------------------------------------------------------------------------------------------


def verify(token: str, anew: bool = False) -> Caller:
    """Raises BadToken, which says why, or IssuerAway when an issuer's keys can't be had.

    anew: with a person's roles as they are now, which costs some queries, not as they were seconds ago.
    """
    if token.startswith("eim_"):
        return _of_api_token(token, anew)
    read = proof_of(token)
    if read.expires <= time.time():
        raise BadToken("The token has expired")
    read.ring.find(read.kid)  # a key that was withdrawn takes its tokens with it
    if read.external is not None:
        return read.external
    if read.user_id is None:
        return _of_node(read)
    person = standing.of(read.user_id, anew)
    if not person.is_active:
        raise BadToken("Whom the token was given to is not known, or not active, any more")
    if person.stamp != read.stamp:
        raise BadToken("The token was given on the strength of a password or secret that has changed")
    if read.sign_in in person.ended:
        raise BadToken("The sign-in that the token belongs to has ended")
    kind = Kind.SERVICE if person.is_service else Kind.PERSON
    return Caller(
        kind, read.subject, person.name, read.client_id, person.roles, read.user_id, read.sign_in,
        person.is_staff, person.is_superuser,
    )  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """What a token with a good signature says."""

    ring: keys.Ring = field(repr=False)
    kid: str
    expires: float
    issued: float
    subject: str
    client_id: str
    roles: frozenset[str]
    user_id: int | None = None
    stamp: str = ""
    sign_in: str = ""
    external: Caller | None = None

    def stands(self) -> bool:
        """Of a node's token: would it be accepted now? False also when that can't be told without asking somebody."""
        if self.user_id is not None or self.external is not None or self.expires <= time.time():
            return False
        return self.ring.has(self.kid) and standing.node_stands(self.subject, self.issued)


@lru_cache(maxsize=20_000)  # whoever calls sends the same token for an hour, and a signature stays good
def proof_of(token: str) -> Proof:
    """Raises BadToken and IssuerAway; such a token is not kept."""
    try:
        head = jwt.get_unverified_header(token)
        said = jwt.decode(token, options={"verify_signature": False})
        issuer = said.get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError) as wrong:
        raise BadToken(f"The token is malformed: {_short(wrong)}") from wrong
    ours = isinstance(issuer, str) and is_ours(issuer)
    if not ours and issuer not in settings.EIM_OIDC_ISSUERS:
        raise BadToken("The token's issuer is none that is trusted here")
    if head.get("alg") not in keys.ALGORITHMS:
        raise BadToken("The token's algorithm is none that is accepted: RS*, PS* and ES* are")
    ring = keys.own if ours else keys.of_issuer(issuer)
    kid = head.get("kid", "")
    if not isinstance(kid, str):
        raise BadToken("The token is malformed: its kid is no text")
    key = ring.find(kid)
    audience = None if ours else settings.EIM_OIDC_AUDIENCE or None
    try:
        claims = jwt.decode(
            token, key.public, algorithms=list(key.algorithms), issuer=issuer, audience=audience, leeway=LEEWAY,
            options={"require": ["exp", "sub"], "verify_aud": audience is not None},
        )  # fmt: skip
        expires, issued = float(claims["exp"]), float(claims.get("iat_ms", 0)) / 1000
    except jwt.ExpiredSignatureError as wrong:
        raise BadToken("The token has expired") from wrong
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError) as wrong:
        raise BadToken(f"The token is no good: {_short(wrong)}") from wrong
    if claims.get("typ") in NOT_ACCESS or (ours and claims.get("typ") != "Bearer"):
        raise BadToken("This is no access token")
    subject, client_id = claims["sub"], _text(claims.get("azp")) or _text(claims.get("client_id"))
    roles = _roles(claims)
    if not ours:
        name = _text(claims.get("preferred_username")) or subject
        caller = Caller(Kind.EXTERNAL, f"{issuer} {subject}", name, client_id, roles, expires=expires)
        return Proof(ring, kid, expires, issued, subject, client_id, roles, external=caller)
    person = re.fullmatch(r"user-(\d{1,18})", subject)
    if person is None and not subject.startswith(NODE_CLIENT):
        raise BadToken("The token speaks neither for a person nor for a node")
    user_id = int(person[1]) if person else None
    return Proof(
        ring, kid, expires, issued, subject, client_id, roles, user_id, claims.get("stamp", ""), claims.get("sid", "")
    )


@lru_cache(maxsize=1024)
def is_ours(issuer: str) -> bool:
    """The embedded service is called as it is reached, under any name that this server answers to; or by its one name.

    Our signature is what counts; this only keeps a token from being taken for one of somebody else's.
    """
    if settings.EIM_PUBLIC_URL:
        return issuer == settings.TOKEN_ISSUER
    scheme, _, rest = issuer.partition("://")
    host, realm = rest.removesuffix(REALM), rest.endswith(REALM)
    return realm and scheme in ("http", "https") and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def claims_of(token: str) -> dict[str, Any]:
    """What a token of ours says, whatever its use and if its time is over. Raises BadToken and IssuerAway."""
    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
        key = keys.own.find(kid if isinstance(kid, str) else "")
        return jwt.decode(token, key.public, ["RS256"], options={"verify_exp": False, "verify_aud": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as wrong:
        raise BadToken(f"The token is no good: {_short(wrong)}") from wrong


def _of_node(read: Proof) -> Caller:
    if read.issued <= standing.node_revoked_at(read.subject):
        raise BadToken("The node's credentials have been revoked")
    return Caller(Kind.NODE, read.subject, read.subject, read.client_id, read.roles)


def _of_api_token(token: str, anew: bool) -> Caller:
    found = API_TOKEN.match(token)
    known = standing.of_api_token(found[1]) if found else None
    if found is None or known is None or not matches(found[2], known.secret_hash):
        raise BadToken("There is no such API token")
    if known.revoked:
        raise BadToken("The API token has been revoked")
    if known.expires <= time.time():
        raise BadToken("The API token has expired")
    owner = standing.of(known.user_id, anew)
    if not owner.is_active:
        raise BadToken("Whose API token this is, is not known, or not active, any more")
    whole = not known.read_only and known.projects is None
    return Caller(
        Kind.API_TOKEN, f"user-{known.user_id}", owner.name, f"eim_{found[1]}",
        narrowed(owner.roles, known.read_only, known.projects), known.user_id,
        is_staff=owner.is_staff and whole, is_superuser=owner.is_superuser and whole, is_narrowed=not whole,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def narrowed(roles: frozenset[str], read_only: bool, projects: frozenset[str] | None) -> frozenset[str]:
    """What remains of somebody's roles in a token that only reads, or that is for some projects only."""
    if projects is not None:
        roles = frozenset(role for role in roles if _project_of(role) in projects)
    if not read_only:
        return roles
    reading = {role.replace(f"_{Role.WRITE}", f"_{Role.READ}") for role in roles}
    may = (f"_{Role.READ}", f"_{Role.READ_PROJECTS}", "_m")
    return frozenset(role for role in reading if role.endswith(may) or role == Role.READ_ORGANIZATIONS)


def _project_of(role: str) -> str:
    """The UUID in "<project>_im-r" and "<organization>_<project>_m"; none in roles that are no project's."""
    prefix, _, rest = role.partition("_")
    if rest in PROJECT_ROLES:
        return prefix
    return rest.removesuffix("_m") if rest.endswith("_m") else ""


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    access = claims.get("realm_access")
    roles = access.get("roles") if isinstance(access, dict) else None
    return frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _short(wrong: Exception) -> str:
    return str(wrong)[:200]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False

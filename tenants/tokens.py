"""Bearer tokens: who is asking, and what they may do where. HTTP and gRPC both ask here."""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings

from tenants.errors import BadToken
from tenants.models import Project, SigningKey
from tenants.secrets import unseal

_ROLE = re.compile(r"^([0-9a-f-]{36})_([a-z-]+)$")


@dataclass(frozen=True)
class Caller:
    """Whoever holds the token. roles are (project's UUID, role) as in realm_access.roles, "<uuid>_im-rw"."""

    name: str
    client_id: str
    roles: frozenset[tuple[UUID, str]]

    is_authenticated = True  # what DRF asks of a user
    is_active = True

    def roles_in(self, project: Project) -> set[str]:
        return {role for uuid, role in self.roles if uuid == project.uuid}

    def the_project(self, *roles: str) -> UUID:
        """The one project in which the caller has one of these roles. Raises BadToken if that is none, or several."""
        projects = {uuid for uuid, role in self.roles if role in roles}
        if len(projects) != 1:
            raise BadToken(f"The token has a role {' or '.join(roles)} in {len(projects) or 'no'} project, not in one")
        return projects.pop()


def sign(name: str, client_id: str, roles: list[str], lifetime: int | None = None) -> str:
    """A token for `name`, valid for `lifetime` seconds. roles as the clients know them: "<project uuid>_im-rw"."""
    now = int(time.time())
    kid, key = _newest_key()
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "sub": name,
        "preferred_username": name,
        "azp": client_id,
        "typ": "Bearer",
        "iat": now,
        "exp": now + (lifetime or settings.TOKEN_LIFETIME),
        "realm_access": {"roles": roles},
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})


def verify(token: str) -> Caller:
    """Raises BadToken, which says why."""
    caller, expires = _verified(token)
    if expires <= time.time():
        raise BadToken("The token is no good: Signature has expired")
    return caller


@lru_cache(maxsize=10_000)  # whoever calls sends the same token for an hour, and a signature stays good
def _verified(token: str) -> tuple[Caller, int]:
    """The caller, and when the token ends. A token that is no good is not kept."""
    try:
        key = _public_key(jwt.get_unverified_header(token).get("kid", ""))
        claims = jwt.decode(
            token, key, algorithms=["RS256"], issuer=settings.TOKEN_ISSUER, options={"require": ["exp", "sub"]}
        )
    except (jwt.PyJWTError, SigningKey.DoesNotExist) as wrong:
        raise BadToken(f"The token is no good: {wrong}") from wrong
    roles = claims.get("realm_access", {}).get("roles", [])
    matches = filter(None, (_ROLE.match(role) for role in roles if isinstance(role, str)))
    caller = Caller(
        name=claims.get("preferred_username", claims["sub"]),
        client_id=claims.get("azp", ""),
        roles=frozenset((UUID(found[1]), found[2]) for found in matches if _is_uuid(found[1])),
    )
    return caller, int(claims["exp"])


def published_keys() -> list[dict]:
    """The public keys, as the JWKS document lists them."""
    documents = []
    for kid in SigningKey.objects.order_by("-pk").values_list("kid", flat=True):
        document = jwt.algorithms.RSAAlgorithm.to_jwk(_public_key(kid), as_dict=True)
        documents.append({**document, "kid": kid, "alg": "RS256", "use": "sig"})
    return documents


@lru_cache(maxsize=8)  # a kid's key never changes; a deleted one is forgotten with the process
def _private_key(kid: str) -> rsa.RSAPrivateKey:
    pem = unseal(SigningKey.objects.get(kid=kid).private_pem_sealed)
    key = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)  # issuer.py makes no others
    return key


@lru_cache(maxsize=8)
def _public_key(kid: str) -> rsa.RSAPublicKey:
    return _private_key(kid).public_key()


def _newest_key() -> tuple[str, rsa.RSAPrivateKey]:
    kid = SigningKey.objects.order_by("-pk").values_list("kid", flat=True).first()
    if kid is None:
        raise BadToken("There is no signing key yet: run `manage.py create_admin` or `manage.py make_signing_key`")
    return kid, _private_key(kid)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True

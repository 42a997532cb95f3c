"""The keys that tokens are verified with: our own, and those that the OIDC issuers which we trust publish.

A ring of keys is asked of its source when it has grown old, or when a token names a key that it hasn't got; but never
oftener than once a pause, however many bad tokens come. If the source can't be asked, the keys that are known go on.
"""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from http.client import HTTPException
from secrets import token_hex
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from tenants.errors import BadToken, IssuerAway
from tenants.models import SigningKey
from tenants.secrets import seal, unseal

OWN_FRESH, OWN_PAUSE = 20, 1  # seconds
ISSUERS_FRESH, ISSUERS_PAUSE, ISSUERS_KEPT = 300, 10, 3600
PROPAGATION = 60  # seconds between a new key's publication and its first signature; more than OWN_FRESH
FETCH_SECONDS = 5
LONGEST_DOCUMENT = 1_000_000  # bytes

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS = (*RSA_ALGORITHMS, *EC_ALGORITHMS.values())


@dataclass(frozen=True)
class Key:
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    algorithms: tuple[str, ...]  # what it may have signed with; none is symmetric


class Ring:
    """Keys by kid. Threads share it: one asks the source, the others go on with what they know, if they can."""

    def __init__(self, source: Callable[[], Mapping[str, Key]], fresh: float, pause: float, kept: float = 0):
        self._source, self._fresh, self._pause, self._kept = source, fresh, pause, kept
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._keys: dict[str, Key] = {}
        self._published: dict[str, float] = {}  # when each was last seen in the source
        self._asked = self._answered = float("-inf")
        self._why = ""

    def find(self, kid: str) -> Key:
        """Raises BadToken if there is no such key, IssuerAway if nobody could ever be asked."""
        if not 0 <= time.time() - self._answered < self._fresh:
            self._ask(wait=0 if self._keys else 2 * FETCH_SECONDS)
        if kid not in self._keys:
            self._ask(wait=1)  # no longer, or a slow issuer and made-up kids would hold up all threads
        try:
            return self._keys[kid]
        except KeyError:
            if not self._keys and self._why:
                raise IssuerAway(self._why) from None
            raise BadToken("The token is signed with a key that its issuer doesn't publish") from None

    def has(self, kid: str) -> bool:
        """Whether there is such a key, as far as is known without asking."""
        return 0 <= time.time() - self._answered < self._fresh and kid in self._keys

    def renew(self) -> None:
        """Ask now, before anybody has to wait for it."""
        self._ask(wait=0)

    def _ask(self, wait: float) -> None:
        """Unless that was done a moment ago. wait: seconds for another thread that does it just now."""
        if not self._lock.acquire(timeout=wait):
            return
        try:
            came = time.time()
            if 0 <= came - self._asked < self._pause:
                return
            self._asked = came
            found = self._source()
            self._published |= dict.fromkeys(found, came)
            kept = {kid for kid, seen in self._published.items() if came - seen <= self._kept}
            self._keys = {kid: key for kid, key in self._keys.items() if kid in kept} | dict(found)
            self._published = {kid: self._published[kid] for kid in self._keys}
            self._answered, self._why = came, ""
        except IssuerAway as away:
            self._why = str(away)
        finally:
            self._lock.release()


# Our own -------------------------------------------------------------------------------------------------------------


def make_signing_key() -> SigningKey:
    """The first one signs at once. Later ones are published first, for all processes to know them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    wait = PROPAGATION if SigningKey.objects.exists() else 0
    made = SigningKey.objects.create(
        kid=token_hex(8), private_pem_sealed=seal(pem), signs_from=timezone.now() + timedelta(seconds=wait)
    )
    own.forget()
    return made


def rotate(at_once: bool = False) -> SigningKey:
    """A new key. The old ones verify until all that they have signed has expired; or, at once, no more."""
    with transaction.atomic():
        if at_once:
            SigningKey.objects.all().delete()
        new = make_signing_key()
        until = new.signs_from + timedelta(seconds=settings.TOKEN_LIFETIME + PROPAGATION)
        SigningKey.objects.exclude(pk=new.pk).filter(verifies_until=None).update(verifies_until=until)
    own.forget()
    return new


def _own_keys() -> dict[str, Key]:
    """By the time that they begin to sign, the newest last."""
    rows = SigningKey.objects.order_by("signs_from", "pk")
    return {row.kid: Key(private_key(row).public_key(), ("RS256",)) for row in rows}


def private_key(row: SigningKey) -> rsa.RSAPrivateKey:
    return _opened(row.kid, row.private_pem_sealed)


@lru_cache(maxsize=8)
def _opened(kid: str, sealed: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(unseal(sealed).encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)  # make_signing_key makes no others
    return key


def signing() -> tuple[str, rsa.RSAPrivateKey]:
    """(kid, key) of what signs now."""
    now = datetime.fromtimestamp(time.time(), tz=timezone.get_default_timezone())
    row = SigningKey.objects.filter(signs_from__lte=now).order_by("-signs_from", "-pk").first()
    if row is None:
        raise IssuerAway("There is no signing key yet: run `manage.py create_admin`")
    return row.kid, private_key(row)


def published() -> list[dict[str, Any]]:
    """The public keys, as the JWKS document lists them, the newest first."""
    return [
        {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public, as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}
        for kid, key in reversed(_own_keys().items())
    ]


own = Ring(_own_keys, OWN_FRESH, OWN_PAUSE)


# Those of other issuers ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def of_issuer(issuer: str) -> Ring:
    return Ring(lambda: _fetched(issuer), ISSUERS_FRESH, ISSUERS_PAUSE, ISSUERS_KEPT)


def _fetched(issuer: str) -> dict[str, Key]:
    document = fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != issuer:
        raise IssuerAway(f"{issuer} says that it is {document.get('issuer')!r}: EIM_OIDC_ISSUER has to be the same")
    listed = fetch(str(document.get("jwks_uri"))).get("keys")
    if not isinstance(listed, list):
        raise IssuerAway(f"{issuer} publishes no keys at its jwks_uri")
    read = (_read(jwk) for jwk in listed if isinstance(jwk, dict) and jwk.get("use", "sig") == "sig")
    return {kid: key for kid, key in read if key}


def fetch(url: str) -> dict[str, Any]:
    """The JSON object at this address. Raises IssuerAway, which says why it couldn't be had."""
    if not _is_safe(url):
        raise IssuerAway(f"{url} is neither https nor on this machine")
    context = ssl.create_default_context(cafile=settings.EIM_OIDC_CA_FILE)
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS, context=context) as answer:  # noqa: S310  checked above
            found = json.loads(answer.read(LONGEST_DOCUMENT))
    except HTTPError as error:
        raise IssuerAway(f"{url} answers {error.code}") from error
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise IssuerAway(f"{url} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise IssuerAway(f"{url} has no JSON object")
    return found


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


def _read(jwk: dict[str, Any]) -> tuple[str, Key | None]:
    """The kid, and the key if we accept its kind: a symmetric one that is published would be everybody's."""
    kid, alg = str(jwk.get("kid", "")), jwk.get("alg")
    try:
        match jwk.get("kty"):
            case "RSA":
                public, may = jwt.algorithms.RSAAlgorithm.from_jwk(jwk), RSA_ALGORITHMS
            case "EC":
                public = jwt.algorithms.ECAlgorithm.from_jwk(jwk)
                may = tuple(filter(None, [EC_ALGORITHMS.get(public.curve.name)]))
            case _:
                return kid, None
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return kid, None  # its tokens will be refused, and the others' are not
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return kid, None  # a private key, which nobody should publish
    return kid, Key(public, tuple(name for name in may if alg in (None, name)))

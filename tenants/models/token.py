"""What tokens are signed with, who may have some, and those that can be called back: sign-ins and API tokens."""

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tenants.models.people import User
from tenants.models.project import Project
from tenants.secrets import SealedField

SCOPES = ["openid", "profile", "email", "roles", "web-origins", "offline_access"]
NODE_CLIENT = "edgenode-"  # what a node's client id begins with, and nobody else's
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def digest(secret: str) -> str:
    """Of a secret with 256 bits of its own: nobody finds it by trying, so it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, kept: str) -> bool:
    return hmac.compare_digest(digest(secret), kept)


class SigningKey(models.Model):
    """What the embedded token service signs with: the newest one whose time has come. Older ones verify."""

    kid = models.CharField(max_length=32, unique=True)
    private_pem_sealed = SealedField()
    created_at = models.DateTimeField(auto_now_add=True)
    signs_from = models.DateTimeField(default=timezone.now)  # published before, so that all processes know it by then
    verifies_until = models.DateTimeField(null=True, blank=True)  # set once there is a newer one

    def __str__(self):
        return self.kid


def _no_nodes_name(client_id: str) -> None:
    if client_id.startswith(NODE_CLIENT):
        raise ValidationError(f"{NODE_CLIENT}* are the client ids of edge nodes")


class Client(ClientMixin, models.Model):
    """A program that may ask for tokens: for a person who signs in with it, or, with a service account, for itself.

    One without a secret is public (it runs in a browser or on somebody's laptop), and has to prove by PKCE that it
    is the one that asked. Redirect URIs are compared whole, but for three things: one that begins with / is on this
    server's own origin; any port of the loopback will do (RFC 8252, 7.3); and one that ends in /* stands for all
    below it, as keycloak-js sends the page it is on.
    """

    client_id = models.CharField(max_length=64, unique=True, validators=[_no_nodes_name])
    description = models.CharField(max_length=200, blank=True)
    secret_hash = models.CharField(max_length=64, blank=True, editable=False)
    grants = models.JSONField(
        default=list, help_text="of password, refresh_token, authorization_code and client_credentials"
    )
    redirect_uris = models.TextField(blank=True, help_text="one a line")
    service_account = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="service_client",
        help_text="whose roles it has when it asks for itself",
    )  # fmt: skip
    staff_only = models.BooleanField(default=False, help_text="only administrators sign in with it")
    rotates = models.BooleanField(
        default=True, help_text="each refresh token is good once; off for clients that keep the one they were given"
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.client_id

    def new_secret(self) -> str:
        """Sets one and returns it, for the only time. Whatever it was given with the old one ends."""
        secret = secrets.token_urlsafe(32)
        self.secret_hash = digest(secret)
        return secret

    # What Authlib asks of a client ----------------------------------------------------------------------------------
    origin = ""  # of this server as the request reached it; tenants/grants.py sets it

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(name for name in dict.fromkeys((scope or "").split()) if name in SCOPES)

    def check_redirect_uri(self, redirect_uri):
        return any(_is_redirect(redirect_uri, allowed, self.origin) for allowed in self.redirect_uris.split())

    def check_client_secret(self, client_secret):
        return bool(self.secret_hash) and matches(client_secret, self.secret_hash)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "none" if not self.secret_hash else method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type):
        return response_type == "code" and self.check_grant_type("authorization_code")

    def check_grant_type(self, grant_type):
        return grant_type in self.grants


def _is_redirect(uri: str, allowed: str, origin: str) -> bool:
    if allowed.startswith("/"):
        allowed = origin + allowed
    try:
        asked, may = urlsplit(uri), urlsplit(allowed)
        asked.port  # noqa: B018  raises when it is none
    except ValueError:
        return False
    if asked.fragment or "\\" in uri or re.search(r"[\x00-\x20]", uri) or asked.scheme not in ("http", "https"):
        return False
    on_loopback = may.scheme == "http" and _host(may.netloc) in LOOPBACK
    same_origin = (asked.scheme, asked.netloc) == (may.scheme, may.netloc)
    if not same_origin and not (on_loopback and asked.scheme == "http" and _host(asked.netloc) == _host(may.netloc)):
        return False
    if may.path.endswith("/*"):
        return asked.path.startswith(may.path[:-1]) and ".." not in asked.path
    return (asked.path or "/", asked.query) == (may.path or "/", may.query)


def _host(netloc: str) -> str:
    """Without the port. Somebody's name before an @ stays, and makes it another host."""
    return re.sub(r":\d*\Z", "", netloc)


def stamp_of(user: User) -> str:
    """Changes when the password does, and with it everything that was given on its strength ends.

    Of a service account: when its client's secret does. Reads user.service_client.
    """
    client = getattr(user, "service_client", None)
    text = user.get_session_auth_hash() + (client.secret_hash if client else "")
    return salted_hmac("tenants.tokens", text).hexdigest()[:16]


class SignIn(TokenMixin, models.Model):
    """A person signed in with a client, for as long as its refresh tokens are used. Ends once, and for good.

    The refresh tokens of one sign-in are a family: if one that was used already comes again, somebody has stolen one
    of them, and as nobody knows which, all end.
    """

    sid = models.CharField(max_length=32, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="sign_ins")
    scope = models.CharField(max_length=200, blank=True)
    nonce = models.CharField(max_length=255, blank=True)
    stamp = models.CharField(max_length=16)  # the user's at the time
    browser = models.CharField(max_length=64, blank=True)  # digest of its session: logging out there ends this
    refresh_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    why_ended = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "ended_at"], name="sign_in_by_user"),
            models.Index(fields=["expires_at"], name="sign_in_by_end"),
            models.Index(fields=["refresh_hash"], name="sign_in_by_refresh_token"),
        ]

    def __str__(self):
        return f"{self.user} with {self.client}"

    def end(self, why: str) -> None:
        """Access tokens given on it end within tenants.standing.KEPT seconds in all processes."""
        SignIn.objects.filter(pk=self.pk, ended_at=None).update(ended_at=timezone.now(), why_ended=why)

    def is_good(self) -> bool:
        user = self.user
        return (
            self.ended_at is None and self.expires_at > timezone.now() and user.is_active and self.client.enabled
            and self.stamp == stamp_of(user)
        )  # fmt: skip

    def prolong(self) -> None:
        """It was used: counted from now, but not beyond its longest life."""
        now = timezone.now()
        longest = self.created_at + timedelta(seconds=settings.SIGN_IN_LONGEST)
        self.used_at, self.expires_at = now, min(now + timedelta(seconds=settings.SIGN_IN_LIFETIME), longest)

    def check_client(self, client):
        return self.client_id == client.pk

    def get_scope(self):
        return self.scope

    def get_user(self):
        return self.user


class AuthorizationCode(AuthorizationCodeMixin, models.Model):
    """Handed to a browser for its client to fetch tokens with, once and within a minute."""

    code_hash = models.CharField(max_length=64, unique=True)
    client = models.ForeignKey(Client, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    redirect_uri = models.TextField()
    scope = models.CharField(max_length=200, blank=True)
    nonce = models.CharField(max_length=255, blank=True)
    code_challenge = models.CharField(max_length=128, blank=True)
    code_challenge_method = models.CharField(max_length=8, blank=True)
    browser = models.CharField(max_length=64, blank=True)
    signed_in_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    sign_in = models.ForeignKey(SignIn, null=True, on_delete=models.CASCADE)  # what it was used for

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="code_by_end")]

    def __str__(self):
        return f"{self.user} with {self.client}"

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return int(self.signed_in_at.timestamp())


class ApiToken(models.Model):
    """eim_<key>_<secret>: what a person's script shows in their stead. Never more than they may do themselves."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    key = models.CharField(max_length=8, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    read_only = models.BooleanField(default=True)
    everywhere = models.BooleanField(default=True, help_text="in all of the owner's projects, or in those below only")
    projects = models.ManyToManyField(Project, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)  # to the hour
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["expires_at"], name="api_token_by_end")]

    def __str__(self):
        return f"{self.name} ({self.key})"


class RevokedNode(models.Model):
    """A node's credentials were revoked: its tokens of before are no good any more. Kept until all have expired."""

    schema = models.CharField(max_length=63)
    client_id = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["at"], name="revoked_node_by_time")]

    def __str__(self):
        return self.client_id

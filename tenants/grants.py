"""The embedded token service's grants: who gets which token for what. The protocol is Authlib's, the answers ours."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode, OpenIDToken
from authlib.oidc.core.grants.util import create_response_mode_response
from authlib.oidc.rpinitiated import EndSessionEndpoint
from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils import timezone
from joserfc.jwk import KeySet, RSAKey

from tenants import credentials, keys, tokens
from tenants.errors import BadToken, IssuerAway
from tenants.models import AuthorizationCode, Client, EdgeCredential, SignIn, User
from tenants.models.token import NODE_CLIENT, digest, stamp_of

CODE_SECONDS = 60
ALL_METHODS = ["client_secret_basic", "client_secret_post", "none"]
OUR_CHALLENGES = ["S256"]


def issuer_of(request: HttpRequest) -> str:
    """The name of this token service, as the request reached it (settings.TOKEN_ISSUER says why)."""
    return settings.TOKEN_ISSUER if settings.EIM_PUBLIC_URL else request.build_absolute_uri(tokens.REALM)


def browser_of(request: HttpRequest) -> str:
    """Stands for the browser's session, without being the key to it."""
    return digest(request.session.session_key) if request.session.session_key else ""


class Node(ClientMixin):
    """An edge node as a client: it asks for itself, with its secret, and nothing else."""

    def __init__(self, credential: EdgeCredential):
        self.credential = credential

    def get_client_id(self):
        return self.credential.client_id

    def get_allowed_scope(self, scope):
        return ""

    def check_client_secret(self, client_secret):
        return credentials.is_secret_of(self.credential, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, grant_type):
        return grant_type == grants.ClientCredentialsGrant.GRANT_TYPE

    def check_response_type(self, response_type):
        return False

    def check_redirect_uri(self, redirect_uri):
        return False


class Server(AuthorizationServer):
    """Answers one request: under which name it came is part of every answer."""

    def __init__(self, request: HttpRequest):
        super().__init__(Client, SignIn)
        self.asked, self.issuer = request, issuer_of(request)
        self.code: AuthorizationCode | None = None  # which the sign-in comes from
        self.sign_in: SignIn | None = None  # which is prolonged
        self.register_token_generator("default", self.give)
        self.register_grant(Password, [IdToken()])
        self.register_grant(ClientCredentials)
        self.register_grant(Code, [Pkce(), IdCode()])
        self.register_grant(Refresh, [IdToken()])
        self.register_endpoint(Revocation)
        self.register_endpoint(EndSession)

    def query_client(self, client_id):
        if client_id.startswith(NODE_CLIENT):
            credential = credentials.of_client(client_id)
            return Node(credential) if credential else None
        client = Client.objects.filter(client_id=client_id, enabled=True).first()
        if client is not None:
            client.origin = self.issuer.removesuffix(tokens.REALM)
        return client

    def authenticate_client(self, request, methods, endpoint="token"):
        try:
            return super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as unknown:  # in the same words for both, or names could be found by trying
            raise InvalidClientError("Unknown client or wrong secret", status_code=401) from unknown

    def save_token(self, token, request):
        """give() has."""

    def give(self, grant_type, client, user=None, scope=None, **_) -> dict[str, Any]:
        """What the token endpoint answers."""
        scope = client.get_allowed_scope(scope)
        if isinstance(client, Node):
            return self._for_node(client, scope)
        if user is None:
            return self._for_service(client, scope)
        if self.sign_in is None:
            self.sign_in = self._begin(client, user, scope)
        else:
            self.sign_in.prolong()
        refresh = self._refresh_token(self.sign_in) if client.check_grant_type("refresh_token") else {}
        self.sign_in.save()
        claims = {"sid": self.sign_in.sid, "scope": scope, **_nonce(self.sign_in.nonce)}
        access = tokens.for_person(user, client.client_id, issuer=self.issuer, **claims)
        return _answer(access, scope, session_state=self.sign_in.sid, **refresh)

    def _for_node(self, node: Node, scope: str) -> dict[str, Any]:
        project = credentials.project_of(node.credential)
        if project is None:
            raise InvalidGrantError("The project of this node is not served", status_code=401)
        return _answer(tokens.for_node(node.get_client_id(), project.uuid, issuer=self.issuer), scope)

    def _for_service(self, client: Client, scope: str) -> dict[str, Any]:
        account = User.objects.select_related("service_client").filter(service_client=client, is_active=True).first()
        if account is None:
            raise InvalidGrantError("This client has no service account, or an inactive one", status_code=401)
        return _answer(tokens.for_person(account, client.client_id, issuer=self.issuer, scope=scope), scope)

    def _begin(self, client: Client, user: User, scope: str) -> SignIn:
        code, now = self.code, timezone.now()
        sign_in = SignIn(
            sid=uuid4().hex, user=user, client=client, scope=scope, stamp=stamp_of(user), created_at=now,
            nonce=code.nonce if code else "", browser=code.browser if code else "",
        )  # fmt: skip
        sign_in.prolong()
        sign_in.save()
        if code:
            code.sign_in = sign_in
            code.save(update_fields=["sign_in"])
        return sign_in

    def _refresh_token(self, sign_in: SignIn) -> dict[str, Any]:
        """A fresh one that ends the last; or the one that the client has already, and keeps."""
        lifetime = int((sign_in.expires_at - timezone.now()).total_seconds())
        if sign_in.refresh_hash and not sign_in.client.rotates:
            kept = self.asked.POST.get("refresh_token", "")
            return {"refresh_token": kept, "refresh_expires_in": lifetime}
        claims = {
            "typ": "Refresh", "azp": sign_in.client.client_id, "aud": self.issuer, "sid": sign_in.sid,
            "sub": tokens.subject_of(sign_in.user), "scope": sign_in.scope, "jti": secrets.token_urlsafe(32),
            **_nonce(sign_in.nonce),
        }  # fmt: skip
        longest = (sign_in.created_at - timezone.now()).total_seconds() + settings.SIGN_IN_LONGEST
        token = tokens.signed(claims, self.issuer, lifetime if sign_in.client.rotates else longest)
        sign_in.refresh_hash = digest(token)
        return {"refresh_token": token, "refresh_expires_in": lifetime}


def _nonce(nonce: str) -> dict[str, str]:
    """keycloak-js up to 23 looks for it in all three tokens, OpenID Connect in the id_token alone."""
    return {"nonce": nonce} if nonce else {}


def _answer(access: str, scope: str, **more: Any) -> dict[str, Any]:
    return {
        "access_token": access, "expires_in": settings.TOKEN_LIFETIME, "token_type": "Bearer",
        "not-before-policy": 0, "scope": scope, **more,
    }  # fmt: skip


# Grants --------------------------------------------------------------------------------------------------------------


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS

    def authenticate_user(self, username, password):
        user = authenticate(self.server.asked, username=username, password=password)
        if user is None:
            raise InvalidGrantError("Invalid user credentials", status_code=401)
        return user


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class Code(grants.AuthorizationCodeGrant):
    """In the query of the redirect URI or, as keycloak-js asks, in its fragment."""

    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS

    def validate_authorization_request(self):
        mode = self.request.payload.data.get("response_mode", "query")
        if mode not in ("query", "fragment"):
            raise InvalidRequestError("response_mode is query or fragment")
        return super().validate_authorization_request()

    def create_authorization_response(self, redirect_uri, grant_user):
        self.request.user = grant_user
        code = self.generate_authorization_code()
        self.save_authorization_code(code, self.request)
        params = [("code", code)]
        if self.request.payload.state:
            params.insert(0, ("state", self.request.payload.state))
        return create_response_mode_response(
            redirect_uri, params, self.request.payload.data.get("response_mode", "query")
        )

    def save_authorization_code(self, code, request):
        said, asked, now = request.payload.data, self.server.asked, timezone.now()
        AuthorizationCode.objects.create(
            code_hash=digest(code), client=request.client, user=request.user, redirect_uri=self.redirect_uri,
            scope=request.scope or "", nonce=said.get("nonce", "")[:255], code_challenge=said.get("code_challenge", ""),
            code_challenge_method=said.get("code_challenge_method", ""), browser=browser_of(asked),
            signed_in_at=request.user.last_login or now, expires_at=now + timedelta(seconds=CODE_SECONDS),
        )  # fmt: skip

    def query_authorization_code(self, code, client):
        """A code that comes a second time was stolen by somebody: what the first one got ends."""
        found = AuthorizationCode.objects.select_for_update().filter(code_hash=digest(code), client=client).first()
        if found is not None and found.sign_in_id:
            found.sign_in.end("its code came twice")
            return None
        if found is None or found.expires_at <= timezone.now():
            return None
        self.server.code = found
        return found

    def delete_authorization_code(self, authorization_code):
        """It stays until it has expired, so that its coming again is noticed."""

    def authenticate_user(self, authorization_code):
        user = authorization_code.user
        return user if user.is_active else None


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        sign_in = sign_in_of(refresh_token, lock=True)
        if sign_in is None or not sign_in.is_good():
            raise InvalidGrantError("Token is not active")
        if digest(refresh_token) != sign_in.refresh_hash:
            sign_in.end("a refresh token came twice")
            raise InvalidGrantError("Token was used already: this sign-in has ended")
        self.server.sign_in = sign_in
        return sign_in

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        """The new one has taken its place."""


def sign_in_of(token: str, lock: bool = False) -> SignIn | None:
    """The sign-in that one of our tokens, of any use, belongs to; its time may be over.

    The refresh token that is good now is known by its digest, and outlives the key that it was signed with. Of others
    the signature counts, or whoever knows a sid, which is no secret, could end the sign-in.
    """
    rows = SignIn.objects.select_for_update(of=["self"]) if lock else SignIn.objects.all()
    rows = rows.select_related("user", "client")
    if found := rows.filter(refresh_hash=digest(token)).first():
        return found
    try:
        return rows.filter(sid=tokens.claims_of(token).get("sid", "")).first()
    except (BadToken, IssuerAway):
        return None


class Pkce(CodeChallenge):
    """S256, and for public clients always. RFC 7636 leaves more to choose; RFC 9700 says what is prudent."""

    SUPPORTED_CODE_CHALLENGE_METHOD = OUR_CHALLENGES

    def validate_code_challenge(self, grant, redirect_uri):
        said = grant.request.payload.data
        if not grant.client.secret_hash and not said.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge'")
        if said.get("code_challenge") and said.get("code_challenge_method") not in OUR_CHALLENGES:
            raise InvalidRequestError("'code_challenge_method' has to be S256")
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDToken):
    """Who has signed in, for the client."""

    def __call__(self, grant):
        self.grant = grant
        super().__call__(grant)

    def resolve_client_private_key(self, client):
        return RSAKey.import_key(keys.signing()[1])

    def get_encode_header(self, client):
        return {"alg": "RS256", "typ": "JWT", "kid": keys.signing()[0]}

    def get_client_algorithm(self, client):
        return "RS256"

    def get_client_claims(self, client):
        server = self.grant.server
        return {
            "iss": server.issuer, "aud": client.client_id, "azp": client.client_id, "typ": "ID",
            "sid": server.sign_in.sid, **_nonce(server.sign_in.nonce),
        }  # fmt: skip

    def generate_user_info(self, user, scope):
        return about(user)


class IdCode(IdToken, OpenIDCode):
    def __init__(self):
        OpenIDCode.__init__(self, require_nonce=False)

    def exists_nonce(self, nonce, request):
        """The code is good once, and the nonce is the client's to compare."""
        return False


def about(user: User) -> dict[str, Any]:
    """What an id_token and the userinfo endpoint say of a person."""
    known = {
        "name": user.get_full_name(), "given_name": user.first_name, "family_name": user.last_name, "email": user.email,
    }  # fmt: skip
    said = {name: value for name, value in known.items() if value}
    return {"sub": tokens.subject_of(user), "preferred_username": user.get_username(), **said}


# Ending --------------------------------------------------------------------------------------------------------------


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ALL_METHODS

    def query_token(self, token_string, token_type_hint):
        return sign_in_of(token_string)

    def revoke_token(self, token, request):
        token.end("revoked by its client")


class EndSession(EndSessionEndpoint):
    """Logging out, as a client asks for it (RP-Initiated Logout 1.0)."""

    def get_server_jwks(self):
        return KeySet.import_key_set({"keys": keys.published()})

    def get_algorithms(self):
        return ["RS256"]

    def _is_valid_post_logout_redirect_uri(self, client, post_logout_redirect_uri):
        return client.check_redirect_uri(post_logout_redirect_uri)

    def end_session(self, end_session_request):
        """tenants/issuer.py does, which has the browser's session."""

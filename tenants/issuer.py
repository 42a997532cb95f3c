"""The embedded token service's endpoints, at the paths where agents, command line and web UI look for Keycloak's."""

from functools import wraps
from urllib.parse import urlencode

from authlib.oauth2.rfc6749.errors import AccessDeniedError, OAuth2Error
from authlib.oidc.core.errors import LoginRequiredError
from django.conf import settings
from django.contrib.auth import logout as end_browsers_session
from django.db import DataError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tenants import grants, keys, standing, tokens
from tenants.errors import BadToken, ResourceError, challenge
from tenants.keys import make_signing_key
from tenants.models import SignIn, User
from tenants.models.token import SCOPES

__all__ = ["REALM", "log_out", "make_signing_key", "urlpatterns"]

REALM = tokens.REALM
PROTOCOL = f"{REALM}/protocol/openid-connect"


def oauth(view):
    """Whatever is wrong is told as OAuth 2.0 says (RFC 6749, 5.2), and nothing of it may be kept by a cache."""

    @never_cache
    @wraps(view)
    def answer(request):
        try:
            return view(request)
        except OAuth2Error as error:
            status, body, headers = error()
            if status == 302:
                return HttpResponse(status=302, headers=dict(headers))
            return JsonResponse(body, status=status)
        except ResourceError as refusal:
            wait = getattr(refusal, "retry_after", 0)
            again = {"Retry-After": wait} if wait else {}
            return _refused("temporarily_unavailable", str(refusal), refusal.status, again)
        except (ValueError, DataError):  # Authlib's for what can't stand in a description, codecs', Postgres' for NUL
            return _refused("invalid_request", "A parameter has characters that it can't have", 400)

    return answer


def _refused(error: str, description: str, status: int, headers: dict | None = None) -> HttpResponse:
    return JsonResponse({"error": error, "error_description": description}, status=status, headers=headers)


@csrf_exempt
@require_POST
@oauth
def token(request: HttpRequest) -> HttpResponse:
    """In one transaction: a code or a refresh token that comes twice at once is noticed."""
    with transaction.atomic():
        return grants.Server(request).create_token_response(request)


@require_GET
@oauth
def auth(request: HttpRequest) -> HttpResponse:
    """The browser comes from a client, signs in if it hasn't, and goes back with a code."""
    server = grants.Server(request)
    user = request.user if isinstance(request.user, User) else None
    prompts = request.GET.get("prompt", "").split()
    try:
        grant = server.get_consent_grant(request, end_user=user)
        back = {"redirect_uri": grant.redirect_uri, "state": request.GET.get("state")}
        if user is None and "none" in prompts:
            raise LoginRequiredError(**back)
        if user is None or "login" in prompts:
            return _to_login(request)
        if grant.client.staff_only and not user.is_superuser:
            raise AccessDeniedError("Only administrators may use this", **back)
        return server.create_authorization_response(request, grant_user=user, grant=grant)
    except OAuth2Error as error:
        error.redirect_fragment = request.GET.get("response_mode") == "fragment"
        raise


def _to_login(request: HttpRequest) -> HttpResponse:
    """And back here; without the prompt, or it would go round for ever."""
    asked = request.GET.copy()
    asked.pop("prompt", None)
    back = f"{request.path}?{asked.urlencode()}"
    return HttpResponseRedirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': back})}")


@csrf_exempt
@require_http_methods(["GET", "POST"])
@oauth
def userinfo(request: HttpRequest) -> HttpResponse:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise BadToken("A bearer token is needed")
        user = User.objects.filter(pk=tokens.verify(shown.strip()).user_id).first()
        if user is None:
            raise BadToken("The token speaks for no person")
    except BadToken as wrong:
        body = {"error": "invalid_token", "error_description": str(wrong)}
        return JsonResponse(body, status=401, headers={"WWW-Authenticate": challenge("invalid_token", str(wrong))})
    return JsonResponse(grants.about(user))


@csrf_exempt
@require_POST
@oauth
def revoke(request: HttpRequest) -> HttpResponse:
    answer = grants.Server(request).create_endpoint_response(grants.Revocation.ENDPOINT_NAME, request)
    standing.forget()
    return answer


@csrf_exempt
@require_POST
@oauth
def introspect(request: HttpRequest) -> HttpResponse:
    """RFC 7662, for clients that have a secret: is this access token good, and whose is it?"""
    server = grants.Server(request)
    server.authenticate_client(
        server.create_oauth2_request(request), ["client_secret_basic", "client_secret_post"], "introspection"
    )
    try:
        caller = tokens.verify(request.POST.get("token", ""))
    except BadToken:
        return JsonResponse({"active": False})
    return JsonResponse({
        "active": True, "sub": caller.subject, "username": caller.name, "client_id": caller.client_id,
        "token_type": "Bearer", "realm_access": {"roles": sorted(caller.roles)},
    })  # fmt: skip


@csrf_exempt
@require_http_methods(["GET", "POST"])
@oauth
def logout(request: HttpRequest) -> HttpResponse:
    """By a refresh token (the command line's way), or by an id_token that a browser brings; else we ask first."""
    if shown := request.POST.get("refresh_token"):
        if sign_in := grants.sign_in_of(shown):
            sign_in.end("logged out")
            standing.forget()
        return HttpResponse(status=204)
    server = grants.Server(request)
    asked = server.validate_endpoint_request(grants.EndSession.ENDPOINT_NAME, request)
    if asked.needs_confirmation:
        return _confirmed_logout(request)
    if sign_in := SignIn.objects.filter(sid=asked.id_token_claims.get("sid", "")).first():
        sign_in.end("logged out")
        if request.user.is_authenticated and sign_in.user_id == request.user.pk:
            log_out(request)
    standing.forget()
    return HttpResponseRedirect(asked.redirect_uri or resolve_url(settings.LOGIN_URL))


@csrf_protect
def _confirmed_logout(request: HttpRequest) -> HttpResponse:
    """Somebody's page that merely leads a browser here must not log anybody out."""
    if request.method != "POST":
        return render(request, "tenants/log_out.html")
    log_out(request)
    return HttpResponseRedirect(resolve_url(settings.LOGIN_URL))


def log_out(request: HttpRequest) -> None:
    """End this browser's session and all that was signed in by it. Whatever logs people out calls this."""
    browser = grants.browser_of(request)
    if browser and request.user.is_authenticated:
        for sign_in in SignIn.objects.filter(user_id=request.user.pk, browser=browser, ended_at=None):
            sign_in.end("logged out")
    standing.forget()
    end_browsers_session(request)


@require_GET
def certs(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"keys": keys.published()})


@require_GET
def openid_configuration(request: HttpRequest) -> HttpResponse:
    issuer = grants.issuer_of(request)
    base = f"{issuer}/protocol/openid-connect"
    with_secret = ["client_secret_basic", "client_secret_post"]
    return JsonResponse({
        "issuer": issuer,
        "authorization_endpoint": f"{base}/auth",
        "token_endpoint": f"{base}/token",
        "userinfo_endpoint": f"{base}/userinfo",
        "jwks_uri": f"{base}/certs",
        "revocation_endpoint": f"{base}/revoke",
        "introspection_endpoint": f"{base}/token/introspect",
        "end_session_endpoint": f"{base}/logout",
        "grant_types_supported": ["authorization_code", "refresh_token", "password", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": grants.OUR_CHALLENGES,
        "token_endpoint_auth_methods_supported": [*with_secret, "none"],
        "revocation_endpoint_auth_methods_supported": [*with_secret, "none"],
        "introspection_endpoint_auth_methods_supported": with_secret,
        "scopes_supported": SCOPES,
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "azp", "sid", "name", "given_name", "family_name",
            "preferred_username", "email", "realm_access",
        ],
    })  # fmt: skip


@require_GET
@xframe_options_exempt
def third_party_cookies(request: HttpRequest) -> HttpResponse:
    """What keycloak-js asks in a frame before it would watch the session in another: with this word it doesn't."""
    page = '<!doctype html><title>-</title><script>window.parent.postMessage("unsupported", "*")</script>'
    policy = "default-src 'none'; script-src 'sha256-Z5kXwryetAqY4NYMr4D9tGNcH9WTMqBGAUA0tS2gSNY='"
    return HttpResponse(page, headers={"Content-Security-Policy": policy})


@require_GET
def release_token(request: HttpRequest) -> HttpResponse:
    """What an agent sends to the release service. Ours needs none, and this word tells the agents so."""
    return HttpResponse("anonymous", content_type="text/plain")


urlpatterns = [
    path(f"{PROTOCOL[1:]}/token", token),
    path(f"{PROTOCOL[1:]}/token/introspect", introspect),
    path(f"{PROTOCOL[1:]}/auth", auth),
    path(f"{PROTOCOL[1:]}/userinfo", userinfo),
    path(f"{PROTOCOL[1:]}/revoke", revoke),
    path(f"{PROTOCOL[1:]}/logout", logout),
    path(f"{PROTOCOL[1:]}/certs", certs),
    path(f"{PROTOCOL[1:]}/3p-cookies/step1.html", third_party_cookies),
    path(f"{REALM[1:]}/.well-known/openid-configuration", openid_configuration),
    path("token", release_token),
]

"""Signing in at an OIDC issuer of somebody else's (the first of EIM_OIDC_ISSUER), where EIM_OIDC_CLIENT_ID names us.

Whom it sends back is nobody known here: the browser's session holds their roles, as their access token says them, until
that token expires. Then the issuer is asked again, which as a rule needs no password.
"""

import time
from functools import lru_cache
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tenants import keys, tokens
from tenants.errors import BadToken, IssuerAway

SAID, NEXT = "external_identity", "external_next"


class ExternalIdentity:
    """Makes request.user a tokens.Caller for a browser that has signed in at another issuer."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.EIM_OIDC_CLIENT_ID and settings.SESSION_COOKIE_NAME in request.COOKIES:
            said = request.session.get(SAID)
            if said and said["expires"] > time.time():
                kind, roles = tokens.Kind.EXTERNAL, frozenset(said["roles"])
                request.user = tokens.Caller(kind, said["subject"], said["name"], said["client_id"], roles)
        return self.get_response(request)


def issuer() -> str:
    if not (settings.EIM_OIDC_ISSUERS and settings.EIM_OIDC_CLIENT_ID):
        raise Http404("Nobody signs in elsewhere: EIM_OIDC_ISSUER and EIM_OIDC_CLIENT_ID name no issuer and no client")
    return settings.EIM_OIDC_ISSUERS[0]


@lru_cache(maxsize=4)
def _client(issuer: str, client_id: str, secret: str):
    """Authlib's, which needs the package requests: loaded where somebody signs in elsewhere, and nowhere else."""
    from authlib.integrations.django_client import OAuth

    registry = OAuth()
    return registry.register(
        "issuer", client_id=client_id, client_secret=secret or None,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email", "code_challenge_method": "S256", "default_timeout": keys.FETCH_SECONDS,
            "verify": settings.EIM_OIDC_CA_FILE or True,
            "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
        },
    )  # fmt: skip


def _ours():
    return _client(issuer(), settings.EIM_OIDC_CLIENT_ID, settings.EIM_OIDC_CLIENT_SECRET)


@require_GET
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    client = _ours()
    back = request.GET.get("next", "/")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    request.session[NEXT] = back if safe else "/"
    try:
        return client.authorize_redirect(request, _origin(request) + reverse(done))
    except OSError as away:  # what requests raises is one
        return _failed(request, f"{issuer()} can't be asked: {away}", 503)


@require_GET
@never_cache
def done(request: HttpRequest) -> HttpResponse:
    """The browser is back, with a code that its tokens are fetched for."""
    from authlib.integrations.django_client import OAuthError
    from joserfc.errors import JoseError

    client = _ours()
    try:
        answer = client.authorize_access_token(request)
        caller = tokens.verify(answer.get("access_token", ""))
        if caller.kind is not tokens.Kind.EXTERNAL or "userinfo" not in answer:
            raise BadToken("The issuer says no more than that somebody is there")
    except (OAuthError, JoseError, BadToken) as wrong:
        return _failed(request, f"You could not be signed in: {wrong}", 403)
    except (OSError, IssuerAway) as away:
        return _failed(request, f"{issuer()} can't be asked: {away}", 503)
    back = request.session.get(NEXT, "/")
    logout(request)  # whoever it was before, and the session that a stranger may know
    request.session[SAID] = {
        "subject": caller.subject, "name": caller.name, "client_id": caller.client_id, "roles": sorted(caller.roles),
        "expires": caller.expires,
    }  # fmt: skip
    request.session.set_expiry(max(1, int(caller.expires - time.time())))
    return HttpResponseRedirect(back)


def _origin(request: HttpRequest) -> str:
    return settings.EIM_PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")


def _failed(request: HttpRequest, why: str, status: int) -> HttpResponse:
    again = f"{reverse(sign_in)}?{urlencode({'next': request.session.get(NEXT, '/')})}"
    return render(request, "tenants/not_signed_in.html", {"why": why, "again": again}, status=status)


urlpatterns = [path("login/oidc/", sign_in, name="sign_in_elsewhere"), path("login/oidc/done/", done)]

"""The embedded token service, at the paths where the agents and the command line look for Keycloak's."""

import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from tenants import credentials, tokens
from tenants.models import SigningKey
from tenants.roles import roles_of
from tenants.secrets import seal

REALM = "/realms/master"


def make_signing_key() -> SigningKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return SigningKey.objects.create(kid=secrets.token_hex(8), private_pem_sealed=seal(pem))


@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """client_credentials of an edge node, or a person's password. Answers as OAuth 2.0 says (RFC 6749, 5.1 and 5.2)."""
    form = request.POST
    match form.get("grant_type"):
        case "client_credentials":
            name = client_id = form.get("client_id", "")
            roles = credentials.roles_of_client(client_id, form.get("client_secret", ""))
            wrong = ("invalid_client", "Unknown client or wrong secret", 401)
        case "password":
            name, client_id = form.get("username", ""), form.get("client_id", "")
            user = authenticate(request, username=name, password=form.get("password", ""))
            roles = None if user is None else sorted(roles_of(user))
            wrong = ("invalid_grant", "Invalid user credentials", 401)
        case other:
            return _refused("unsupported_grant_type", f"{other!r} is neither client_credentials nor password", 400)
    if roles is None:
        return _refused(*wrong)
    return JsonResponse({
        "access_token": tokens.sign(name, client_id, roles),
        "expires_in": settings.TOKEN_LIFETIME,
        "token_type": "Bearer",
        "scope": form.get("scope", ""),
    })  # fmt: skip


@require_GET
def certs(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"keys": tokens.published_keys()})


@require_GET
def openid_configuration(request: HttpRequest) -> HttpResponse:
    base = request.build_absolute_uri(REALM)
    return JsonResponse({
        "issuer": settings.TOKEN_ISSUER,
        "token_endpoint": f"{base}/protocol/openid-connect/token",
        "jwks_uri": f"{base}/protocol/openid-connect/certs",
        "grant_types_supported": ["client_credentials", "password"],
    })  # fmt: skip


@require_GET
def release_token(request: HttpRequest) -> HttpResponse:
    """What an agent sends to the release service. Ours needs none, and this word tells the agents so."""
    return HttpResponse("anonymous", content_type="text/plain")


def _refused(error: str, description: str, status: int) -> HttpResponse:
    return JsonResponse({"error": error, "error_description": description}, status=status)


urlpatterns = [
    path("realms/master/protocol/openid-connect/token", token),
    path("realms/master/protocol/openid-connect/certs", certs),
    path("realms/master/.well-known/openid-configuration", openid_configuration),
    path("token", release_token),
]

"""Tokens: who gets one, what is in it, and which ones are no good."""

import time

import jwt
import pytest
from django.conf import settings

from inventory.models import Host, HostState
from tenants import credentials, keys, tokens
from tenants.errors import BadToken
from tenants.keys import make_signing_key
from tenants.models import Grant, Role, SigningKey, User

pytestmark = pytest.mark.django_db

PERSON = {"grant_type": "password", "client_id": "system-client"}
TOKEN = "/realms/master/protocol/openid-connect/token"


@pytest.fixture
def ada(acme):
    user = User.objects.create_user("ada", password="lovelace")
    Grant.objects.create(user=user, project=acme, role=Role.READ)
    return user


def ask(client, **form):
    return client.post(TOKEN, form)


def test_a_person_gets_a_token_with_the_roles_of_their_memberships(client, ada, acme):
    answer = ask(client, grant_type="password", client_id="system-client", username="ada", password="lovelace")
    caller = tokens.verify(answer.json()["access_token"])
    assert caller.name == "ada" and caller.roles_in(acme) == {"im-r"}
    assert answer.json()["expires_in"] == settings.TOKEN_LIFETIME and answer.json()["token_type"] == "Bearer"


def test_the_token_opens_the_api_and_no_more_than_the_role_allows(client, ada, acme):
    form = {"client_id": "system-client", "username": "ada", "password": "lovelace"}
    token = ask(client, grant_type="password", **form).json()["access_token"]
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert client.get(f"/v1/projects/{acme.name}/regions", **bearer).status_code == 200
    assert client.post(f"/v1/projects/{acme.name}/regions", {}, "application/json", **bearer).status_code == 403


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({**PERSON, "username": "ada", "password": "wrong"}, 401, "invalid_grant"),
        ({**PERSON, "username": "nobody", "password": "x"}, 401, "invalid_grant"),
        ({**PERSON, "username": "ada"}, 400, "invalid_request"),
        ({**PERSON, "client_id": "nobody's", "username": "ada", "password": "lovelace"}, 401, "invalid_client"),
        ({**PERSON, "client_id": "webui-client", "username": "ada", "password": "x"}, 400, "unauthorized_client"),
        ({**PERSON, "username": "a\0", "password": "\0"}, 401, "invalid_grant"),
        ({**PERSON, "client_id": "\0", "username": "ada", "password": "x"}, 400, "invalid_request"),
        ({"grant_type": "password", "username": "ada", "password": "lovelace"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "edgenode-x", "client_secret": "y"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
def test_whoever_is_not_known_gets_none(client, ada, form, status, error):
    answer = ask(client, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_node_gets_a_token_until_its_credentials_are_revoked(client, acme):
    host = Host(uuid="00000000-0000-0000-0000-00000000000b")
    host.ask(state=HostState.ONBOARDED)
    client_id, secret = credentials.issue(host.uuid)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    caller = tokens.verify(ask(client, **form).json()["access_token"])
    assert caller.client_id == f"edgenode-{host.uuid}" and caller.the_project("en-agent-rw") == acme.uuid
    credentials.revoke(host.uuid)
    assert ask(client, **form).status_code == 401


def test_a_deactivated_person_gets_none(client, ada):
    ada.is_active = False
    ada.save()
    assert ask(client, **PERSON, username="ada", password="lovelace").json()["error"] == "invalid_grant"


def forged(**changes):
    claims = {"sub": "user-1", "typ": "Bearer", "iss": settings.TOKEN_ISSUER, "exp": int(time.time()) + 60} | changes
    kid, key = keys.signing()
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, "RS256", {"kid": kid})


@pytest.mark.parametrize(
    "token",
    [
        lambda: forged(exp=int(time.time()) - 60),
        lambda: forged(exp=None),
        lambda: forged(iss="another"),
        lambda: jwt.encode({"sub": "eve"}, "shared" * 8, "HS256"),
        lambda: jwt.encode({"sub": "eve"}, None, "none"),
        lambda: jwt.encode({"sub": "eve"}, "shared" * 8, "HS256", {"kid": keys.signing()[0]}),
        lambda: "",
    ],
)
def test_expired_endless_foreign_and_unsigned_tokens_are_no_good(acme, token):
    with pytest.raises(BadToken):
        tokens.verify(token())


def test_keys_are_published_and_an_older_one_verifies_after_a_new_one_signs(client, ada, monkeypatch):
    old = tokens.for_person(ada, "system-client")
    new = make_signing_key()
    published = client.get("/realms/master/protocol/openid-connect/certs").json()["keys"]
    assert [key["kid"] for key in published] == [*SigningKey.objects.order_by("-pk").values_list("kid", flat=True)]
    assert not {"d", "p", "q"} & published[0].keys()
    assert keys.signing()[0] != new.kid  # not everybody knows it yet
    in_a_minute = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: in_a_minute)
    assert keys.signing()[0] == new.kid
    signed_by_it = tokens.for_person(ada, "system-client")
    jwt.decode(signed_by_it, jwt.PyJWK(published[0]).key, ["RS256"], options={"verify_iat": False, "verify_aud": False})
    assert tokens.verify(old).name == "ada"


def test_roles_in_two_projects_name_no_single_tenant(acme, beta, ada):
    for project in (acme, beta):
        Grant.objects.create(user=ada, project=project, role=Role.AGENT)
    caller = tokens.verify(tokens.for_person(ada, "y"))
    with pytest.raises(BadToken, match="in 2 project"):
        caller.the_project("en-agent-rw")


def test_the_discovery_document_leads_to_the_endpoints(client, acme):
    document = client.get("/realms/master/.well-known/openid-configuration").json()
    assert document["token_endpoint"].endswith(TOKEN) and document["jwks_uri"].endswith("/certs")
    assert client.get("/token").content == b"anonymous"


def test_a_token_that_was_good_ends_all_the_same(ada, monkeypatch):
    token = tokens.for_person(ada, "system-client", lifetime=60)
    assert tokens.verify(token).name == "ada"
    in_an_hour = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: in_an_hour)
    with pytest.raises(BadToken, match="expired"):
        tokens.verify(token)

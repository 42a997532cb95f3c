"""Tokens of an OIDC issuer that we trust: its keys are found, followed and outlived; nothing else opens a door."""

import threading
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tenants import keys, oidc, tokens
from tenants.errors import BadToken, IssuerAway
from tenants.models import User
from tests import issuer as issuers

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server():
    with issuers.running() as issuer:
        yield issuer


@pytest.fixture
def issuer(server, settings, acme):
    server.keys, server.down, server.useless = {}, False, []
    server.new_key("first")
    server.asked.clear()
    settings.EIM_OIDC_ISSUERS, settings.EIM_OIDC_AUDIENCE = [server.url], ["account"]
    keys.of_issuer.cache_clear()
    oidc._client.cache_clear()
    return server


@pytest.fixture
def clock(monkeypatch):
    """Moves on when told to; what tokens say of time is compared with it."""

    class Clock:
        ahead = 0.0

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + Clock.ahead)
    return Clock


def why(token) -> str:
    with pytest.raises(BadToken) as refused:
        tokens.verify(token)
    return str(refused.value)


def get(client, project, token):
    return client.get(f"/v1/projects/{project.name}/regions", HTTP_AUTHORIZATION=f"Bearer {token}")


@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS256", "PS384", "ES256"])
def test_whoever_it_signs_for_may_do_what_its_token_says(issuer, client, acme, beta, alg):
    issuer.new_key("its", alg)
    token = issuer.token(realm_access={"roles": [f"{acme.uuid}_im-r", "offline_access", 7]}, preferred_username="bob")
    caller = tokens.verify(token)
    assert (caller.kind, caller.name, caller.client_id) == (tokens.Kind.EXTERNAL, "bob", "orch")
    assert get(client, acme, token).status_code == 200 and get(client, beta, token).status_code == 403
    body = {"name": "r"}
    path = f"/v1/projects/{acme.name}/regions"
    assert client.post(path, body, "application/json", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 403


def test_the_name_of_somebody_known_here_gives_nothing_of_theirs(issuer, client, acme):
    ada = User.objects.create_superuser("ada")
    token = issuer.token(preferred_username="ada", sub=f"user-{ada.pk}")
    assert tokens.verify(token).roles == frozenset()
    assert client.get("/v1/users", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 403


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iss": "https://elsewhere.example"}, "The token's issuer is none that is trusted here"),
        ({"iss": None}, "The token's issuer is none that is trusted here"),
        ({"iss": ""}, "The token's issuer is none that is trusted here"),
        ({"aud": "another"}, "The token is no good: Audience doesn't match"),
        ({"aud": None}, 'The token is no good: Token is missing the "aud" claim'),
        ({"exp": 1}, "The token has expired"),
        ({"exp": None}, 'The token is no good: Token is missing the "exp" claim'),
        ({"exp": "soon"}, "The token is no good: Expiration Time claim (exp) must be an integer."),
        ({"nbf": 99999999999}, "The token is no good: The token is not yet valid (nbf)"),
        ({"sub": None}, 'The token is no good: Token is missing the "sub" claim'),
        ({"typ": "Refresh"}, "This is no access token"),
        ({"typ": "ID"}, "This is no access token"),
    ],
)
def test_a_token_that_says_something_wrong_is_refused_and_the_answer_says_why(issuer, client, acme, changes, sentence):
    answer = get(client, acme, issuer.token(**changes))
    assert answer.status_code == 401
    described = sentence.replace('"', "'")
    assert answer["WWW-Authenticate"] == (
        f'Bearer realm="eim", error="invalid_token", error_description="{described}"'
    )


def test_no_token_at_all_is_answered_without_an_error(issuer, client, acme):
    answer = client.get(f"/v1/projects/{acme.name}/regions")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (
        401, 'Bearer realm="eim", error_description="A bearer token is needed"',
    )  # fmt: skip


def test_no_algorithm_but_those_of_the_key_is_believed(issuer):
    now = int(time.time())
    claims = {"iss": issuer.url, "sub": "eve", "aud": "account", "exp": now + 60}
    key, _ = issuer.keys["first"]
    issuer.useless = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "RSA", "kid": "bad"}, "odd"]
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    accepted = "The token's algorithm is none that is accepted: RS*, PS* and ES* are"
    assert why(jwt.encode(claims, None, "none", {"kid": "first"})) == accepted
    assert why(hmac_signed(claims, public, "first")) == accepted
    assert why(hmac_signed(claims, b"secret", "shared")) == accepted
    issuer.new_key("curve", "ES256")
    keys.of_issuer.cache_clear()
    head, body, signature = issuer.token().split(".")
    confused = jwt.encode(claims, key, "RS256", {"kid": "curve"})
    assert why(confused) == "The token is no good: The specified alg value is not allowed"
    tampered = f"{head}.{body[:-3]}AAA.{signature}"
    assert why(tampered).startswith(("The token is no good", "The token is malformed"))


def hmac_signed(claims, secret: bytes, kid: str) -> str:
    """PyJWT itself refuses to sign so."""
    import base64
    import hashlib
    import hmac
    import json

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    text = f"{part(json.dumps({'alg': 'HS256', 'kid': kid}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "eyJhbGciOiJSUzI1NiJ9", "\xff.\xff.\xff", "[" * 5000, "eyJ" + "W" * 7000 + ".e.e"]
)
def test_what_is_no_token_is_called_malformed(issuer, token):
    assert why(token).startswith("The token is malformed")


def test_a_deeply_nested_token_is_called_malformed(issuer):
    import base64

    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    assert why(f"{nested}.{nested}.x").startswith("The token is malformed")


def test_a_new_key_is_found_without_waiting_and_bad_ones_cost_one_question_in_a_while(issuer, clock):
    tokens.verify(issuer.token())
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    issuer.new_key("second")
    clock.ahead = 11
    assert tokens.verify(issuer.token(iat=None)).subject.endswith("f3b7")
    assert len(issuer.asked) == 4
    for number in range(50):
        head = {"kid": f"made-up-{number}"}
        key, _ = issuer.keys["first"]
        bad = jwt.encode({"iss": issuer.url, "sub": "x", "exp": time.time() + 60}, key, "RS256", head)
        assert why(bad) == "The token is signed with a key that its issuer doesn't publish"
    assert len(issuer.asked) == 4


def test_a_key_that_was_dropped_verifies_for_another_hour(issuer, clock):
    old = issuer.token(exp=int(time.time()) + 10_000)
    tokens.verify(old)
    issuer.new_key("second")
    del issuer.keys["first"]
    clock.ahead = 400
    assert tokens.verify(issuer.token(iat=None)) and tokens.verify(old)
    clock.ahead = 3_500
    assert tokens.verify(old)
    clock.ahead = 4_500
    assert tokens.verify(issuer.token(iat=None))
    assert why(old) == "The token is signed with a key that its issuer doesn't publish"


def test_an_issuer_that_is_down_is_missed_only_by_whoever_never_asked_it(issuer, client, acme, clock):
    token = issuer.token(realm_access={"roles": [f"{acme.uuid}_im-r"]}, exp=int(time.time()) + 10_000)
    issuer.down = True
    away = get(client, acme, token)
    assert (away.status_code, away.json()["code"]) == (503, "Unavailable")
    assert away.json()["message"] == f"{issuer.url}/.well-known/openid-configuration answers 503"
    issuer.down = False
    clock.ahead = 11
    assert get(client, acme, token).status_code == 200
    issuer.down = True
    clock.ahead = 2_000
    assert get(client, acme, token).status_code == 200


def test_an_issuer_that_says_it_is_another_is_not_believed(issuer, settings):
    settings.EIM_OIDC_ISSUERS = [issuer.url + "/"]
    with pytest.raises(IssuerAway, match="EIM_OIDC_ISSUER has to be the same"):
        tokens.verify(issuer.token(iss=issuer.url + "/"))


@pytest.mark.parametrize("url", ["http://issuer.example", "file:///etc/passwd", "ftp://127.0.0.1", "nonsense", "http://[x"])
def test_only_https_or_this_machine_is_asked(url):
    with pytest.raises(IssuerAway, match="neither https nor on this machine"):
        keys.fetch(url)


def test_threads_that_come_at_once_ask_once(issuer):
    start, wrong = threading.Barrier(8), []
    all_tokens = [issuer.token(jti=str(number)) for number in range(8)]

    def come(token):
        start.wait()
        try:
            tokens.verify(token)
        except BadToken as bad:
            wrong.append(bad)

    threads = [threading.Thread(target=come, args=(token,)) for token in all_tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(issuer.asked) == 2


# Signing in there with a browser -----------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(issuer, settings):
    settings.EIM_OIDC_CLIENT_ID, settings.EIM_OIDC_CLIENT_SECRET = "eim", "hush"
    return issuer


def go_and_come_back(client, issuer, roles, *, nonce=None, next="/docs/"):
    away = client.get("/login/oidc/", {"next": next})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away["Location"]).query).items()}
    issuer.codes["c0de"] = {
        "access_token": issuer.token(realm_access={"roles": roles}, preferred_username="bob"), "token_type": "Bearer",
        "id_token": issuer.token(aud="eim", azp="eim", nonce=nonce or asked["nonce"]), "expires_in": 600,
    }  # fmt: skip
    return asked, client.get("/login/oidc/done/", {"code": "c0de", "state": asked["state"]})


def test_a_browser_that_signed_in_there_has_its_roles_until_they_expire(elsewhere, client, acme, beta, clock):
    asked, back = go_and_come_back(client, elsewhere, [f"{acme.uuid}_im-r"])
    assert asked["code_challenge_method"] == "S256" and asked["redirect_uri"] == "http://testserver/login/oidc/done/"
    assert back.status_code == 302, back.content
    assert back["Location"] == "/docs/"
    named, form = next(asked for asked in elsewhere.asked if isinstance(asked, tuple))
    assert named == "eim:hush" and form["code_verifier"]
    assert client.get(f"/v1/projects/{acme.name}/regions").status_code == 200
    assert client.get(f"/v1/projects/{beta.name}/regions").status_code == 403
    assert client.get("/admin/").status_code == 403  # no staff of ours
    start = client.get("/").content.decode()
    assert acme.name in start and beta.name not in start
    assert client.get(f"/p/{acme.name}/admin/inventory/region/").status_code == 200
    assert client.get(f"/p/{beta.name}/admin/inventory/region/").status_code == 403
    assert client.get("/password/").status_code == 403
    clock.ahead = 601
    assert client.get(f"/v1/projects/{acme.name}/regions").status_code == 401


def test_an_answer_to_somebody_elses_question_signs_nobody_in(elsewhere, client, acme):
    _, refused = go_and_come_back(client, elsewhere, [f"{acme.uuid}_im-r"], nonce="of another")
    assert refused.status_code == 403 and b"could not be signed in" in refused.content
    assert client.get("/login/oidc/done/", {"code": "c0de", "state": "guessed"}).status_code == 403
    assert client.get(f"/v1/projects/{acme.name}/regions").status_code == 401


def test_nobody_is_led_to_another_site(elsewhere, client, acme):
    _, back = go_and_come_back(client, elsewhere, [], next="https://evil.example/")
    assert back["Location"] == "/"


def test_without_a_client_of_ours_there_nobody_signs_in_there(issuer, client, acme):
    assert client.get("/login/oidc/").status_code == 404

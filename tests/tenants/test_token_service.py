"""The embedded token service as its clients meet it: command line, keycloak-js, Swagger UI, programs, and thieves."""

import base64
import hashlib
import time
from datetime import timedelta
from io import StringIO
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command

from tenants import expired, keys, standing, tokens
from tenants.errors import BadToken
from tenants.models import AuthorizationCode, Client, Grant, Project, Role, SignIn, SigningKey, User
from tests.conftest import settle
from workers import tasks

pytestmark = pytest.mark.django_db

REALM = "/realms/master"
SERVICE = f"{REALM}/protocol/openid-connect"
PAGE = "http://localhost:3000/infrastructure"
VERIFIER = "a" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
WEB_UI = {
    "client_id": "webui-client", "redirect_uri": PAGE, "state": "s1", "response_mode": "fragment",
    "response_type": "code", "scope": "openid", "nonce": "n1", "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}  # fmt: skip


@pytest.fixture
def ada(acme):
    user = User.objects.create_user("ada", password="lovelace", email="ada@eim.example", first_name="Ada")
    Grant.objects.create(user=user, project=acme, role=Role.WRITE)
    return user


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        ahead = 0.0

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + Clock.ahead)
    return Clock


def said_by(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def log_in(client, **form):
    form = {"client_id": "system-client", "username": "ada", "password": "lovelace", "scope": "openid"} | form
    return client.post(f"{SERVICE}/token", {"grant_type": "password", **form})


def refresh(client, token, client_id="system-client"):
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}
    return client.post(f"{SERVICE}/token", form)


def reads(client, project, token) -> int:
    return client.get(f"/v1/projects/{project.name}/regions", HTTP_AUTHORIZATION=f"Bearer {token}").status_code


def authorize(client, **changes):
    asked = {name: value for name, value in (WEB_UI | changes).items() if value is not None}
    return client.get(f"{SERVICE}/auth?{urlencode(asked)}")


def params_of(answer) -> dict:
    url = urlsplit(answer["Location"])
    return {name: values[0] for name, values in parse_qs(url.fragment or url.query).items()}


def exchange(client, code, **changes):
    form = {
        "grant_type": "authorization_code", "client_id": "webui-client", "code": code, "redirect_uri": PAGE,
        "code_verifier": VERIFIER,
    } | changes  # fmt: skip
    return client.post(f"{SERVICE}/token", {name: value for name, value in form.items() if value is not None})


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


# The command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://testserver", "http://127.0.0.1:8000", "https://localhost:8443"])
def test_the_command_line_logs_in_under_whatever_name_it_reaches_the_server(client, ada, acme, settings, origin):
    settings.ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
    tokens.is_ours.cache_clear()
    scheme, _, host = origin.partition("://")
    reached = {"HTTP_HOST": host, "secure": scheme == "https"}
    endpoint = f"{origin}{REALM}"
    document = client.get(f"{REALM}/.well-known/openid-configuration", **reached).json()
    assert document["issuer"] == endpoint
    assert document["token_endpoint"] == f"{endpoint}/protocol/openid-connect/token"
    form = {"grant_type": "password", "client_id": "system-client", "username": "ada", "password": "lovelace"}
    body = urlencode({**form, "scope": "openid"})
    given = client.post(f"{SERVICE}/token", body, "application/x-www-form-urlencoded", **reached).json()
    said = said_by(given["refresh_token"])
    assert (said["typ"], said["azp"], said["iss"]) == ("Refresh", "system-client", endpoint)
    # It keeps this refresh token, and shows it again for each command, without ever storing another.
    for _ in range(3):
        form = {"grant_type": "refresh_token", "client_id": "system-client", "refresh_token": given["refresh_token"]}
        answer = client.post(f"{SERVICE}/token", form, **reached).json()
        assert reads(client, acme, answer["access_token"]) == 200


def test_one_public_url_is_the_issuer_however_it_is_reached(client, ada, settings):
    settings.EIM_PUBLIC_URL = "https://eim.example"
    settings.TOKEN_ISSUER = f"https://eim.example{REALM}"
    tokens.is_ours.cache_clear()
    document = client.get(f"{REALM}/.well-known/openid-configuration").json()
    assert {urlsplit(url).netloc for name, url in document.items() if name.endswith(("issuer", "endpoint", "uri"))} == {
        "eim.example"
    }
    assert tokens.verify(log_in(client).json()["access_token"]).name == "ada"
    with pytest.raises(BadToken, match="issuer is none"):
        tokens.verify(tokens.for_person(ada, "x", issuer=f"http://testserver{REALM}"))
    tokens.is_ours.cache_clear()


def test_a_token_says_who_it_is_for_and_an_id_token_comes_if_asked_for(client, ada, acme):
    given = log_in(client).json()
    access, identity = said_by(given["access_token"]), said_by(given["id_token"])
    assert access["preferred_username"] == identity["preferred_username"] == "ada"
    assert access["sub"] == identity["sub"] and identity["aud"] == "system-client"
    assert identity["email"] == "ada@eim.example" and identity["iss"] == access["iss"]
    assert f"{acme.uuid}_im-rw" in access["realm_access"]["roles"]
    assert given["refresh_expires_in"] == pytest.approx(12 * 3600, abs=2) and given["token_type"] == "Bearer"
    assert "id_token" not in log_in(client, scope="").json()
    [key] = client.get(f"{SERVICE}/certs").json()["keys"]
    jwt.decode(given["id_token"], jwt.PyJWK(key).key, ["RS256"], audience="system-client")


def test_no_token_but_an_access_token_opens_the_api(client, ada, acme):
    given = log_in(client).json()
    assert reads(client, acme, given["access_token"]) == 200
    assert reads(client, acme, given["refresh_token"]) == reads(client, acme, given["id_token"]) == 401


def test_a_person_in_many_projects_has_a_small_token_and_all_their_rights(client, ada, acme):
    ada.is_superuser = True
    ada.save()
    from tenants.models import Project

    owner = acme.organization
    for number in range(30):
        project = Project(name=f"many-{number}", organization=owner)
        project.ask(state="TENANT_STATE_CREATED")
    token = log_in(client).json()["access_token"]
    assert said_by(token)["realm_access"] == {"roles": []} and len(token) < 1500
    assert reads(client, acme, token) == 200


# The old web UI ------------------------------------------------------------------------------------------------------


def test_keycloak_js_signs_in_refreshes_and_logs_out(client, ada, acme):
    away = authorize(client)
    login, _, query = away["Location"].partition("?")
    assert away.status_code == 302 and login == "/login/"
    back = parse_qs(query)["next"][0]
    client.force_login(ada)
    returned = client.get(back)
    assert returned["Location"].startswith(f"{PAGE}#state=s1&code=")
    given = exchange(client, params_of(returned)["code"]).json()
    # keycloak-js up to 23 looks for the nonce in each of them.
    assert {said_by(given[name])["nonce"] for name in ("access_token", "refresh_token", "id_token")} == {"n1"}
    assert given["session_state"] == said_by(given["access_token"])["sid"]
    assert reads(client, acme, given["access_token"]) == 200
    again = refresh(client, given["refresh_token"], "webui-client").json()
    assert said_by(again["id_token"])["sid"] == given["session_state"]
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {again['access_token']}"}
    assert client.get(f"{SERVICE}/userinfo", **bearer).json()["email"] == "ada@eim.example"
    leave = {"id_token_hint": again["id_token"], "post_logout_redirect_uri": "http://localhost:3000/", "state": "x"}
    left = client.get(f"{SERVICE}/logout", leave)
    assert left["Location"] == "http://localhost:3000/?state=x"
    assert refresh(client, again["refresh_token"], "webui-client").json()["error"] == "invalid_grant"
    assert reads(client, acme, again["access_token"]) == 401
    assert authorize(client).headers["Location"].startswith("/login/")  # the browser's session went, too


def test_keycloak_js_is_told_to_watch_no_session_in_a_frame(client):
    answer = client.get(f"{SERVICE}/3p-cookies/step1.html")
    script = answer.content.partition(b"<script>")[2].partition(b"</script>")[0]
    assert b'postMessage("unsupported", "*")' in script and "X-Frame-Options" not in answer.headers
    allowed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"'sha256-{allowed}'" in answer["Content-Security-Policy"]


def test_nobody_is_logged_out_by_a_page_that_leads_them_here(browser, ada):
    asked = browser.get(f"{SERVICE}/logout")
    assert asked.status_code == 200 and b"<form" in asked.content and "sessionid" in browser.cookies
    assert authorize(browser)["Location"].startswith(PAGE)
    assert browser.post(f"{SERVICE}/logout")["Location"] == "/login/"
    assert authorize(browser)["Location"].startswith("/login/")


def test_logging_out_leads_only_where_the_client_may_lead(browser, ada):
    given = exchange(browser, params_of(authorize(browser))["code"]).json()
    leave = {"id_token_hint": given["id_token"], "post_logout_redirect_uri": "https://evil.example/"}
    assert browser.get(f"{SERVICE}/logout", leave)["Location"] == "/login/"


def test_a_browser_that_must_not_ask_is_told_that_nobody_is_signed_in(client, acme):
    assert params_of(authorize(client, prompt="none")) == {"error": "login_required", "state": "s1"}


def test_a_client_may_ask_for_the_password_once_more(browser):
    away = authorize(browser, prompt="login")
    assert away["Location"].startswith("/login/?next=") and "prompt" not in away["Location"]


# Codes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
    ],
)
def test_without_pkce_or_with_another_flow_the_client_gets_an_error_and_no_code(browser, changes, error):
    answer = params_of(authorize(browser, **changes))
    assert answer["error"] == error and answer["state"] == "s1" and "code" not in answer
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://localhost.evil.example/"},
        {"redirect_uri": "http://localhost@evil.example/"},
        {"redirect_uri": "http://evil@localhost/"},
        {"redirect_uri": "https://localhost/"},
        {"redirect_uri": "http://localhost/#x"},
        {"redirect_uri": "http://localhost\\@evil.example/"},
        {"redirect_uri": "http://localhost:99999999/"},
        {"redirect_uri": "javascript:alert(1)//"},
        {"redirect_uri": None},
        {"client_id": None},
        {"client_id": "nobody's"},
        {"client_id": "edgenode-00000000-0000-0000-0000-000000000000"},
        {"response_mode": "form_post"},
        {"redirect_uri": 'http://localhost/"\u2028'},
    ],
)
def test_a_browser_is_sent_nowhere_but_where_the_client_may_be(browser, changes):
    answer = authorize(browser, **changes)
    if answer.status_code == 302:
        assert changes == {"redirect_uri": 'http://localhost/"\u2028'}  # odd, and on this machine
    else:
        assert answer.status_code in (400, 401) and answer.json()["error"]


def test_redirect_uris_are_compared_whole(browser):
    client = Client.objects.create(
        client_id="other", grants=["authorization_code"], redirect_uris="https://app.example/cb\nhttp://127.0.0.1/cb"
    )

    def goes(uri):
        return authorize(browser, client_id=client.client_id, redirect_uri=uri).status_code == 302

    assert goes("https://app.example/cb") and goes("http://127.0.0.1:51004/cb")
    assert not any(map(goes, [
        "https://app.example/cb/", "https://app.example/cb?x=1", "https://app.example:444/cb", "http://app.example/cb",
        "https://APP.example.evil/cb", "http://127.0.0.1:51004/other", "http://localhost/cb", "https://127.0.0.1/cb",
    ]))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "b" * 50}, "invalid_grant"),
        ({"redirect_uri": "http://localhost:3000/other"}, "invalid_grant"),
        ({"client_id": "eim-swagger"}, "invalid_grant"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
    ],
)
def test_a_code_is_good_only_for_whom_it_was_given(browser, changes, error):
    code = params_of(authorize(browser))["code"]
    answer = exchange(browser, **{"code": code} | changes)
    assert answer.json()["error"] == error and "access_token" not in answer.json()


def test_a_code_that_comes_twice_ends_what_the_first_one_got(browser, acme):
    code = params_of(authorize(browser))["code"]
    given = exchange(browser, code).json()
    assert exchange(browser, code).json()["error"] == "invalid_grant"
    standing.forget()
    assert reads(browser, acme, given["access_token"]) == 401
    assert refresh(browser, given["refresh_token"], "webui-client").json()["error"] == "invalid_grant"


def test_a_code_is_good_for_a_minute(browser):
    code = params_of(authorize(browser))["code"]
    AuthorizationCode.objects.update(expires_at="2026-01-01T00:00Z")
    assert exchange(browser, code).json()["error"] == "invalid_grant"


def test_no_secret_is_kept_as_it_is(browser):
    code = params_of(authorize(browser))["code"]
    given = exchange(browser, code).json()
    kept = f"{SignIn.objects.values().get()} {AuthorizationCode.objects.values().get()}"
    assert code not in kept and given["refresh_token"] not in kept and browser.session.session_key not in kept


def test_flower_is_for_administrators_however_they_were_made(browser, ada):
    flower = {"client_id": "eim-flower", "redirect_uri": "http://127.0.0.1:5555/login", "response_mode": None}
    refused = params_of(authorize(browser, **flower))
    assert refused["error"] == "access_denied" and refused["error_description"] == "Only administrators may use this"
    call_command("create_user", "bea", "--superuser", stdout=StringIO())
    browser.force_login(User.objects.get(username="bea"))
    assert "code" in params_of(authorize(browser, **flower))


def test_swagger_ui_signs_in_at_the_servers_own_page(browser):
    swagger = {"client_id": "eim-swagger", "response_mode": None}
    ours = "http://testserver/docs/oauth2-redirect.html"
    returned = authorize(browser, **swagger, redirect_uri=ours)
    form = {"client_id": "eim-swagger", "redirect_uri": ours}
    assert exchange(browser, params_of(returned)["code"], **form).status_code == 200
    assert authorize(browser, **swagger, redirect_uri="http://localhost/docs/oauth2-redirect.html").status_code == 400
    schemes = browser.get("/schema/?format=json").json()["components"]["securitySchemes"]
    assert schemes["signIn"]["flows"]["authorizationCode"]["authorizationUrl"] == f"{SERVICE}/auth"
    assert b"usePkceWithAuthorizationCodeGrant" in browser.get("/docs/?script=").content
    assert browser.get("/docs/oauth2-redirect.html").status_code == 302


# Refresh tokens ------------------------------------------------------------------------------------------------------


def test_a_refresh_token_that_comes_twice_ends_the_whole_sign_in(browser, acme):
    first = exchange(browser, params_of(authorize(browser))["code"]).json()
    second = refresh(browser, first["refresh_token"], "webui-client").json()
    assert second["refresh_token"] != first["refresh_token"]
    stolen = refresh(browser, first["refresh_token"], "webui-client")
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert refresh(browser, second["refresh_token"], "webui-client").json()["error"] == "invalid_grant"
    standing.forget()
    assert reads(browser, acme, second["access_token"]) == 401


def test_a_forged_refresh_token_ends_nobodys_sign_in(browser, ada):
    given = exchange(browser, params_of(authorize(browser))["code"]).json()
    forged = jwt.encode({**said_by(given["refresh_token"]), "jti": "x"}, "shared" * 8, "HS256", {"kid": "x"})
    assert refresh(browser, forged, "webui-client").json()["error"] == "invalid_grant"
    assert refresh(browser, given["refresh_token"], "webui-client").status_code == 200


def test_a_refresh_token_belongs_to_its_client(browser):
    given = exchange(browser, params_of(authorize(browser))["code"]).json()
    assert refresh(browser, given["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_token_outlives_the_key_that_it_was_signed_with(client, ada):
    given = log_in(client).json()
    keys.rotate(at_once=True)
    assert refresh(client, given["refresh_token"]).status_code == 200


def test_a_sign_in_that_nobody_uses_ends(client, ada):
    given = log_in(client).json()
    SignIn.objects.update(expires_at="2026-01-01T00:00Z")
    assert refresh(client, given["refresh_token"]).json()["error"] == "invalid_grant"


# What ends tokens ----------------------------------------------------------------------------------------------------


def deactivate(ada):
    User.objects.filter(pk=ada.pk).update(is_active=False)


def delete(ada):
    User.objects.filter(pk=ada.pk).delete()


def new_password(ada):
    ada.set_password("byron")
    ada.save()


def log_out(ada):
    SignIn.objects.get(user=ada).end("logged out")


@pytest.mark.parametrize("end", [deactivate, delete, new_password, log_out])
def test_what_a_token_stands_for_ends_it_within_a_minute(client, ada, acme, clock, end):
    given = log_in(client).json()
    assert reads(client, acme, given["access_token"]) == 200
    end(ada)
    clock.ahead = 16
    answer = client.get(f"/v1/projects/{acme.name}/regions", HTTP_AUTHORIZATION=f"Bearer {given['access_token']}")
    assert answer.status_code == 401 and 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert refresh(client, given["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_role_that_is_taken_away_is_gone_within_a_minute(client, ada, acme, clock):
    token = log_in(client).json()["access_token"]
    assert reads(client, acme, token) == 200
    Grant.objects.filter(user=ada).delete()
    clock.ahead = 16
    assert reads(client, acme, token) == 403


def test_a_role_that_is_given_is_there_at_once(client, ada, acme):
    token = log_in(client).json()["access_token"]
    Grant.objects.filter(user=ada).delete()
    standing.forget()
    assert reads(client, acme, token) == 403
    given = Grant.objects.create(user=ada, project=acme, role=Role.READ)
    assert reads(client, acme, token) == 200
    asked = {"HTTP_AUTHORIZATION": f"Bearer {token}", "content_type": "application/json"}
    regions = f"/v1/projects/{acme.name}/regions"
    assert client.post(regions, {"name": "north"}, **asked).status_code == 403
    Grant.objects.filter(pk=given.pk).update(role=Role.WRITE)
    assert client.post(regions, {"name": "north"}, **asked).status_code == 200


def test_a_project_that_somebody_has_just_made_is_theirs_at_once(client, ada, public):
    ada.is_superuser = True
    ada.save()
    asked = {"HTTP_AUTHORIZATION": f"Bearer {log_in(client).json()['access_token']}"}
    body = {"data": {}, "content_type": "application/json"}
    assert client.get("/v1/projects", **asked).status_code == 200
    assert client.put("/v1/orgs/shops", **body, **asked).status_code == 200
    settle()
    assert client.put("/v1/projects/till?org=shops", **body, **asked).status_code == 200
    assert client.get("/v1/projects/till/regions", **asked).status_code == 503
    Project.objects.get(name="till").observe(state="TENANT_STATE_CREATED")
    assert client.get("/v1/projects/till/status", **asked).status_code == 200
    assert client.get("/v1/projects/till/audit", **asked).status_code == 200


def test_between_two_looks_no_request_asks_the_database_who_it_is(client, ada, django_assert_num_queries):
    token = log_in(client).json()["access_token"]
    tokens.verify(token)
    with django_assert_num_queries(0):
        for _ in range(100):
            tokens.verify(token)


def test_logging_out_in_the_browser_ends_what_was_signed_in_by_it(browser, ada, acme):
    given = exchange(browser, params_of(authorize(browser))["code"]).json()
    elsewhere = log_in(browser).json()
    browser.post(f"{SERVICE}/logout")
    assert reads(browser, acme, given["access_token"]) == 401
    assert reads(browser, acme, elsewhere["access_token"]) == 200  # of the command line


def test_the_command_line_logs_out_by_its_refresh_token(client, ada, acme):
    given = log_in(client).json()
    form = {"client_id": "system-client", "refresh_token": given["refresh_token"]}
    assert client.post(f"{SERVICE}/logout", form).status_code == 204
    assert refresh(client, given["refresh_token"]).status_code == 400
    assert reads(client, acme, given["access_token"]) == 401


def test_a_client_gives_back_what_it_got(client, ada, acme):
    given = log_in(client).json()
    others = client.post(f"{SERVICE}/revoke", {"client_id": "webui-client", "token": given["refresh_token"]})
    assert others.status_code == 400 and reads(client, acme, given["access_token"]) == 200
    form = {"client_id": "system-client", "token": given["refresh_token"]}
    assert client.post(f"{SERVICE}/revoke", form).status_code == 200
    assert reads(client, acme, given["access_token"]) == 401


# Programs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(acme):
    """(id, secret) of one that may read."""
    said = StringIO()
    call_command("create_client", "backup", stdout=said)
    Grant.objects.create(user=Client.objects.get(client_id="backup").service_account, project=acme, role=Role.READ)
    return said.getvalue().split()[:2]


def as_program(client, client_id, secret, path="token", **form):
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = {"grant_type": "client_credentials"} | form
    return client.post(f"{SERVICE}/{path}", form, HTTP_AUTHORIZATION=f"Basic {basic}")


def test_a_program_asks_for_itself_and_has_the_roles_of_its_account(client, program, acme, clock):
    token = as_program(client, *program).json()["access_token"]
    assert tokens.verify(token).kind is tokens.Kind.SERVICE and reads(client, acme, token) == 200
    assert "refresh_token" not in as_program(client, *program).json()
    call_command("create_client", "backup", stdout=StringIO())  # a new secret
    assert as_program(client, *program).json()["error"] == "invalid_client"
    clock.ahead = 16
    assert reads(client, acme, token) == 401


def test_a_client_that_is_switched_off_gets_nothing(client, program, acme, clock):
    token = as_program(client, *program).json()["access_token"]
    Client.objects.filter(client_id="backup").update(enabled=False)
    assert as_program(client, *program).json()["error"] == "invalid_client"
    clock.ahead = 16
    assert reads(client, acme, token) == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic /w==", "Basic AAA6AAA=", "Bearer x", "Basic YmFja3Vw"])
def test_a_program_that_shows_nonsense_is_refused_by_the_rules(client, program, header):
    answer = client.post(f"{SERVICE}/token", {"grant_type": "client_credentials"}, HTTP_AUTHORIZATION=header)
    assert answer.status_code in (400, 401) and answer.json()["error"] in ("invalid_client", "invalid_request")


def test_a_program_asks_whether_a_token_is_good(client, program, ada):
    given = log_in(client).json()
    told = as_program(client, *program, path="token/introspect", token=given["access_token"]).json()
    assert told["active"] and told["username"] == "ada"
    assert as_program(client, *program, path="token/introspect", token="x").json() == {"active": False}
    public = client.post(f"{SERVICE}/token/introspect", {"client_id": "system-client", "token": "x"})
    assert public.json()["error"] == "invalid_client"


def test_nobody_takes_a_nodes_name(acme):
    from django.core.management.base import CommandError

    with pytest.raises(CommandError, match="client ids of edge nodes"):
        call_command("create_client", "edgenode-x", stdout=StringIO())


# Keys ----------------------------------------------------------------------------------------------------------------


def test_keys_are_rotated_with_an_overlap(client, ada, acme, clock):
    old = log_in(client).json()["access_token"]
    call_command("rotate_signing_key", stdout=StringIO())
    assert len(client.get(f"{SERVICE}/certs").json()["keys"]) == 2
    kid = jwt.get_unverified_header(old)["kid"]
    assert jwt.get_unverified_header(log_in(client).json()["access_token"])["kid"] == kid
    clock.ahead = 61
    new = tokens.for_person(ada, "system-client")
    assert jwt.get_unverified_header(new)["kid"] != kid
    assert reads(client, acme, old) == 200
    SigningKey.objects.exclude(verifies_until=None).update(verifies_until="2026-01-01T00:00Z")
    expired.clean()
    assert len(client.get(f"{SERVICE}/certs").json()["keys"]) == 1
    clock.ahead = 90
    assert reads(client, acme, old) == 401


def test_a_key_that_others_know_ends_at_once_with_all_its_tokens(client, ada, acme):
    old = log_in(client).json()["access_token"]
    call_command("rotate_signing_key", at_once=True, stdout=StringIO())
    assert reads(client, acme, old) == 401 and log_in(client).status_code == 200


def test_another_process_learns_of_a_new_key_without_being_started_again(ada, clock):
    """Where the clocks differ, so that the key signs before it has been read: it is asked for."""
    tokens.verify(tokens.for_person(ada, "x"))
    known = dict(keys.own._keys)
    new = keys.rotate()
    SigningKey.objects.filter(pk=new.pk).update(signs_from=new.created_at)
    keys.own._keys = known  # as a process that wasn't there
    keys.own._asked = keys.own._answered = time.time()
    token = tokens.for_person(ada, "x")
    assert jwt.get_unverified_header(token)["kid"] == new.kid
    clock.ahead = 2
    assert tokens.verify(token).name == "ada"


def test_what_has_expired_is_cleaned_up_and_nothing_else(client, ada, browser):
    exchange(browser, params_of(authorize(browser))["code"])
    assert expired.clean() == 0
    SignIn.objects.update(expires_at="2026-01-01T00:00Z")
    AuthorizationCode.objects.update(expires_at="2026-01-01T00:00Z")
    expired.clean()
    assert not SignIn.objects.exists() and not AuthorizationCode.objects.exists()


def test_the_session_of_a_browser_that_never_came_back_is_cleaned_up(browser, client, ada):
    kept = browser.session.session_key
    old = SessionStore()
    old.set_expiry(timedelta(days=-1))
    old.save()
    assert tasks.clean() == 1
    assert [*Session.objects.values_list("session_key", flat=True)] == [kept]

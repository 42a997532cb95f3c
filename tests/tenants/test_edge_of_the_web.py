"""What a request must bring to be heard: a project that it may enter, order, and moderation."""

import json
import logging
import os
import secrets
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from eim_project import stack
from eim_project.logging import Json
from inventory.models import Region
from tenants import limits
from tenants.errors import challenge
from tenants.models import Audit, Event, Grant, Organization, Project, Role, TenantState, User
from tenants.request import RequestMiddleware
from tests.conftest import client_of, token_with

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parent.parent.parent
LEGACY = "/edge-infra.orchestrator.apis/v2"
PERSON = {"grant_type": "password", "client_id": "system-client"}
TOKEN = "/realms/master/protocol/openid-connect/token"


def refusal(answer) -> tuple[int, bytes]:
    return answer.status_code, answer.content


# Which project ---------------------------------------------------------------------------------------------------


@pytest.fixture
def spread(acme, beta):
    """A region in each project, with the project's name."""
    for project in (acme, beta):
        with schema_context(project.schema_name):
            Region(name=f"of-{project.name}").ask()


def regions(client, path, **headers) -> list[str] | int:
    answer = client.get(path, headers=headers)
    return [region["name"] for region in answer.json()["regions"]] if answer.status_code == 200 else answer.status_code


def test_the_header_names_the_project_on_the_archived_paths(spread, acme, beta):
    both = client_of(acme, "im-r")
    token = token_with(f"{acme.uuid}_im-r", f"{beta.uuid}_im-r")
    both.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    for project in (acme, beta):
        name = f"of-{project.name}"
        assert regions(both, f"{LEGACY}/regions", ActiveProjectID=str(project.uuid)) == [name]
        assert regions(both, f"{LEGACY}/regions?projectName={project.name}") == [name]
        assert regions(both, f"{LEGACY}/regions?projectName={project.uuid}") == [name]
        for named in (project.name, project.uuid, str(project.uuid).upper()):  # by the archived test suite as here
            assert regions(both, f"/v1/projects/{named}/regions", ActiveProjectID=str(project.uuid)) == [name]
    answer = both.get(f"{LEGACY}/regions")
    assert answer.status_code == 400 and "ActiveProjectID" in answer.json()["message"]


def test_without_a_name_the_token_names_the_project_if_it_has_roles_in_one_alone(spread, acme):
    assert regions(client_of(acme, "im-r", "en-ob"), f"{LEGACY}/regions") == ["of-acme"]


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/v1/projects/acme/regions", "beta"),
        ("/v1/projects/beta/regions", "acme"),
        ("/v1/projects/{acme}/regions", "beta"),
        (LEGACY + "/regions?projectName=beta", "acme"),
        (LEGACY + "/regions?projectName=acme&projectName=beta", "acme"),
        (LEGACY + "/regions?projectName=acme'%22", "acme"),
        ("/v1/projects/acme/regions", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_names_that_disagree_are_refused_as_a_project_that_is_not_there(spread, acme, beta, path, active):
    uuids = {project.name: str(project.uuid) for project in (acme, beta)}
    token = token_with(*(f"{uuid}_im-rw" for uuid in uuids.values()))
    both = Client(headers={"Authorization": f"Bearer {token}"})
    answer = both.get(path.format(**uuids), headers={"ActiveProjectID": uuids.get(active, active)})
    assert refusal(answer) == refusal(both.get("/v1/projects/nobody/regions"))
    assert answer.status_code == 403 and b"of-" not in answer.content


def test_an_active_project_that_is_no_uuid_is_refused(api):
    for wrong in ("acme", "{0}", "1" * 32, "'; DROP SCHEMA public"):
        answer = api.get(f"{api.base}/regions", headers={"ActiveProjectID": wrong})
        assert answer.status_code == 401 and "ActiveProjectID" in answer["WWW-Authenticate"]


def test_a_project_of_others_is_refused_as_one_that_is_not_there(acme, beta):
    stranger = client_of(acme, "im-rw")
    for verb in ("get", "post", "patch", "delete"):
        ask = getattr(stranger, verb)
        for rest in ("regions", "compute/hosts/host-00000000", "nonsense"):
            theirs, nobodys = ask(f"/v1/projects/beta/{rest}"), ask(f"/v1/projects/nobody/{rest}")
            assert (
                theirs.status_code == nobodys.status_code
                and theirs.content.replace(b"beta", b"nobody") == nobodys.content
            )


@pytest.fixture
def coming(acme):
    """A project whose schema isn't there yet."""
    connection.set_schema_to_public()
    project = Project(name="coming", organization=Organization.objects.get(name="tests"))
    project.ask(state=TenantState.CREATED)
    return project


def test_a_project_that_is_made_says_so_to_its_people_alone(coming, acme):
    answer = client_of(coming, "im-r").get("/v1/projects/coming/regions")
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0 and answer.json()["code"] == "Unavailable"
    stranger = client_of(acme, "im-rw")
    assert refusal(stranger.get("/v1/projects/coming/regions")) == refusal(stranger.get("/v1/projects/nobody/regions"))


def test_a_project_that_is_deleted_says_so_to_its_people_alone_and_at_once(coming, acme):
    its_own = client_of(coming, "im-rw")
    coming.ask(state=TenantState.DELETED)
    answer = its_own.post("/v1/projects/coming/regions", {"name": "x"})
    assert answer.status_code == 403 and "is being deleted" in answer.json()["message"]
    stranger = client_of(acme, "im-rw")
    assert refusal(stranger.get("/v1/projects/coming/regions")) == refusal(stranger.get("/v1/projects/nobody/regions"))


def test_what_names_no_project_runs_in_public_whatever_the_connection_was_left_in(client, acme):
    assert connection.schema_name == acme.schema_name
    client.post(TOKEN, {"grant_type": "magic"})
    assert not Audit.objects.exists()
    with schema_context("public"):
        assert Audit.objects.get().schema == "public"


def test_a_slash_at_the_end_is_tolerated(api):
    assert api.get(f"{api.base}/regions/").status_code == 200
    assert api.post(f"{api.base}/regions/", {"name": "x"}).status_code == 200


def test_finding_the_project_costs_one_query(api):
    with CaptureQueriesContext(connection) as asked:
        api.get("/v1/projects/nobody/regions", headers={"ActiveProjectID": "00000000-0000-0000-0000-000000000000"})
    assert len([query for query in asked if 'FROM "tenants_project"' in query["sql"]]) == 1


# Tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "error", "why"),
    [
        ({}, "", "A bearer token is needed"),
        ({"Authorization": "Bearer"}, "invalid_token", "malformed"),
        ({"Authorization": "Bearer x.y.z"}, "invalid_token", "malformed"),
        ({"Authorization": "Basic YTpi"}, "invalid_token", "must be `Bearer`"),
    ],
)
def test_a_401_says_why(client, acme, header, error, why):
    answer = client.get("/v1/projects/acme/regions", headers=header)
    said = answer["WWW-Authenticate"]
    assert answer.status_code == 401 and answer.json()["code"] == "Unauthenticated"
    assert said.startswith('Bearer realm="eim"') and why in said and (f'error="{error}"' in said) == bool(error)


def test_a_challenge_holds_nothing_that_could_end_it():
    said = challenge("invalid_token", 'a "quote"\r\nSet-Cookie: x=\\y, ü')
    assert said.count('"') == 6 and said.isascii() and said.isprintable() and "\\" not in said


# Order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ['{"name": "a\x07b"}', '{"name": "a\u200bb"}', '{"name": "\x1f"}', "\x00"])
def test_bodies_that_cannot_be_read_are_refused(api, body):
    answer = api.post(f"{api.base}/regions", body, content_type="application/json")
    assert answer.status_code == 400 and "printable" in answer.json()["message"] and not Region.objects.exists()


def test_bodies_that_can_be_read_are_not_refused(api):
    body = '{\r\n\t"name": "Zürich 東京 \u3000🚀"\n}'
    answer = api.post(f"{api.base}/regions", body, content_type="application/json")
    assert b"printable" not in answer.content
    spaced = '{\r\n\t"name":\u00a0"nice"\n}'.replace("\u00a0", " ")
    assert api.post(f"{api.base}/regions", spaced, content_type="application/json").status_code == 200


def test_headers_that_cannot_be_read_are_refused(api):
    answer = api.get(f"{api.base}/regions", headers={"X-Note": "a\x01b"})
    assert answer.status_code == 400 and "X-Note" in answer.json()["message"]
    assert api.get(f"{api.base}/regions", headers={"X-Note": "Zürich".encode().decode("latin-1")}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/projects/acme/regions?filter=%00", "/v1/projects/acme/regions/region-%00"])
def test_null_characters_in_the_url_are_refused(api, path):
    assert api.get(path).status_code == 400


def test_a_body_of_more_than_100_kb_is_refused_unless_the_route_takes_it(api, client):
    body = json.dumps({"name": "x" * 100_000})
    answer = api.post(f"{api.base}/regions", body, content_type="application/json")
    assert answer.status_code == 413 and answer.json() == {
        "code": "InvalidArgument", "message": "The body has more than 100,000 bytes",
    }  # fmt: skip
    assert api.post(f"{api.base}/regions", body[:90_000], content_type="application/json").status_code == 400


def test_a_route_may_take_more(client, settings, acme):
    settings.ROOT_URLCONF = "tests.tenants.larger_bodies"
    assert client.post("/v1/upload", b"\x00" * 150_000, "application/octet-stream").content == b"150000"
    assert client.post("/v1/upload", b"\x00" * 250_000, "application/octet-stream").status_code == 413
    assert client.post("/v1/uploads", b"\x00" * 150_000, "application/octet-stream").content == b"150000"


def test_an_id_of_the_request_is_kept_if_it_is_sane_and_made_if_not(client, caplog):
    assert client.get("/healthz", headers={"X-Request-ID": "abc-12345"})["X-Request-ID"] == "abc-12345"
    made = client.get("/healthz", headers={"X-Request-ID": "evil id; Secure"})["X-Request-ID"]
    assert len(made) == 16 and made.isalnum()


def test_the_log_names_the_request_and_hides_secrets(client):
    from eim_project.logging import Line
    from tenants.request import bound

    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "refused %s", "args": ("Bearer ey.a.b",)})
    record.because = "password=hunter2 client_secret: 'abc' eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    with bound(request_id="r-1", project="acme"):
        line = Line().format(record)
    assert "request_id=r-1" in line and "project=acme" in line and "refused Bearer [hidden]" in line
    assert not any(secret in line for secret in ("hunter2", "abc", "eyJ", "c2lnbmF0dXJl", "ey.a.b"))


def test_a_line_of_json_is_an_object_with_the_same_facts_and_no_secret():
    from tenants.request import bind, bound

    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "refused %s", "args": ("Bearer ey.a.b",)})
    record.because, record.password, record.seconds = 'a "quote"\nand client_secret=abc', "hunter2 hunter3", 0.5
    try:
        raise ValueError("token: hunter4")
    except ValueError:
        record.exc_info = sys.exc_info()
    with bound(request_id="r-1", project="acme"):
        bind(resource_id="host-1a2b3c4d")
        line = Json().format(record)
    told = json.loads(line)
    assert "\n" not in line and told["seconds"] == 0.5 and told["because"].startswith('a "quote"\nand')
    assert (told["request_id"], told["project"], told["resource_id"]) == ("r-1", "acme", "host-1a2b3c4d")
    assert told["level"] == "INFO" and told["time"].endswith("+00:00") and "ValueError" in told["exception"]
    assert not any(secret in line for secret in ("hunter", "abc", "ey.a.b"))


def test_what_is_logged_of_a_request_names_its_tenant_and_resource(api, monkeypatch, caplog):
    told, region = [], api.post(f"{api.base}/regions", {"name": "Europe"}).json()["resourceId"]
    monkeypatch.setattr(caplog.handler, "emit", lambda record: told.append(json.loads(Json().format(record))))
    monkeypatch.setattr("inventory.models.Region.clean", lambda self: logging.getLogger("x").warning("looked at"))
    api.patch(f"{api.base}/regions/{region}", {"name": "Asia"}, headers={"X-Request-ID": "abc-12345"})
    [line] = [line for line in told if line["message"] == "looked at"]
    assert (line["request_id"], line["project"], line["resource_id"]) == ("abc-12345", "acme", region)


def test_a_long_line_is_looked_through_at_once():
    from eim_project.logging import Line

    began = time.monotonic()
    for text in ("a" * 300_000, "eyJ" * 100_000, "token" * 60_000, "password " * 30_000):
        Line().format(logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": text}))
    assert time.monotonic() - began < 2


# Browsers --------------------------------------------------------------------------------------------------------

UI = "https://ui.example.org"


def test_pages_of_other_origins_may_call_only_if_that_is_configured(api, settings):
    assert "Access-Control-Allow-Origin" not in api.get(f"{api.base}/regions", headers={"Origin": UI})
    settings.CORS_ALLOWED_ORIGINS = [UI]
    answer = api.get(f"{api.base}/regions", headers={"Origin": UI})
    assert answer["Access-Control-Allow-Origin"] == UI and answer["Access-Control-Allow-Credentials"] == "true"
    assert {"Date", "ETag", "Retry-After"} <= {*answer["Access-Control-Expose-Headers"].split(", ")}
    asked = {"Origin": UI, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    leave = Client().options(f"{api.base}/regions", headers=asked)
    assert leave.status_code == 200 and leave["Access-Control-Max-Age"] == "600"
    assert {"authorization", "activeprojectid"} <= {*leave["Access-Control-Allow-Headers"].split(", ")}
    assert "Access-Control-Allow-Origin" not in api.get(f"{api.base}/regions", headers={"Origin": UI + ".evil.org"})


def test_refusals_are_readable_by_pages_of_other_origins(settings, acme):
    settings.CORS_ALLOWED_ORIGINS = [UI]
    settings.LIMIT_ADDRESS = "1/hour"
    answers = [Client().get("/v1/projects/acme/regions", headers={"Origin": UI}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]
    assert all(answer["Access-Control-Allow-Origin"] == UI for answer in answers)


def test_a_session_writes_over_the_api_with_a_csrf_token_alone(acme):
    user = User.objects.create_user("ada")
    Grant.objects.create(user=user, project=acme, role=Role.WRITE)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    path = "/v1/projects/acme/regions"
    assert browser.get(path).status_code == 200
    assert browser.post(path, {"name": "x"}, "application/json").status_code == 403
    browser.cookies["csrftoken"] = "a" * 32
    answer = browser.post(path, {"name": "x"}, "application/json", headers={"X-CSRFToken": "a" * 32})
    assert answer.status_code == 200


def test_answers_are_dressed_against_misuse(client, acme, settings):
    answer = client.get("/admin/login/")
    assert answer["X-Frame-Options"] == "DENY" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin" and "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer
    settings.SECURE_HSTS_SECONDS = 60
    assert "max-age=60" in Client().get("/admin/login/", secure=True)["Strict-Transport-Security"]


def test_cookies_are_kept_from_scripts_and_from_plain_http_once_there_is_tls(acme, settings):
    User.objects.create_user("ada", password="lovelace", is_staff=True)
    for secure in (False, True):
        form = {"username": "ada", "password": "lovelace"}
        browser = Client()
        answer = browser.post(settings.LOGIN_URL, form, secure=secure)
        cookies = answer.cookies
        assert "sessionid" in cookies
        for cookie in cookies.values():
            assert cookie["httponly"] and cookie["samesite"] == "Lax" and bool(cookie["secure"]) == secure


# Addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "came_from", "forwarded", "address"),
    [
        ([], "192.0.2.9", "203.0.113.5", "192.0.2.9"),
        (["192.0.2.0/24"], "192.0.2.9", "203.0.113.5", "203.0.113.5"),
        (["192.0.2.0/24"], "192.0.2.9", "6.6.6.6, 203.0.113.5, 192.0.2.7", "203.0.113.5"),
        (["192.0.2.0/24"], "198.51.100.1", "203.0.113.5", "198.51.100.1"),
        (["192.0.2.0/24"], "192.0.2.9", "<script>", "192.0.2.9"),
        (["192.0.2.0/24"], "192.0.2.9", "", "192.0.2.9"),
    ],
)  # fmt: skip
def test_only_proxies_of_ours_are_believed_about_addresses(settings, proxies, came_from, forwarded, address):
    settings.TRUSTED_PROXIES = [ip_network(proxy) for proxy in proxies]
    request = RequestFactory().get("/", REMOTE_ADDR=came_from, headers={"X-Forwarded-For": forwarded})
    RequestMiddleware(lambda request: HttpResponse())(request)
    assert request.client_address == address


def test_only_proxies_of_ours_are_believed_about_tls(settings):
    for proxies, secure in (([], False), ([ip_network("127.0.0.1")], True)):
        settings.TRUSTED_PROXIES = proxies
        request = RequestFactory().get("/", headers={"X-Forwarded-Proto": "https"})
        RequestMiddleware(lambda request: HttpResponse())(request)
        assert request.is_secure() == secure


# Moderation ------------------------------------------------------------------------------------------------------


def test_an_address_that_asks_too_often_waits(client, settings, acme):
    settings.LIMIT_ADDRESS = "2/minute"
    answers = [client.get("/v1/projects/acme/regions") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 61 and answers[2].json()["code"] == "ResourceExhausted"
    assert Client(REMOTE_ADDR="192.0.2.1").get("/v1/projects/acme/regions").status_code == 401
    with_v6 = [Client(REMOTE_ADDR=f"2001:db8::{n}").get("/healthz").status_code for n in range(1, 4)]
    assert with_v6 == [200, 200, 429], "whoever has IPv6 has 2^64 addresses"


def test_a_limit_that_cannot_be_read_ends_the_start():
    done = started("-c", "import eim_project.wsgi", EIM_LIMIT_TENANT="many")
    assert done.returncode == 2 and "EIM_LIMIT_TENANT=many: a limit like 200/second" in done.stderr


def test_a_tenant_that_asks_too_often_waits_and_strangers_do_not_use_its_share_up(api, beta, settings):
    settings.LIMIT_TENANT = "2/minute"
    stranger = client_of(beta, "im-rw")
    assert [stranger.get(f"{api.base}/regions").status_code for _ in range(3)] == [403] * 3
    answers = [api.get(f"{api.base}/regions") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 61 and "acme" in answers[2].json()["message"]
    assert stranger.get("/v1/projects/beta/regions").status_code == 200


class Counting(limits.Limiter):
    asked = 0

    def _ask(self, verb, *arguments, **options):
        self.asked += verb == "hit"
        return super()._ask(verb, *arguments, **options)


def test_of_a_large_limit_two_processes_let_all_but_a_hundredth_pass_and_seldom_ask(acme, settings):
    processes = [Counting(settings.LIMITS_URL, None) for _ in range(2)]
    allowed, whose = [limits.parse("500 per hour")], secrets.token_hex(8)
    waits = [processes[number % 2].hit_often(allowed, whose) for number in range(450)]
    assert set(waits) == {0} and sum(process.asked for process in processes) < 100
    waits += [processes[number % 2].hit_often(allowed, whose) for number in range(150)]
    assert 490 <= waits.count(0) <= 500 and 0 < max(waits) <= 3601 and 0 not in waits[-80:]


def test_without_redis_nobody_is_limited_but_guessers_are(client, acme, monkeypatch, caplog, settings):
    settings.LIMIT_ADDRESS = "1/hour"
    settings.LIMITS_URL = "redis://127.0.0.1:1/2"
    limits.of_requests.cache_clear()
    limits.of_few.cache_clear()
    try:
        began = time.monotonic()
        assert [client.get("/healthz").status_code for _ in range(3)] == [200] * 3
        assert time.monotonic() - began < 1
        assert "Redis is away" in caplog.text and caplog.text.count("Redis is away") == 1
        form = PERSON | {"username": "nobody", "password": "x"}
        assert [client.post(TOKEN, form).status_code for _ in range(6)] == [401] * 5 + [429]
    finally:
        limits.of_requests.cache_clear()
        limits.of_few.cache_clear()


@pytest.fixture
def ada(acme, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # or guesses take a second
    return User.objects.create_user("ada", password="lovelace", is_staff=True)


def guess(name: str, password: str = "wrong", **client) -> HttpResponse:
    return Client(**client).post(TOKEN, PERSON | {"username": name, "password": password})


@pytest.mark.parametrize("name", ["ada", "nobody", "x\x07", "ö" * 5000])
def test_guessing_a_password_is_slowed_down_whether_the_account_exists(ada, name):
    answers = [guess(name) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert 1 <= int(answers[5]["Retry-After"]) <= 16
    assert answers[5].json() == {
        "error": "temporarily_unavailable",
        "error_description": "Too many wrong passwords: wait before you try again",
    }  # fmt: skip


def test_the_right_password_is_not_tried_either_while_one_has_to_wait(ada):
    for _ in range(5):
        guess("ada")
    assert guess("ada", "lovelace").status_code == 429
    assert guess("ada", "lovelace", REMOTE_ADDR="192.0.2.1").status_code == 200, "its owner is elsewhere"


def test_the_pause_ends_and_grows(ada, monkeypatch):
    fast = [limits.parse("5 per 2 seconds"), limits.parse("7 per 10 minutes")]
    monkeypatch.setattr(limits, "OF_AN_ACCOUNT", fast)
    waits = [int(guess("ada").get("Retry-After", 0)) for _ in range(6)]
    assert waits[:5] == [0] * 5 and 1 <= waits[5] <= 3
    time.sleep(2.1)
    assert [guess("ada").status_code for _ in range(2)] == [401, 401]
    assert int(guess("ada")["Retry-After"]) > 60


def test_signing_in_clears_the_count(ada):
    for _ in range(3):
        assert [guess("ada").status_code for _ in range(4)] == [401] * 4
        assert guess("ada", "lovelace").status_code == 200


def test_one_address_that_guesses_at_many_accounts_is_slowed_down(ada, monkeypatch):
    monkeypatch.setattr(limits, "OF_AN_ADDRESS", limits.parse_many("3 per minute"))
    assert [guess(f"nobody{n}").status_code for n in range(4)] == [401, 401, 401, 429]


def test_the_login_page_is_guarded_as_the_token_service_is(ada, settings):
    page = settings.LOGIN_URL
    browser = Client()
    form = {"username": "ada", "password": "wrong"}
    assert [browser.post(page, form).status_code for _ in range(6)] == [200] * 5 + [429]
    assert "Retry-After" in browser.post(page, form, headers={"Accept": "text/html"})


# Authentication off ----------------------------------------------------------------------------------------------


@pytest.fixture
def wide_open(acme, settings):
    settings.AUTHENTICATION = False


def test_with_authentication_off_whoever_asks_here_may_do_everything(wide_open, client):
    assert client.post("/v1/projects/acme/regions", {"name": "x"}, "application/json").status_code == 200
    assert client.get("/v1/projects/beta/regions").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Authorization": "Bearer x"},
    ],
)
def test_pages_from_elsewhere_and_wrong_tokens_are_refused_all_the_same(wide_open, client, headers):
    answer = client.post("/v1/projects/acme/regions", '{"name": "x"}', "text/plain", headers=headers)
    assert answer.status_code == 401


def test_with_authentication_off_other_machines_are_refused_all_the_same(wide_open):
    assert Client(REMOTE_ADDR="192.0.2.1").get("/v1/projects/acme/regions").status_code == 401


def test_the_old_ui_works_with_authentication_off_from_the_origin_that_is_configured(wide_open, client, settings):
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
    assert client.get("/v1/projects/acme/regions", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_the_welcome_says_loudly_that_authentication_is_off(settings):
    here = stack.Stack(
        http="http://127.0.0.1:1", https="", grpc="", flower="", exporter="", ca="", database_url="", redis_url="",
        pid=1,
    )  # fmt: skip
    assert "AUTHENTICATION IS OFF" not in stack._welcome(here, "admin")
    settings.AUTHENTICATION = False
    assert "!!! AUTHENTICATION IS OFF" in stack._welcome(here, "admin")


def started(*command: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | {"EIM_AUTH": "off"} | environment, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def test_the_command_line_without_a_token_finds_its_project_and_changes_it(wide_open, client):
    assert {project["name"] for project in client.get("/v1/projects").json()} >= {"acme", "beta"}
    assert client.get("/v1/projects/acme").json()["name"] == "acme"
    made = client.post("/v1/projects/acme/regions", {"name": "x"}, "application/json").json()
    assert client.delete(f"/v1/projects/acme/regions/{made['resourceId']}").status_code == 200
    assert client.put("/v1/projects/acme", {"description": "mine"}, "application/json").status_code == 200
    told = Audit.objects.filter(kind="anybody")
    with schema_context("public"):
        assert [line.method for line in told.order_by("id")] == ["POST", "DELETE", "PUT"]


def test_pages_say_loudly_that_authentication_is_off():
    say = "import django; django.setup(); from eim_project.urls import admin, site; "
    say += "print(admin.site.site_header, site.site_header)"
    done = started("-c", say, DJANGO_SETTINGS_MODULE="eim_project.settings")
    assert done.stdout.count("AUTHENTICATION IS OFF") == 2


def test_authentication_is_off_on_the_loopback_only():
    done = started("-c", "import eim_project.settings", EIM_BIND="0.0.0.0")
    assert done.returncode != 0 and "EIM_AUTH=off opens everything" in done.stderr
    done = started("-m", "gunicorn", "eim_project.wsgi", "--bind=0.0.0.0:0")
    assert done.returncode == 4 and "bind to 127.0.0.1" in done.stderr


def test_a_request_that_fails_names_nobody_for_the_next_one_of_its_thread(acme, monkeypatch):
    api, other = client_of(acme, "im-rw"), client_of(acme, "im-rw")
    api.raise_request_exception = False
    monkeypatch.setattr("inventory.models.Region.clean", lambda self: 1 / 0)
    assert api.post(f"{api.base}/regions", {"name": "Europe"}).status_code == 500
    monkeypatch.undo()
    with schema_context(acme.schema_name):
        Region(name="made by nobody").ask()
        assert Event.objects.order_by("-id").first().who == ""
    assert other.post(f"{other.base}/regions", {"name": "Asia"}).status_code == 200
    with schema_context(acme.schema_name):
        assert Event.objects.order_by("-id").first().who == other.who

"""API tokens: shown once, never more than their owner, and gone when they are called back."""

import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from tenants import api_tokens, tokens
from tenants.models import ApiToken, Client, Grant, Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(acme, beta):
    user = User.objects.create_user("ada", password="lovelace")
    for project in (acme, beta):
        Grant.objects.create(user=user, project=project, role=Role.WRITE)
    return user


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        ahead = 0.0

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + Clock.ahead)
    return Clock


def client_for(person: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.for_person(person, 'system-client')}")
    return client


@pytest.fixture
def adas(ada):
    return client_for(ada)


@pytest.fixture
def bobs(acme):
    bob = User.objects.create_user("bob")
    Grant.objects.create(user=bob, project=acme, role=Role.WRITE)
    return client_for(bob)


def tries(client, project, token) -> tuple[int, int]:
    """What reading and writing are answered."""
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    path = f"/v1/projects/{project.name}/regions"
    wrote = client.post(path, {"name": f"r{time.time_ns()}"}, "application/json", **bearer)
    return client.get(path, **bearer).status_code, wrote.status_code


def test_a_token_is_made_shown_once_listed_and_revoked(adas, client, acme):
    made = adas.post("/v1/tokens", {"name": "backup"}).json()
    assert made["token"].startswith(f"eim_{made['key']}_") and made["readOnly"] and made["projects"] is None
    assert tries(client, acme, made["token"]) == (200, 403)
    [listed] = adas.get("/v1/tokens").json()["tokens"]
    assert listed["name"] == "backup" and "token" not in listed
    assert made["token"].rpartition("_")[2] not in str(ApiToken.objects.values().get())
    assert adas.delete(f"/v1/tokens/{made['key']}").status_code == 200
    assert tries(client, acme, made["token"]) == (401, 401)
    assert adas.get("/v1/tokens").json()["tokens"] == []


def test_it_may_write_if_it_was_made_to_and_only_where_it_was_made_for(adas, client, acme, beta):
    made = adas.post("/v1/tokens", {"name": "ci", "readOnly": False, "projects": [acme.name]}).json()
    assert made["projects"] == [acme.name]
    assert tries(client, acme, made["token"]) == (200, 200) and tries(client, beta, made["token"]) == (403, 403)


def test_it_never_may_more_than_its_owner_may_now(adas, client, ada, acme, clock):
    token = adas.post("/v1/tokens", {"name": "ci", "readOnly": False}).json()["token"]
    assert tries(client, acme, token) == (200, 200)
    Grant.objects.filter(user=ada, project=acme).update(role=Role.READ)
    clock.ahead = 16
    assert tries(client, acme, token) == (200, 403)
    Grant.objects.filter(user=ada).delete()
    clock.ahead = 32
    assert tries(client, acme, token) == (403, 403)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    clock.ahead = 48
    assert tries(client, acme, token) == (401, 401)


def test_it_expires(adas, client, acme, clock):
    token = adas.post("/v1/tokens", {"name": "ci", "expiresInDays": 1}).json()["token"]
    clock.ahead = 86_395
    assert tries(client, acme, token)[0] == 200
    clock.ahead = 86_401
    assert tries(client, acme, token)[0] == 401


def test_a_superusers_token_that_only_reads_is_no_superuser(ada, acme):
    ada.is_superuser = ada.is_staff = True
    ada.save()
    _, reading = api_tokens.create(ada, "r", days=1)
    _, writing = api_tokens.create(ada, "w", days=1, read_only=False)
    _, here = api_tokens.create(ada, "h", days=1, read_only=False, projects=[acme])
    assert [tokens.verify(token).is_superuser for token in (reading, writing, here)] == [False, True, False]
    org = acme.organization.uuid
    assert not any("write" in role or "delete" in role or "-rw" in role for role in tokens.verify(reading).roles)
    assert {"org-read-role", f"{org}_project-read-role", f"{acme.uuid}_im-r"} <= tokens.verify(reading).roles
    assert tokens.verify(here).roles == {f"{acme.uuid}_im-rw", f"{org}_{acme.uuid}_m"}


@pytest.mark.parametrize(
    "token",
    ["eim_", "eim_aaaaaaaa_", "eim_aaaaaaaa_" + "a" * 43, "eim_AAAAAAAA_" + "a" * 43, "eim_" * 2000],
)
def test_what_is_none_is_refused_and_says_so(client, acme, token):
    answer = client.get(f"/v1/projects/{acme.name}/regions", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].endswith('error_description="There is no such API token"')


def test_the_right_key_with_another_secret_is_refused(ada, acme, client):
    _, token = api_tokens.create(ada, "x", days=1)
    assert tries(client, acme, token[:-1] + ("A" if token[-1] != "A" else "B"))[0] == 401


def test_no_request_between_two_looks_asks_the_database(ada, django_assert_num_queries):
    _, token = api_tokens.create(ada, "x", days=1)
    tokens.verify(token)
    with django_assert_num_queries(0):
        tokens.verify(token)


def test_when_it_was_last_used_is_noted_to_the_hour(ada, clock):
    made, token = api_tokens.create(ada, "x", days=1)
    assert made.used_at is None
    tokens.verify(token)
    made.refresh_from_db()
    first = made.used_at
    clock.ahead = 1800
    tokens.verify(token)
    made.refresh_from_db()
    assert made.used_at == first
    clock.ahead = 3700
    tokens.verify(token)
    made.refresh_from_db()
    assert made.used_at > first


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 101}, "name"), ({"name": "a\0"}, "name"),
        ({"name": "x", "expiresInDays": 0}, "expiresInDays"), ({"name": "x", "expiresInDays": 367}, "expiresInDays"),
        ({"name": "x", "readOnly": "perhaps"}, "readOnly"), ({"name": "x", "projects": ["nobody"]}, "projects"),
        ({"name": "x", "projects": "acme"}, "projects"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_met_is_refused_by_name(adas, body, field):
    answer = adas.post("/v1/tokens", body)
    assert answer.status_code == 400 and field in answer.json()["message"] and not ApiToken.objects.exists()


def test_it_cannot_be_made_for_a_project_of_others_which_looks_like_none(bobs, beta):
    theirs = bobs.post("/v1/tokens", {"name": "x", "projects": [beta.name]})
    none = bobs.post("/v1/tokens", {"name": "x", "projects": ["nobody"]})
    assert theirs.status_code == 400 and theirs.content.replace(beta.name.encode(), b"nobody") == none.content


def test_an_api_token_makes_no_others(ada, client, acme):
    _, token = api_tokens.create(ada, "x", days=1, read_only=False)
    answer = client.post("/v1/tokens", {"name": "y"}, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 403 and "not for an API token" in answer.json()["message"]


def test_nobody_sees_or_revokes_those_of_others(ada, adas, bobs):
    made, _ = api_tokens.create(ada, "x", days=1)
    assert bobs.get("/v1/tokens").json()["tokens"] == []
    assert bobs.delete(f"/v1/tokens/{made.key}").status_code == 404
    assert adas.delete(f"/v1/tokens/{made.key}").status_code == 200


def test_ones_sign_ins_are_listed_and_ended(client, ada, bobs):
    form = {"grant_type": "password", "client_id": "system-client", "username": "ada", "password": "lovelace"}
    given = client.post("/realms/master/protocol/openid-connect/token", form).json()
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {given['access_token']}"}
    [listed] = client.get("/v1/sign-ins", **bearer).json()["signIns"]
    assert listed["sid"] == given["session_state"] and listed["client"] == "system-client"
    assert bobs.delete(f"/v1/sign-ins/{listed['sid']}").status_code == 404
    assert client.delete(f"/v1/sign-ins/{listed['sid']}", **bearer).status_code == 200
    assert client.get("/v1/sign-ins", **bearer).status_code == 401


def test_without_a_token_there_are_none(client, acme):
    assert client.get("/v1/tokens").status_code == client.post("/v1/tokens").status_code == 401


def test_the_command_makes_one(ada, acme, client):
    said = StringIO()
    call_command("create_token", "ada", "ci", write=True, project=[acme.name], stdout=said)
    assert tries(client, acme, said.getvalue().strip()) == (200, 200)
    for wrong in (["nobody", "ci"], ["ada", "ci", "--days", "0"], ["ada", "ci", "--project", "nobody"]):
        with pytest.raises(CommandError):
            call_command("create_token", *wrong)


def test_the_admin_ends_sign_ins_and_tokens_and_shows_no_secret(admin_client, ada, acme):
    made, token = api_tokens.create(ada, "x", days=1)
    page = admin_client.get("/admin/tenants/apitoken/")
    assert made.key.encode() in page.content and made.secret_hash.encode() not in page.content
    chosen = {"action": "end", "_selected_action": [made.pk]}
    assert admin_client.post("/admin/tenants/apitoken/", chosen).status_code == 302
    with pytest.raises(tokens.BadToken, match="revoked"):
        tokens.verify(token)
    made, token = api_tokens.create(ada, "y", days=1)
    assert admin_client.post(f"/admin/tenants/apitoken/{made.pk}/delete/", {"post": "yes"}).status_code == 302
    with pytest.raises(tokens.BadToken, match="revoked"):
        tokens.verify(token)
    for path in ("signin", "client", f"client/{Client.objects.get(client_id='eim-flower').pk}/change"):
        assert admin_client.get(f"/admin/tenants/{path}/").status_code == 200

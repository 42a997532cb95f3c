"""The audit: every change that was asked for is in it, nobody changes it, and it holds no secret."""

import io
import json
import logging
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone
from django_tenants.utils import schema_context

from eim_project.logging import Line
from inventory.models import Host, HostState, Region
from tenants import audit, credentials, expired, limits
from tenants.models import Audit, Grant, Role, User
from tests.conftest import client_of, token_with
from workers import tasks

pytestmark = pytest.mark.django_db
PERSON = {"grant_type": "password", "client_id": "system-client"}
TOKEN = "/realms/master/protocol/openid-connect/token"


@pytest.fixture
def ada(acme, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = User.objects.create_user("ada", password="lovelace", is_staff=True)
    Grant.objects.create(user=user, project=acme, role=Role.WRITE)
    return user


def last(schema: str | None = None) -> Audit:
    lines = Audit.objects.filter(schema=schema) if schema else Audit.objects
    return lines.latest("id")


def test_a_change_over_the_api_is_told_with_who_what_when_and_from_where(api, acme):
    headers = {"User-Agent": "orch-cli/1.0 " + "x" * 500, "X-Request-ID": "request-1"}
    made = api.post(f"{api.base}/regions", {"name": "north"}, headers=headers, REMOTE_ADDR="192.0.2.7").json()
    line = last()
    assert (line.schema, line.kind, line.who, line.subject) == (acme.schema_name, "token", api.who, "system-client")
    assert (line.method, line.action, line.resource_id) == ("POST", "Region.create", made["resourceId"])
    assert (line.address, line.request_id, line.status, line.code) == ("192.0.2.7", "request-1", 200, "")
    assert line.user_agent.startswith("orch-cli/1.0") and len(line.user_agent) == 100
    assert timezone.now() - line.at < timedelta(seconds=30)
    api.delete(f"{api.base}/regions/{made['resourceId']}")
    assert (last().method, last().action, last().resource_id) == ("DELETE", "Region.destroy", made["resourceId"])


def test_reading_is_not_told(api):
    api.get(f"{api.base}/regions")
    assert not Audit.objects.exists()


@pytest.mark.parametrize(
    ("client", "status", "code", "kind"),
    [
        (lambda acme: client_of(acme, "im-r"), 403, "PermissionDenied", "token"),
        (lambda acme: Client(), 401, "Unauthenticated", "nobody"),
        (lambda acme: client_of(acme, "im-rw"), 400, "InvalidArgument", "token"),
    ],
)
def test_what_is_refused_is_told_though_nothing_was_written(acme, client, status, code, kind):
    answer = client(acme).post("/v1/projects/acme/regions", '{"nonsense": 1}', content_type="application/json")
    assert answer.status_code == status
    assert (last().status, last().code, last().kind) == (status, code, kind) and not Region.objects.exists()


def test_what_fails_in_its_transaction_is_told_all_the_same(api, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of order")

    monkeypatch.setattr(Region, "ask", fail)
    api.raise_request_exception = False
    assert api.post(f"{api.base}/regions", {"name": "x"}).status_code == 500
    assert last().status == 500 and last().who == api.who


def test_a_stranger_is_told_of_where_they_knocked(acme, beta):
    client_of(beta, "im-rw").post("/v1/projects/acme/regions", {})
    assert last().schema == acme.schema_name and last().status == 403


def test_what_is_done_on_pages_is_told(acme, ada, client):
    client.force_login(ada)
    client.post("/p/acme/admin/inventory/region/add/", {"name": "north", "metadata": ""})
    line = last()
    assert (line.kind, line.who, line.subject, line.status) == ("person", "ada", str(ada.pk), 302)
    assert line.schema == acme.schema_name and line.action == "project:inventory_region_add"
    client.post("/p/acme/admin/logout/")
    assert (last().who, last().action) == ("ada", "project:logout")


def test_sign_ins_are_told_issued_and_refused(ada, settings):
    connection.set_schema_to_public()
    for password, status in (("lovelace", 200), ("wrong", 401)):
        Client().post(TOKEN, PERSON | {"username": "ada", "password": password})
        assert (last().who, last().kind, last().status, last().method) == ("ada", "person", status, "POST")
    Client().post(settings.LOGIN_URL, {"username": "ada", "password": "lovelace"})
    assert (last().who, last().kind, last().status) == ("ada", "person", 302)


def test_a_password_typed_where_the_name_belongs_is_not_kept(ada):
    Client().post(TOKEN, PERSON | {"username": "hunter2", "password": "ada"})
    connection.set_schema_to_public()
    assert (last("public").who, last("public").kind) == ("", "nobody")


def test_nodes_that_fetch_their_token_are_told_only_when_refused(acme):
    host = Host(uuid="00000000-0000-0000-0000-00000000000b")
    host.ask(state=HostState.ONBOARDED)
    client_id, secret = credentials.issue(host.uuid)
    connection.set_schema_to_public()
    before = Audit.objects.count()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    assert Client().post(TOKEN, form).status_code == 200
    assert Audit.objects.count() == before
    assert Client().post(TOKEN, form | {"client_secret": "wrong"}).status_code == 401
    assert (last("public").kind, last("public").who) == ("node", client_id)


def test_a_flood_of_refusals_does_not_fill_the_disk(acme, monkeypatch):
    monkeypatch.setattr(limits, "REFUSALS_OF_AN_ADDRESS", limits.parse_many("3 per minute"))
    for _ in range(10):
        assert Client().post("/v1/projects/acme/regions").status_code == 401
    assert Audit.objects.count() == 3
    Client(REMOTE_ADDR="192.0.2.1").post("/v1/projects/acme/regions")
    assert Audit.objects.count() == 4


def test_commands_that_change_something_are_told():
    connection.set_schema_to_public()
    audit.record_command(["create_project", "acme", "--org", "tests"], failed=False)
    assert (last().kind, last().method, last().action, last().resource_id, last().status) == (
        "command", "RUN", "create_project", "acme", 200,
    )  # fmt: skip
    assert last().who
    audit.record_command(["issue_token", "--user", "hunter2"], failed=True)
    assert (last().action, last().resource_id, last().status) == ("issue_token", "", 500)
    before = Audit.objects.count()
    # What a machine's command does is told by the stack that it talks to, which may have ended with it.
    of_machines = (["machine"], ["machine_life"], ["machine_update", "image"])
    for harmless in (["check"], ["create_project", "--help"], [], *of_machines):
        audit.record_command(harmless, failed=False)
    assert Audit.objects.count() == before


# Nobody changes it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["UPDATE tenants_audit SET who = 'eve'", "DELETE FROM tenants_audit", "TRUNCATE tenants_audit"],
)
def test_the_database_refuses_every_change(api, statement):
    api.post(f"{api.base}/regions", {"name": "north"})
    for schema in ("public", connection.schema_name):
        with (
            schema_context(schema), connection.cursor() as cursor,
            pytest.raises(DatabaseError, match="appended to and read"), transaction.atomic(),
        ):  # fmt: skip
            cursor.execute(statement)
    assert last().who == api.who


def test_lines_of_others_are_not_seen_and_not_written(api, beta):
    api.post(f"{api.base}/regions", {"name": "north"})
    with schema_context(beta.schema_name):
        assert not Audit.objects.exists()
    with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
        Audit.objects.create(schema=beta.schema_name, kind="token", method="POST", action="x", status=200)


def old_lines(count: int, days: int) -> None:
    Audit.objects.bulk_create(
        Audit(schema="public", kind="nobody", method="POST", action=f"{days} days ago", status=200)
        for _ in range(count)
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tenants_audit DISABLE TRIGGER append_only")
        at = timezone.now() - timedelta(days=days)
        cursor.execute("UPDATE tenants_audit SET at = %s WHERE action = %s", [at, f"{days} days ago"])
        cursor.execute("ALTER TABLE tenants_audit ENABLE TRIGGER append_only")


def test_what_is_old_enough_is_forgotten_in_batches_and_nothing_else(public, settings, monkeypatch):
    settings.AUDIT_DAYS = 30
    monkeypatch.setattr(expired, "AT_ONCE", 10)
    old_lines(5, 50)
    assert tasks.forget()["audit"] == 5
    old_lines(25, 40)
    old_lines(12, 20)
    said = io.StringIO()
    call_command("forget", stdout=said)
    assert "audit: 25 forgotten" in said.getvalue()
    assert {*Audit.objects.values_list("action", flat=True)} == {"20 days ago"} and Audit.objects.count() == 12
    with pytest.raises(DatabaseError, match="appended"), transaction.atomic():
        Audit.objects.all().delete()


def test_a_line_that_cannot_be_written_is_logged_and_the_answer_stands(api, caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tenants_audit ADD CONSTRAINT none CHECK (false) NOT VALID")
    assert api.post(f"{api.base}/regions", {"name": "north"}).status_code == 200
    assert "could not be written" in caplog.text and Region.objects.count() == 1


# Reading it ------------------------------------------------------------------------------------------------------


def test_writers_of_a_project_read_its_audit_page_by_page(api, acme, beta):
    for n in range(5):
        api.post(f"{api.base}/regions", {"name": f"r{n}"})
    with schema_context(beta.schema_name):
        Audit.objects.create(schema=beta.schema_name, kind="token", method="POST", action="secret", status=200)
    seen, before = [], {}
    while True:
        page = api.get(f"{api.base}/audit", {"pageSize": 2} | before).json()
        seen += page["audit"]
        if not page["hasNext"]:
            break
        before = {"before": page["audit"][-1]["id"]}
    assert len(seen) == 5 and seen == sorted(seen, key=lambda line: -line["id"])
    assert {line["action"] for line in seen} == {"Region.create"}
    assert {*seen[0]} == {
        "id", "at", "kind", "who", "subject", "method", "action", "resourceId", "address", "userAgent", "requestId",
        "status", "code",
    }  # fmt: skip


def test_the_audit_is_filtered(api):
    made = [api.post(f"{api.base}/regions", {"name": f"r{n}"}).json()["resourceId"] for n in range(3)]
    api.post(f"{api.base}/regions", {"nonsense": 1})
    find = lambda **query: [line["id"] for line in api.get(f"{api.base}/audit", query).json()["audit"]]  # noqa: E731
    assert len(find(resourceId=made[1])) == 1 and len(find(status=400)) == 1 and len(find(who=api.who)) == 4
    assert find(who="eve") == [] and len(find(code="InvalidArgument", method="POST")) == 1
    assert len(find(**{"from": "2020-01-01T00:00:00Z"})) == 4 and find(to="2020-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=0", "pageSize=1001", "pageSize=x", "before=-1", "before=99999999999999999999", "status=\u0663",
        "from=yesterday", "to=2026-01-01", "to=2026-13-01T00:00:00Z",
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(api, query):
    answer = api.get(f"{api.base}/audit?{query}")
    assert answer.status_code == 400 and query.partition("=")[0] in answer.json()["message"]


def test_who_only_reads_the_inventory_does_not_read_the_audit(acme, beta):
    for project, role in ((acme, "im-r"), (acme, "en-ob"), (beta, "im-rw")):
        assert client_of(project, role).get("/v1/projects/acme/audit").status_code == 403
    assert Client().get("/v1/projects/acme/audit").status_code == 401


def test_pages_show_the_audit_to_read(api, acme, beta, ada, client):
    api.post(f"{api.base}/regions", {"name": "north"})
    with schema_context(beta.schema_name):
        Audit.objects.create(schema=beta.schema_name, kind="token", method="POST", action="of-beta", status=200)
    client.force_login(ada)
    page = client.get("/p/acme/admin/inventory/").status_code, client.get("/p/acme/admin/tenants/audit/")
    assert page[0] == 200 and b"Region.create" in page[1].content and b"of-beta" not in page[1].content
    assert client.get("/p/acme/admin/tenants/audit/add/").status_code == 403
    connection.set_schema_to_public()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/admin/tenants/audit/")
    assert b"Region.create" in page.content and b"of-beta" in page.content
    assert client.post(f"/admin/tenants/audit/{Audit.objects.first().pk}/delete/", {"post": "yes"}).status_code == 403


# No secret in it -------------------------------------------------------------------------------------------------


def test_planted_secrets_are_in_no_line_of_audit_or_log_and_in_no_answer(acme, ada, caplog, settings):
    caplog.set_level(logging.DEBUG)
    host = Host(uuid="00000000-0000-0000-0000-00000000000c")
    host.ask(state=HostState.ONBOARDED)
    client_id, node_secret = credentials.issue(host.uuid)
    token = token_with(f"{acme.uuid}_im-rw")
    secrets = ["lovelace", "Hunter2!", "provider-credential-1", node_secret, token]
    bearer = {"Authorization": f"Bearer {token}"}
    node = {"grant_type": "client_credentials"}
    browser = Client(raise_request_exception=False)
    answers = [
        browser.post("/v1/projects/acme/providers", {"name": "p", "apiCredentials": [secrets[2]], "x": secrets[1]},
                     "application/json", headers=bearer),
        browser.post("/v1/projects/acme/regions", json.dumps({"name": 7, "password": secrets[1]}), "application/json",
                     headers=bearer),
        browser.post("/v1/projects/acme/regions", "{" + secrets[1], "application/json", headers=bearer),
        browser.post("/v1/projects/acme/regions", {}, headers={"Authorization": f"Bearer {token}x"}),
        browser.post(TOKEN, PERSON | {"username": secrets[1], "password": "lovelace"}),
        browser.post(TOKEN, PERSON | {"username": "ada", "password": secrets[1]}),
        browser.post(TOKEN, node | {"client_id": client_id, "client_secret": f"{node_secret}x"}),
        browser.post(TOKEN, node | {"client_id": node_secret, "client_secret": "x"}),
        browser.post(settings.LOGIN_URL, {"username": "ada", "password": secrets[1]}),
        browser.post(settings.LOGIN_URL, {"username": "ada", "password": "lovelace"}),
    ]  # fmt: skip
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(line::text, ' ') FROM tenants_audit line")
        written = cursor.fetchone()[0]
    assert written.count("POST") >= 8
    said = " ".join(answer.content.decode() + str(answer.headers) for answer in answers)
    logged = "\n".join(Line().format(record) for record in caplog.records)
    for secret in secrets:
        assert secret not in written and secret not in logged and secret not in said, secret

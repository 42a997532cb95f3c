"""Organizations and projects over HTTP: who sees what, who may do what, and what bad input gets."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context
from rest_framework.test import APIClient

from tenants.models import Event, Grant, Organization, Project, Ring, Role, TenantState, User
from tests.conftest import client_of, settle

pytestmark = pytest.mark.django_db

BAD_NAMES = ["Acme", "a.b", "a%22b", "a'b", "-a", "a-", "a_b", "ä", "a" * 63, "a%20b", "public;drop", "%22"]


def client(user: User | None = None) -> APIClient:
    api = APIClient()
    api.force_authenticate(user)
    return api


def person(name: str, **grants) -> APIClient:
    """roles=[...] everywhere, org=(organization, roles), project=(project, roles)."""
    user = User.objects.create_user(name)
    organization, in_organization = grants.get("org", (None, []))
    project, in_project = grants.get("project", (None, []))
    for role in grants.get("roles", []):
        Grant.objects.create(user=user, role=role)
    for role in in_organization:
        Grant.objects.create(user=user, role=role, organization=organization)
    for role in in_project:
        Grant.objects.create(user=user, role=role, project=project)
    return client(user)


@pytest.fixture
def root(public):
    return client(User.objects.create_superuser("root"))


@pytest.fixture
def shops(public):
    return organization("shops")


def organization(name: str) -> Organization:
    row = Organization(name=name)
    row.ask(state=TenantState.CREATED)
    settle()
    row.refresh_from_db()
    return row


def project(name: str, owner: Organization, ready: bool = True) -> Project:
    """Without a schema: what is asked here is about the row."""
    row = Project(name=name, organization=owner)
    row.ask(state=TenantState.CREATED)
    if ready:
        row.observe(state=TenantState.CREATED)
    return row


def status(api: APIClient, path: str) -> tuple[str, str]:
    [shown] = api.get(f"{path}/status").json().values()
    return shown["statusIndicator"], shown["message"]


def test_an_organization_is_made_changed_and_deleted(root):
    path = "/v1/orgs/shops"
    made = root.put(path, {"description": "All our shops"})
    assert made.status_code == 200 and made.json()["spec"] == {"description": "All our shops"}
    assert status(root, path) == ("STATUS_INDICATION_IN_PROGRESS", "Organization shops CREATE initiated")
    settle()
    assert status(root, path) == ("STATUS_INDICATION_IDLE", "Organization shops CREATE is complete")
    assert root.put(path, {"description": "Some"}).json()["spec"] == {"description": "Some"}
    assert root.put(path, {}).json()["spec"] == {"description": "Some"}
    gone = root.delete(path)
    assert (gone.status_code, gone.content) == (200, b"")
    assert status(root, path) == ("STATUS_INDICATION_IN_PROGRESS", "Organization shops DELETE initiated")
    settle()
    assert root.get(path).status_code == 404


def test_a_project_is_shown_as_the_old_clients_read_it(root, shops):
    row = project("till", shops)
    item = root.get("/v1/projects/till").json()
    shown = item["status"]["projectStatus"]
    assert item == {
        "name": "till", "orgName": "shops", "spec": {"description": ""}, "status": {"projectStatus": shown}
    }  # fmt: skip
    assert shown == {
        "statusIndicator": "STATUS_INDICATION_IDLE", "message": "Project till CREATE is complete",
        "timeStamp": int(row.updated_at.timestamp()), "uID": str(row.uuid),
    }  # fmt: skip
    assert item in root.get("/v1/projects").json()
    assert [one["name"] for one in root.get("/v1/projects?org=shops").json()] == ["till"]
    assert root.get("/v1/projects?org=nobodys").json() == []
    assert root.get("/v1/projects/till/status").json() == item["status"]


def test_a_project_that_is_asked_for_is_wished_for_and_not_made_in_the_request(root, shops):
    answer = root.put("/v1/projects/till?org=shops", {"description": "Tills"})
    assert answer.status_code == 200 and answer.json()["orgName"] == "shops"
    row = Project.objects.get(name="till")
    assert (row.desired_state, row.current_state) == (TenantState.CREATED, TenantState.UNSPECIFIED)
    assert Ring.objects.filter(label="tenants.Project", pk_rung=row.pk).exists()
    assert Event.objects.filter(kind="project", resource_id=row.resource_id, who="root", verb="created").exists()
    assert status(root, "/v1/projects/till") == ("STATUS_INDICATION_IN_PROGRESS", "Project till CREATE initiated")


def test_whoever_wants_no_update_gets_a_409(root, shops):
    project("till", shops)
    for path in ("/v1/projects/till", "/v1/orgs/shops"):
        answer = root.put(f"{path}?update_if_exists=false", {"description": "new"})
        assert (answer.status_code, answer.json()["code"]) == (409, "AlreadyExists")
        assert root.get(path).json()["spec"] == {"description": ""}
    assert root.put("/v1/orgs/other?update_if_exists=false", {}).status_code == 200
    assert root.put("/v1/orgs/other?update_if_exists=maybe", {}).status_code == 400


def test_what_is_being_deleted_is_neither_changed_nor_deleted_again(root, shops):
    row = project("till", shops)
    assert root.delete("/v1/projects/till").status_code == 200
    for answer in (root.delete("/v1/projects/till"), root.put("/v1/projects/till", {"description": "x"})):
        assert answer.status_code == 400 and "till is being deleted" in answer.json()["message"]
    assert root.delete("/v1/projects/till?force=true").status_code == 200  # only faster
    row.refresh_from_db()
    assert row.forced and row.description == ""


def test_an_organization_with_projects_stays_and_says_with_which(root, shops):
    project("till", shops)
    refused = root.delete("/v1/orgs/shops")
    assert refused.status_code == 400
    assert refused.json() == {
        "code": "FailedPrecondition", "message": "Organization shops has projects (till): delete them first",
    }  # fmt: skip
    assert Organization.objects.get(name="shops").desired_state == TenantState.CREATED


def test_in_an_organization_that_is_being_deleted_no_project_is_made(root, shops):
    root.delete("/v1/orgs/shops")
    refused = root.put("/v1/projects/till?org=shops", {})
    assert refused.status_code == 400 and "Organization shops is being deleted" in refused.json()["message"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["orgs", "projects"])
def test_a_bad_name_is_refused_before_anything_is_made(root, shops, kind, name):
    refused = root.put(f"/v1/{kind}/{name}?org=shops", {"description": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidArgument"), name
    assert root.get(f"/v1/{kind}/{name}").status_code == 404
    assert root.delete(f"/v1/{kind}/{name}").status_code == 404
    assert not Project.objects.filter(organization=shops).exists() and settle() == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"description": "x" * 201}, 400, "200 characters"),
        ({"description": 7 * ["x"]}, 400, "description"),
        ({"description": "a\0b"}, 400, "description"),
        ({"name": "other"}, 400, "name: there is no such field"),
        (["x"], 400, "dictionary"),
        ({"description": "x" * 70_000}, 413, "65,536 bytes"),
    ],
)
def test_a_bad_body_is_refused(root, shops, body, status, says):
    refused = root.put("/v1/projects/till?org=shops", body)
    assert refused.status_code == status and says in refused.json()["message"]
    assert not Project.objects.filter(name="till").exists()


def test_what_is_no_json_is_refused(root):
    assert root.put("/v1/orgs/shops", "{", content_type="application/json").status_code == 400


def test_without_a_token_nothing_is_told(public):
    for path in ("orgs", "orgs/tests", "orgs/tests/status", "projects", "projects/acme", "projects/acme/status"):
        answer = APIClient().get(f"/v1/{path}")
        assert answer.status_code == 401 and "Bearer" in answer["WWW-Authenticate"]


def test_any_role_in_a_project_lets_you_see_it_and_its_organization_and_no_more(shops):
    row = project("till", shops)
    project("depot", shops)
    for number, role in enumerate([Role.READ, Role.WRITE, Role.ONBOARD, Role.AGENT]):
        api = person(f"p{number}", project=(row, [role]))
        assert [one["name"] for one in api.get("/v1/projects").json()] == ["till"]
        assert [one["name"] for one in api.get("/v1/orgs").json()] == ["shops"]
        assert api.put("/v1/projects/till", {"description": "x"}).status_code == 403
        assert api.delete("/v1/projects/till").status_code == 403
        assert api.put("/v1/projects/new", {}).status_code == 403
        assert api.put("/v1/orgs/shops", {}).status_code == api.delete("/v1/orgs/shops").status_code == 403
    assert Project.objects.get(name="till").desired_state == TenantState.CREATED


def test_a_token_with_a_projects_role_lists_that_project(acme, beta):
    api = client_of(acme, "im-r")
    with schema_context("public"):
        assert [one["name"] for one in api.get("/v1/projects").json()] == ["acme"]
        assert api.get("/v1/projects/acme").json()["status"]["projectStatus"]["uID"] == str(acme.uuid)
        assert api.get("/v1/projects/beta").status_code == 404


def test_the_roles_of_an_organization_are_for_its_projects(shops):
    others = organization("others")
    project("till", shops)
    project("theirs", others)
    reader = person("reader", org=(shops, [Role.READ_PROJECTS]))
    writer = person("writer", org=(shops, [Role.WRITE_PROJECTS]))
    deleter = person("deleter", org=(shops, [Role.DELETE_PROJECTS]))
    for api in (reader, writer, deleter):
        assert [one["name"] for one in api.get("/v1/projects").json()] == ["till"]
        assert [one["name"] for one in api.get("/v1/orgs").json()] == ["shops"]
        assert api.get("/v1/projects/theirs").status_code == 404
    assert deleter.delete("/v1/projects/theirs").status_code == 404
    for name in ("theirs", "nobodys"):
        assert {api.delete(f"/v1/projects/{name}").status_code for api in (reader, writer)} == {403}
    assert writer.put("/v1/projects/new", {}).json()["orgName"] == "shops"  # the only one that can be meant
    assert reader.put("/v1/projects/new2", {}).status_code == deleter.put("/v1/projects/new2", {}).status_code == 403
    assert writer.put("/v1/projects/new3?org=others", {}).status_code == 404
    assert writer.delete("/v1/projects/till").status_code == reader.delete("/v1/projects/till").status_code == 403
    assert deleter.delete("/v1/projects/till?force=true").status_code == 403
    assert deleter.delete("/v1/projects/till").status_code == 200


def test_the_roles_about_organizations_are_for_all_of_them(shops):
    reader = person("reader", roles=[Role.READ_ORGANIZATIONS])
    writer = person("writer", roles=[Role.WRITE_ORGANIZATIONS])
    deleter = person("deleter", roles=[Role.DELETE_ORGANIZATIONS])
    assert {one["name"] for one in reader.get("/v1/orgs").json()} >= {"shops", "tests"}
    assert reader.put("/v1/orgs/new", {}).status_code == reader.delete("/v1/orgs/shops").status_code == 403
    assert writer.put("/v1/orgs/new", {}).status_code == 200 and writer.delete("/v1/orgs/new").status_code == 403
    assert deleter.delete("/v1/orgs/shops").status_code == 200 and deleter.put("/v1/orgs/n2", {}).status_code == 403
    assert reader.get("/v1/projects").json() == []


def test_a_foreign_project_looks_like_an_unknown_one(shops):
    project("theirs", organization("others"))
    api = person("ada", org=(shops, [Role.WRITE_PROJECTS, Role.DELETE_PROJECTS]))
    for call in ("get", "delete"):
        for end in ("", "?org=others", "/status"):
            if call == "delete" and end == "/status":
                continue
            answers = [getattr(api, call)(f"/v1/projects/{name}{end}") for name in ("theirs", "nobodys")]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].content.replace(b"theirs", b"nobodys") == answers[1].content
    taken = api.put("/v1/projects/theirs", {})  # names are unique over all organizations
    assert taken.status_code == 409 and "others" not in taken.json()["message"]
    nobody = person("eve")
    assert [nobody.put(f"/v1/projects/{name}", {}).status_code for name in ("theirs", "nobodys")] == [403, 403]


def test_of_several_organizations_one_must_be_named(shops):
    api = person("ada", org=(shops, [Role.WRITE_PROJECTS]))
    user = User.objects.get(username="ada")
    Grant.objects.create(user=user, role=Role.WRITE_PROJECTS, organization=organization("depots"))
    refused = api.put("/v1/projects/new", {})
    assert refused.status_code == 400 and "?org=, with one of depots, shops" in refused.json()["message"]
    assert api.put("/v1/projects/new?org=depots", {}).json()["orgName"] == "depots"


def test_a_list_takes_as_many_queries_for_300_projects_as_for_3(root, shops):
    def queries(api, path) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(path).status_code == 200
        return len(captured)

    many = person("ada", org=(shops, [Role.READ_PROJECTS]))
    token = client_of(project("shop-0", shops), "im-r")
    apis = (root, many, token)
    for number in (1, 2):
        project(f"shop-{number}", shops)
    few = [[queries(api, path) for path in ("/v1/projects", "/v1/orgs")] for api in apis]
    for number in range(3, 300):
        project(f"shop-{number}", shops)
    assert [[queries(api, path) for path in ("/v1/projects", "/v1/orgs")] for api in apis] == few
    assert len(many.get("/v1/projects").json()) == 300 and max(map(max, few)) <= 5


def test_the_status_of_a_project_is_told_before_it_is_served_and_while_it_goes(root, shops):
    row = project("till", shops, ready=False)
    assert status(root, "/v1/projects/till")[1] == "Project till CREATE initiated"
    row.observe(state=TenantState.CREATED)
    row.ask(state=TenantState.DELETED)
    assert status(root, "/v1/projects/till")[1] == "Project till DELETE initiated"


def test_a_change_is_journaled_in_public_also_below_a_projects_path(root, acme):
    with schema_context(acme.schema_name):
        assert root.get("/v1/projects/acme/status").status_code == 200
        assert root.put("/v1/projects/acme", {"description": "x"}).status_code == 200
        assert not Event.objects.exists()
    with schema_context("public"):
        assert Event.objects.filter(kind="project", verb="asked", who="root").exists()


def test_the_pages_can_be_browsed_and_changed_by_forms(public, shops):
    User.objects.create_superuser("root", password="x")
    browser = APIClient()
    browser.login(username="root", password="x")
    project("till", shops)
    for path in ("orgs", "orgs/shops", "orgs/shops/status", "projects", "projects/till", "projects/till/status"):
        page = browser.get(f"/v1/{path}", HTTP_ACCEPT="text/html")
        assert page.status_code == 200 and page["Content-Type"].startswith("text/html")
        assert browser.options(f"/v1/{path}").status_code == 200
    assert b'name="description"' in browser.get("/v1/projects/till", HTTP_ACCEPT="text/html").content
    changed = browser.put("/v1/projects/till", {"description": "by form"}, format="multipart")
    assert changed.json()["spec"] == {"description": "by form"}


def test_the_document_tells_each_operation_with_its_refusals_and_examples(public):
    import yaml

    document = yaml.safe_load(APIClient().get("/schema/").content)
    for kind, item in (("orgs", "Org"), ("projects", "Project")):
        assert {*document["paths"][f"/v1/{kind}/{{name}}"]} == {"get", "put", "delete"}
        put = document["paths"][f"/v1/{kind}/{{name}}"]["put"]
        assert {"200", "400", "401", "403", "409", "413"} <= {*put["responses"]}
        assert put["requestBody"]["content"]["application/json"]["examples"]
        listed = document["paths"][f"/v1/{kind}"]["get"]["responses"]["200"]["content"]["application/json"]
        assert listed["schema"]["type"] == "array" and item in listed["schema"]["items"]["$ref"]
        assert listed["examples"]

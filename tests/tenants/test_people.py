"""People, groups and grants by API, admin and command; and how access that is taken away ends at once."""

from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tenants import api_tokens, roles, tokens
from tenants.models import Grant, Organization, Project, Role, TenantState, User
from tests.conftest import client_of

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
NEW = "quite another battery"


@pytest.fixture(autouse=True)
def passwords_are_hashed_fast(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ada(public):
    return User.objects.create_user("ada", "ada@example.org", PASSWORD)


@pytest.fixture
def root(public):
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def grace(acme):
    """The project manager of acme's organization, and of beta's, which is the same."""
    user = User.objects.create_user("grace", password=PASSWORD)
    roles.grant(Role.WRITE_PROJECTS, user, organization=acme.organization)
    return user


@pytest.fixture
def elsewhere(public):
    """A project of an organization that grace has nothing to do with."""
    organization = Organization(name="foreign")
    organization.ask(state=TenantState.CREATED)
    project = Project(name="elsewhere", organization=organization)
    project.ask(state=TenantState.CREATED)
    return project


def signed_in(user: User) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


def refused(answer) -> tuple[int, str]:
    assert {*answer.json()} == {"code", "message"}, answer.content
    return answer.status_code, answer.json()["code"]


NOT_ALLOWED, NOT_FOUND, WRONG = (403, "PermissionDenied"), (404, "NotFound"), (400, "InvalidArgument")


# Who am I ------------------------------------------------------------------------------------------------------------


def test_everybody_learns_who_they_are_and_what_they_may_do_where(ada, acme, beta):
    crew = Group.objects.create(name="crew")
    ada.groups.add(crew)
    roles.grant(Role.READ, ada, acme)
    roles.grant(Role.WRITE, crew, beta)
    roles.grant(Role.READ_PROJECTS, ada, organization=acme.organization)
    roles.grant(Role.READ_ORGANIZATIONS, ada)
    me = signed_in(ada).get("/v1/me").json()
    assert (me["name"], me["email"], me["groups"]) == ("ada", "ada@example.org", ["crew"])
    assert me["roles"] == ["org-read-role"]
    assert me["organizations"] == [
        {"name": "tests", "uID": str(acme.organization.uuid), "roles": ["project-read-role"]}
    ]
    assert me["projects"] == [
        {"name": "acme", "uID": str(acme.uuid), "roles": ["im-r"]},
        {"name": "beta", "uID": str(beta.uuid), "roles": ["im-rw"]},
    ]
    assert (me["totalElements"], me["hasNext"]) == (2, False)


def test_a_token_of_a_person_speaks_for_the_person_and_one_of_a_machine_for_nobody(ada, acme):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.for_person(ada, 'system-client')}")
    assert client.get("/v1/me").json()["name"] == "ada"
    User.objects.create_superuser("edgenode-1")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.for_node('edgenode-1', acme.uuid)}")
    assert refused(client.get("/v1/me")) == NOT_ALLOWED
    assert refused(client_of(acme, "im-rw").get("/v1/users")) == NOT_ALLOWED  # its "tester" is no person


@pytest.mark.parametrize(
    ("limits", "opens"), [({"read_only": False}, True), ({}, False), ({"read_only": False, "projects": []}, False)]
)
def test_an_api_token_that_may_less_than_its_owner_does_not_speak_for_the_person(ada, acme, limits, opens):
    client = APIClient()
    _, token = api_tokens.create(ada, "x", days=1, **limits)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (client.get("/v1/me").status_code == 200) == opens


def test_a_service_account_is_no_person(acme):
    call_command("create_client", "backup", stdout=StringIO())
    client = APIClient()
    token = tokens.for_person(User.objects.get(username="service-account-backup"), "backup")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert refused(client.get("/v1/me")) == NOT_ALLOWED


def test_whoever_is_not_signed_in_is_asked_to(public):
    for path in ("me", "users", "users/ada", "users/ada/grants", "groups", "groups/crew/members"):
        answer = APIClient().get(f"/v1/{path}")
        assert answer.status_code == 401 and answer["WWW-Authenticate"].startswith("Bearer")


# What an administrator does ------------------------------------------------------------------------------------------


def test_an_administrator_makes_a_person_who_can_sign_in(root):
    api = signed_in(root)
    made = api.post("/v1/users", {"name": "eve", "email": "eve@example.org", "firstName": "Eve", "password": PASSWORD})
    assert made.status_code == 200 and made.json()["name"] == "eve" and made.json()["superuser"] is False
    assert Client().login(username="eve", password=PASSWORD)
    assert api.get("/v1/users/eve").json()["firstName"] == "Eve"


def test_without_a_password_nobody_signs_in_with_one(root):
    assert signed_in(root).post("/v1/users", {"name": "eve"}).status_code == 200
    assert not User.objects.get(username="eve").has_usable_password()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name"),
        ([], "a JSON object"),
        ({"name": ""}, "name"),
        ({"name": "a b/c"}, "valid username"),
        ({"name": "x" * 151}, "150"),
        ({"name": "nul\0"}, "Null"),
        ({"name": "eve", "password": "short"}, "too short"),
        ({"name": "eve", "password": "1234567890123"}, "numeric"),
        ({"name": "eve", "email": "nowhere"}, "email"),
        ({"name": "eve", "lastSignIn": "2026-01-01T00:00:00Z"}, "can't be written"),
        ({"name": "eve", "passwordHash": "x"}, "no such field"),
        ({"name": "eve", "superuser": "perhaps"}, "superuser"),
    ],
)
def test_a_person_that_makes_no_sense_is_refused_whole(root, body, says):
    answer = signed_in(root).post("/v1/users", body)
    assert refused(answer) == WRONG and says in answer.json()["message"]
    assert User.objects.count() == 1


def test_a_name_is_given_once(root, ada):
    answer = signed_in(root).post("/v1/users", {"name": "ada"})
    assert refused(answer) == (400, "FailedPrecondition")
    assert "There is a user 'ada' already" in answer.json()["message"]


def test_people_are_listed_in_pages_at_a_constant_cost(root):
    User.objects.bulk_create(User(username=f"user{number:03}") for number in range(250))
    api = signed_in(root)
    with CaptureQueriesContext(connection) as counted:
        page = api.get("/v1/users?pageSize=100&offset=200").json()
    assert (len(page["users"]), page["totalElements"], page["hasNext"]) == (51, 251, False)
    selects = [query for query in counted if query["sql"].startswith("SELECT")]
    assert len(selects) == 5  # session, person, count, page, groups
    assert api.get("/v1/users").json()["hasNext"] is True
    for query in ("pageSize=0", "pageSize=101", "offset=-1", "offset=x", "pageSize=", "offset=99999999999999999999"):
        assert refused(api.get(f"/v1/users?{query}")) == WRONG


def test_no_answer_holds_a_password_or_its_hash(root, ada):
    api = signed_in(root)
    answers = [api.get("/v1/users"), api.get("/v1/users/ada"), api.get("/v1/me"), api.get("/v1/users/ada/grants")]
    answers.append(api.post("/v1/users", {"name": "eve", "password": PASSWORD}))
    answers.append(api.put("/v1/users/ada/password", {"password": NEW}))
    for answer in answers:
        assert answer.status_code == 200
        for secret in ("md5", ada.password, PASSWORD, NEW):
            assert secret not in answer.text


def test_groups_are_made_joined_given_roles_and_deleted(root, ada, acme):
    api = signed_in(root)
    assert api.post("/v1/groups", {"name": "night shift"}).status_code == 200
    for _ in range(2):
        assert api.put("/v1/groups/night shift/members/ada").json() == {"name": "ada"}
    granted = api.post("/v1/groups/night shift/grants", {"role": "im-rw", "project": "acme"}).json()
    assert granted == {"id": granted["id"], "role": "im-rw", "project": "acme", "organization": None}
    assert api.get("/v1/groups/night shift/members").json()["members"] == [{"name": "ada"}]
    assert api.get("/v1/users/ada").json()["groups"] == ["night shift"]
    assert roles.roles_in_project(ada, acme) == {"im-rw"}
    assert api.delete("/v1/groups/night shift/members/ada").json() == {}
    assert roles.roles_in_project(ada, acme) == set()
    assert refused(api.post("/v1/groups", {"name": "night shift"})) == (400, "FailedPrecondition")
    assert api.delete("/v1/groups/night shift").json() == {}
    assert {"name": "night shift"} not in api.get("/v1/groups").json()["groups"]


@pytest.mark.parametrize("name", ["", " ", "a/b", "two  spaces", "x" * 151, "nul\0"])
def test_a_group_has_a_name_that_can_stand_in_a_path(root, name):
    assert refused(signed_in(root).post("/v1/groups", {"name": name})) == WRONG


def test_what_is_not_there_is_told_so(root, ada):
    api = signed_in(root)
    for method, path in [
        ("get", "users/nobody"), ("patch", "users/nobody"), ("delete", "users/nobody"), ("get", "users/nobody/grants"),
        ("delete", "users/ada/grants/99999999999999999999"), ("get", "groups/none"),
        ("put", "groups/none/members/ada"), ("delete", "groups/none/grants/1"),
    ]:  # fmt: skip
        assert refused(getattr(api, method)(f"/v1/{path}", {})) == NOT_FOUND, path


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"role": "im-x", "project": "acme"}, "not a valid choice"),
        ({"role": "im-r"}, "granted in a project or for an organization"),
        ({"role": "im-r", "project": "acme", "organization": "tests"}, "granted in a project or for an organization"),
        ({"role": "project-read-role", "project": "acme"}, "project-* for an organization"),
        ({"project": "acme"}, "role"),
        ({"role": "im-r", "project": 7e99}, "project"),
        ({"role": "im-r", "project": {"name": "acme"}}, "project"),
        ({"role": "im-r", "projekt": "acme"}, "no such field"),
    ],
)
def test_a_role_where_it_does_not_belong_is_refused(root, ada, acme, body, says):
    answer = signed_in(root).post("/v1/users/ada/grants", body)
    assert answer.status_code in (400, 403) and says in answer.json()["message"], answer.json()
    assert not Grant.objects.filter(user=ada).exists()


# What a project manager does -----------------------------------------------------------------------------------------


def test_a_manager_gives_and_takes_roles_in_the_organizations_projects(grace, ada, acme):
    api = signed_in(grace)
    given = api.post("/v1/users/ada/grants", {"role": "im-r", "project": "acme"})
    wide = api.post("/v1/users/ada/grants", {"role": "en-ob", "organization": "tests"})
    assert (given.status_code, wide.status_code) == (200, 200)
    assert roles.roles_in_project(ada, acme) == {"im-r", "en-ob"}
    assert [grant["role"] for grant in api.get("/v1/users/ada/grants").json()["grants"]] == ["im-r", "en-ob"]
    for grant in (given, wide):
        assert api.delete(f"/v1/users/ada/grants/{grant.json()['id']}").json() == {}
    assert roles.roles_of(ada) == set()


def test_a_manager_gives_nothing_beyond_the_organizations_projects(grace, ada, acme, elsewhere):
    api = signed_in(grace)
    for body in (
        {"role": "im-r", "project": "elsewhere"},
        {"role": "im-r", "project": "no-such"},
        {"role": "im-r", "organization": "foreign"},
        {"role": "project-write-role", "organization": "tests"},
        {"role": "org-write-role"},
    ):
        assert refused(api.post("/v1/users/ada/grants", body)) == NOT_ALLOWED, body
    foreign, missing = (
        api.post("/v1/users/ada/grants", {"role": "im-r", "project": name}).json()["message"].replace(name, "")
        for name in ("elsewhere", "no-such")
    )
    assert foreign == missing
    assert roles.roles_of(ada) == set()


def test_a_manager_takes_nothing_beyond_the_organizations_projects(grace, ada, acme, elsewhere):
    kept = [
        roles.grant(Role.READ, ada, elsewhere),
        roles.grant(Role.READ_PROJECTS, ada, organization=acme.organization),
        roles.grant(Role.READ_ORGANIZATIONS, ada),
    ]
    roles.grant(Role.READ, ada, acme)  # so that grace sees her
    api = signed_in(grace)
    own = grace.grants.get()
    assert [grant["project"] for grant in api.get("/v1/users/ada/grants").json()["grants"]] == ["acme"]
    for path in [f"ada/grants/{grant.pk}" for grant in kept] + [f"grace/grants/{own.pk}", f"ada/grants/{own.pk}"]:
        assert refused(api.delete(f"/v1/users/{path}")) == NOT_FOUND
    assert Grant.objects.filter(pk__in=[own.pk, *(grant.pk for grant in kept)]).count() == 4


def test_a_manager_sees_the_people_of_the_organizations_projects_and_nobody_else(grace, ada, root, acme, elsewhere):
    linus, ken = (User.objects.create_user(name) for name in ("linus", "ken"))
    here, there = (Group.objects.create(name=name) for name in ("here", "there"))
    roles.grant(Role.READ, ada, acme)
    roles.grant(Role.READ, here, organization=acme.organization)
    roles.grant(Role.READ, there, elsewhere)
    roles.grant(Role.READ, ken, elsewhere)
    linus.groups.set([here, there])
    api = signed_in(grace)
    seen = api.get("/v1/users").json()
    assert [user["name"] for user in seen["users"]] == ["ada", "grace", "linus"]
    assert [user["groups"] for user in seen["users"]] == [[], [], ["here"]]
    for name in ("ken", "root", "nobody"):
        assert refused(api.get(f"/v1/users/{name}")) == NOT_FOUND
        assert refused(api.get(f"/v1/users/{name}/grants")) == NOT_FOUND


def test_a_manager_changes_nobody(grace, ada, acme):
    roles.grant(Role.READ, ada, acme)
    api = signed_in(grace)
    answers = [
        api.post("/v1/users", {"name": "eve"}),
        api.patch("/v1/users/ada", {"email": "x@example.org"}),
        api.patch("/v1/users/ada", {"active": False}),
        api.put("/v1/users/ada/password", {"password": NEW}),
        api.delete("/v1/users/ada"),
        api.patch("/v1/users/grace", {"superuser": True}),
        api.get("/v1/groups"),
        api.post("/v1/groups", {"name": "mine"}),
    ]
    assert [refused(answer) for answer in answers] == [NOT_ALLOWED] * len(answers)
    ada.refresh_from_db()
    assert ada.is_active and ada.email == "ada@example.org" and ada.check_password(PASSWORD)


# What everybody does -------------------------------------------------------------------------------------------------


def test_people_see_and_change_only_themselves(ada, root, grace, acme):
    roles.grant(Role.WRITE, ada, acme)
    api = signed_in(ada)
    assert [user["name"] for user in api.get("/v1/users").json()["users"]] == ["ada"]
    assert api.patch("/v1/users/ada", {"lastName": "Lovelace", "email": ""}).json()["lastName"] == "Lovelace"
    assert [grant["role"] for grant in api.get("/v1/users/ada/grants").json()["grants"]] == ["im-rw"]
    assert refused(api.get("/v1/users/root")) == refused(api.get("/v1/users/nobody")) == NOT_FOUND
    own = Grant.objects.get(user=ada)
    for answer, expected in [
        (api.patch("/v1/users/ada", {"superuser": True}), NOT_ALLOWED),
        (api.patch("/v1/users/ada", {"active": True}), NOT_ALLOWED),
        (api.patch("/v1/users/ada", {"name": "lady"}), WRONG),
        (api.patch("/v1/users/root", {"email": ""}), NOT_FOUND),
        (api.delete("/v1/users/ada"), NOT_ALLOWED),
        (api.delete("/v1/users/root"), NOT_ALLOWED),
        (api.post("/v1/users/ada/grants", {"role": "im-r", "project": "beta"}), NOT_ALLOWED),
        (api.post("/v1/users/ada/grants", {"role": "im-r"}), NOT_ALLOWED),
        (api.delete(f"/v1/users/ada/grants/{own.pk}"), NOT_FOUND),
        (api.put("/v1/groups/any/members/ada"), NOT_ALLOWED),
        (api.post("/v1/groups/any/grants", {"role": "im-r", "project": "acme"}), NOT_ALLOWED),
        (api.delete(f"/v1/groups/any/grants/{own.pk}"), NOT_ALLOWED),
        (api.get("/v1/groups/any/grants"), NOT_ALLOWED),
    ]:
        assert refused(answer) == expected, answer.content
    ada.refresh_from_db()
    assert not ada.is_superuser and [*ada.grants.all()] == [own]


def test_ones_own_password_is_changed_by_whoever_knows_it(ada, root):
    for user in (ada, root):  # an administrator, too, is asked for the own one
        api, other = signed_in(user), signed_in(user)
        path = f"/v1/users/{user}/password"
        for wrong in ({"password": NEW}, {"password": NEW, "currentPassword": "wrong"}):
            assert refused(api.put(path, wrong)) == NOT_ALLOWED
        assert refused(api.put(path, {"password": "short", "currentPassword": PASSWORD})) == WRONG
        assert api.put(path, {"password": NEW, "currentPassword": PASSWORD}).json() == {}
        assert api.get("/v1/me").status_code == 200 and other.get("/v1/me").status_code == 401
        assert Client().login(username=user.username, password=NEW)


# Access that is taken away ends --------------------------------------------------------------------------------------


def test_a_new_password_a_deactivation_and_a_deletion_end_the_sessions_at_once(root, ada):
    api = signed_in(root)
    for end in (
        lambda: api.put("/v1/users/ada/password", {"password": NEW}),
        lambda: api.patch("/v1/users/ada", {"active": False}),
        lambda: api.delete("/v1/users/ada"),
    ):
        browser = signed_in(ada)
        assert browser.get("/v1/me").status_code == 200
        assert end().status_code == 200
        assert browser.get("/v1/me").status_code == 401 and browser.get("/").status_code == 302
        User.objects.filter(username="ada").update(is_active=True)
        ada = User.objects.filter(username="ada").first()


def test_a_session_does_not_come_back_with_the_person(root, ada):
    browser, api = signed_in(ada), signed_in(root)
    for active in (False, True):
        assert api.patch("/v1/users/ada", {"active": active}).json()["active"] is active
    assert browser.get("/v1/me").status_code == 401


def test_a_superuser_who_is_one_no_more_is_signed_out(root):
    other = User.objects.create_superuser("other")
    browser = signed_in(other)
    signed_in(root).patch("/v1/users/other", {"superuser": False})
    assert browser.get("/v1/users").status_code == 401


def test_other_changes_end_no_session(root, ada):
    browser = signed_in(ada)
    signed_in(root).patch("/v1/users/ada", {"email": "new@example.org", "superuser": True, "active": True})
    assert browser.get("/v1/me").json()["superuser"] is True


def test_a_stale_copy_of_a_person_does_not_bring_sessions_back(ada):
    stale, browser = User.objects.get(pk=ada.pk), signed_in(ada)
    ada.change_password(NEW)
    stale.email = "old@example.org"
    stale.save()  # with the old password, as any form that was opened before
    assert browser.get("/v1/me").status_code == 401


def test_leaving_a_group_and_losing_a_role_close_a_project_at_once(root, ada, acme):
    crew = Group.objects.create(name="crew")
    ada.groups.add(crew)
    given = roles.grant(Role.READ, crew, acme)
    browser, api = signed_in(ada), signed_in(root)
    regions = f"/v1/projects/{acme.name}/regions"
    assert browser.get(regions).status_code == 200
    assert api.delete("/v1/groups/crew/members/ada").status_code == 200
    assert browser.get(regions).status_code == 403
    ada.groups.add(crew)
    assert browser.get(regions).status_code == 200
    assert api.delete(f"/v1/groups/crew/grants/{given.pk}").status_code == 200
    assert browser.get(regions).status_code == 403


def test_the_last_administrator_stays(root, ada):
    api = signed_in(root)
    for answer in (
        api.delete("/v1/users/root"),
        api.patch("/v1/users/root", {"active": False}),
        api.patch("/v1/users/root", {"superuser": False}),
    ):
        assert refused(answer) == (400, "FailedPrecondition")
        assert "only active administrator" in answer.json()["message"]
    assert api.patch("/v1/users/ada", {"superuser": True}).status_code == 200
    assert api.patch("/v1/users/root", {"superuser": False}).status_code == 200


def test_where_authentication_is_off_whoever_asks_administers(ada, settings):
    settings.AUTHENTICATION = False
    api = APIClient()
    assert api.get("/v1/me").json()["superuser"] is True
    assert [user["name"] for user in api.get("/v1/users").json()["users"]] == ["ada"]


# The admin -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(root):
    client = Client()
    client.force_login(root)
    return client


def inline(name: str, *rows: dict, **initial) -> dict[str, str]:
    """The fields of an inline with these new rows."""
    form = {f"{name}-TOTAL_FORMS": len(rows), f"{name}-INITIAL_FORMS": 0}
    for at, row in enumerate(rows):
        form |= {f"{name}-{at}-{field}": value for field, value in row.items()}
    return form


def person_form(user: User, *grants: dict, **changed) -> dict:
    form = {"username": user.username, "email": user.email, "is_active": "on", **changed} | inline("grants", *grants)
    return {name: value for name, value in form.items() if value is not None}


def test_every_page_of_people_opens_without_permissions_of_djangos_own(admin, ada, acme):
    crew = Group.objects.create(name="crew")
    ada.groups.add(crew)
    for who in (ada, crew):
        roles.grant(Role.READ, who, acme)
    for page in (
        "", "tenants/user/", "tenants/user/add/", f"tenants/user/{ada.pk}/change/", f"tenants/user/{ada.pk}/password/",
        "auth/group/", "auth/group/add/", f"auth/group/{crew.pk}/change/", f"tenants/project/{acme.pk}/change/",
        f"tenants/organization/{acme.organization.pk}/change/",
    ):  # fmt: skip
        opened = admin.get(f"/admin/{page}")
        assert opened.status_code == 200, page
        assert 'permissions"' not in opened.text and "is_staff" not in opened.text, page


def test_the_admin_gives_and_takes_roles_of_people_and_groups(admin, ada, acme):
    page = f"/admin/tenants/user/{ada.pk}/change/"
    assert admin.post(page, person_form(ada, {"role": "im-r", "project": acme.pk})).status_code == 302
    assert roles.roles_in_project(ada, acme) == {"im-r"}
    given = ada.grants.get()
    taken = person_form(ada) | {
        "grants-TOTAL_FORMS": 1, "grants-INITIAL_FORMS": 1, "grants-0-id": given.pk, "grants-0-DELETE": "on",
        "grants-0-user": ada.pk,
    }  # fmt: skip
    assert admin.post(page, taken).status_code == 302
    assert roles.roles_in_project(ada, acme) == set()
    group = {"name": "crew"} | inline("User_groups", {"user": ada.pk}) | inline(
        "grants", {"role": "im-rw", "organization": acme.organization.pk}
    )
    assert admin.post("/admin/auth/group/add/", group).status_code == 302
    assert roles.roles_in_project(ada, acme) == {"im-rw"}


def test_a_row_that_is_there_is_not_changed_in_place(admin, ada, acme, beta):
    given = roles.grant(Role.READ, ada, acme)
    form = person_form(ada) | {
        "grants-TOTAL_FORMS": 1, "grants-INITIAL_FORMS": 1, "grants-0-id": given.pk, "grants-0-user": ada.pk,
        "grants-0-role": "im-rw", "grants-0-project": beta.pk,
    }  # fmt: skip
    admin.post(f"/admin/tenants/user/{ada.pk}/change/", form)
    assert roles.roles_of(ada) == {f"{acme.uuid}_im-r", f"{acme.organization.uuid}_{acme.uuid}_m"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"role": "im-r"}], "granted in a project or for an organization"),
        ([{"role": "im-r", "project": "acme", "organization": "tests"}], "granted in a project or for an organization"),
        ([{"role": "org-read-role", "project": "acme"}], "for neither"),
        ([{"role": "im-rw", "project": "acme"}], "granted already"),
        ([{"role": "en-ob", "project": "acme"}] * 2, "granted twice here"),
        ([{"role": "im-x", "project": "acme"}], "not one of the available choices"),
        ([{"role": "im-r", "project": "999999"}], "not one of the available choices"),
    ],
)
def test_grants_that_the_database_would_refuse_are_refused_by_the_form(admin, ada, acme, rows, says):
    roles.grant(Role.WRITE, ada, acme)
    keys = {"acme": acme.pk, "tests": acme.organization.pk}
    rows = [{name: keys.get(value, value) for name, value in row.items()} for row in rows]
    page = admin.post(f"/admin/tenants/user/{ada.pk}/change/", person_form(ada, *rows))
    assert page.status_code == 200 and says in page.text
    assert ada.grants.count() == 1


@pytest.mark.parametrize("row", [{"role": "project-read-role", "user": "ada"}, {"role": "im-r"}])
def test_a_projects_own_page_refuses_what_does_not_belong_there(admin, ada, acme, row):
    row = {name: ada.pk if value == "ada" else value for name, value in row.items()}
    page = admin.post(f"/admin/tenants/project/{acme.pk}/change/", {"description": ""} | inline("grants", row))
    assert page.status_code == 200 and "granted" in page.text
    assert not Grant.objects.filter(project=acme).exists()


def test_a_role_for_neither_is_refused_of_a_group_that_is_only_being_made(admin, acme):
    form = {"name": "crew"} | inline("User_groups") | inline("grants", {"role": "im-r"})
    assert "granted in a project" in admin.post("/admin/auth/group/add/", form).text
    assert not Group.objects.filter(name="crew").exists()


def test_the_admin_signs_out_whom_it_deactivates(admin, ada):
    browser = signed_in(ada)
    assert admin.post(f"/admin/tenants/user/{ada.pk}/change/", person_form(ada, is_active=None)).status_code == 302
    assert browser.get("/v1/me").status_code == 401


def test_the_admin_keeps_the_last_administrator(admin, root):
    for page, form in [
        (f"{root.pk}/change/", person_form(root)),  # without is_superuser
        (f"{root.pk}/delete/", {"post": "yes"}),
        ("", {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}),
    ]:
        assert "only active administrator" in admin.post(f"/admin/tenants/user/{page}", form, follow=True).text
    root.refresh_from_db()
    assert root.is_superuser


def test_a_page_of_a_person_costs_the_same_for_many_grants(admin, ada, acme, beta):
    def cost() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert admin.get(f"/admin/tenants/user/{ada.pk}/change/").status_code == 200
        return sum(not query["sql"].startswith("SET search_path") for query in counted)  # by where it was before

    roles.grant(Role.READ, ada, acme)
    cost()  # finds content types that are then kept
    before = cost()
    for role in (Role.WRITE, Role.ONBOARD, Role.AGENT):
        for project in (acme, beta):
            roles.grant(role, ada, project)
    assert cost() == before


# The commands --------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_first_admin_gets_a_password_that_is_shown_once(public, acme):
    name, password = run("create_admin", "--project", "acme").split()
    assert name == "admin" and Client().login(username="admin", password=password)
    assert run("create_admin") == ""
    admin = User.objects.get(username="admin")
    assert admin.is_superuser and {grant.role for grant in admin.grants.all()} == {"im-rw", "en-ob"}


def test_the_first_admins_password_may_be_given_and_a_weak_one_makes_no_admin(public, monkeypatch):
    monkeypatch.setenv("EIM_ADMIN_PASSWORD", "short")
    with pytest.raises(CommandError, match="too short"):
        run("create_admin")
    assert not User.objects.exists()
    monkeypatch.setenv("EIM_ADMIN_PASSWORD", PASSWORD)
    run("create_admin")
    assert Client().login(username="admin", password=PASSWORD)


def test_people_are_made_and_given_roles_by_commands(acme):
    Group.objects.create(name="crew")
    name, password = run("create_user", "eve", "--group", "crew").split()
    assert Client().login(username=name, password=password)
    assert run("grant", "im-r", "--user", "eve", "--project", "acme") == "eve: im-r in acme\n"
    assert run("grant", "en-ob", "--group", "crew", "--org", "tests") == "crew: en-ob in tests\n"
    eve = User.objects.get(username="eve")
    assert roles.roles_in_project(eve, acme) == {"im-r", "en-ob"}
    assert run("list_users") == "eve\n  member of crew\n  im-r in acme\n"
    run("revoke", "im-r", "--user", "eve", "--project", "acme")
    assert roles.roles_in_project(eve, acme) == {"en-ob"}


def test_a_new_password_by_command_signs_out_everywhere(ada, monkeypatch):
    browser = signed_in(ada)
    name, password = run("set_password", "ada").split()
    assert Client().login(username=name, password=password) and browser.get("/v1/me").status_code == 401
    monkeypatch.setenv("EIM_PASSWORD", NEW)
    assert NEW not in run("set_password", "ada") and Client().login(username="ada", password=NEW)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create_user", "ada"], "There is a user 'ada' already: see `manage.py set_password`"),
        (["create_user", "a b"], "valid username"),
        (["create_user", "eve", "--group", "none"], "There is no group 'none'"),
        (["set_password", "nobody"], "`manage.py list_users` lists them"),
        (["grant", "im-r", "--user", "ada"], "granted in a project or for an organization"),
        (["grant", "im-r", "--user", "ada", "--project", "none"], "no project 'none': `manage.py create_project`"),
        (["grant", "project-read-role", "--user", "ada", "--project", "acme"], "project-* for an organization"),
        (["grant", "im-x", "--user", "ada", "--project", "acme"], "invalid choice"),
        (["grant", "im-r", "--project", "acme"], "required"),
        (["revoke", "im-r", "--user", "ada", "--project", "acme"], "was not granted that there"),
    ],
)
def test_a_command_that_cannot_do_it_says_why_and_how_to_go_on(ada, acme, arguments, says):
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    assert says in str(refusal.value)
    assert not Grant.objects.filter(user=ada).exists() and User.objects.count() == 1

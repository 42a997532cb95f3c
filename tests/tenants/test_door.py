"""The door of the pages: signing in and out, where one may go from there, and what strangers are told."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_script_prefix, set_script_prefix

from tenants import roles
from tenants.errors import ResourceError
from tenants.models import Organization, Project, Role, TenantState, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def script_prefix():
    """The middleware sets it for each request; a request of a server begins without."""
    prefix = get_script_prefix()
    yield
    set_script_prefix(prefix)


@pytest.fixture(autouse=True)
def passwords_are_hashed_fast(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ada(public):
    return User.objects.create_user("ada", password=PASSWORD)


def sign_in(client, name="ada", password=PASSWORD, to=""):
    return client.post("/login/", {"username": name, "password": password, "next": to})


def half_made(name: str, state: str = TenantState.CREATED) -> Project:
    project = Project(name=name, organization=Organization.objects.get(name="tests"))
    project.ask(state=state)
    return project


# Signing in and out --------------------------------------------------------------------------------------------------


def test_whoever_signs_in_comes_to_the_page_they_wanted(client, ada, acme):
    roles.grant(Role.READ, ada, acme)
    wanted = f"/p/{acme.name}/admin/inventory/host/?q=rack"
    door = client.get(wanted)
    assert door.url == f"/login/?next=/p/{acme.name}/admin/inventory/host/%3Fq%3Drack"
    assert f'name="next" value="{wanted}"' in client.get(door.url).content.decode()
    assert sign_in(client, to=wanted).url == wanted
    assert client.get(wanted).status_code == 200


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "https:evil"]
)
def test_signing_in_never_leads_to_another_server(client, ada, elsewhere):
    assert sign_in(client, to=elsewhere).url == "/"


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("a\0da", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_are_refused_in_the_same_words(client, ada, name, password):
    page = sign_in(client, name, password)
    assert page.status_code == 200 and not client.session.keys()
    if name and "\0" not in name:
        assert "Please enter a correct username and password" in page.content.decode()


def test_a_refusal_of_the_authentication_itself_is_shown_in_the_form(client, ada, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.tenants.test_door.Refusing"]
    page = sign_in(client)
    assert page.status_code == 429 and "wait a moment" in page.content.decode()
    assert page["Retry-After"] == "7"


class Refusing:
    """A backend that has had enough, as one that counts wrong passwords has."""

    def authenticate(self, request, **credentials):
        refusal = ResourceError("Too many tries: wait a moment")
        refusal.status, refusal.retry_after = 429, 7
        raise refusal


def test_signing_in_needs_the_forms_own_mark(ada):
    strict = Client(enforce_csrf_checks=True)
    page = sign_in(strict)
    assert page.status_code == 403 and "open for too long" in page.content.decode()


def test_the_organizations_own_sign_in_is_offered_where_there_is_one(client, public, settings):
    assert "/login/oidc/" not in client.get("/login/").content.decode()
    settings.EIM_OIDC_CLIENT_ID = "eim"
    page = client.get("/login/?next=/p/acme/admin/").content.decode()
    assert 'href="/login/oidc/?next=%2Fp%2Facme%2Fadmin%2F"' in page


def test_signing_out_is_a_post_and_ends_the_session(client, ada):
    client.force_login(ada)
    assert client.get("/logout/").status_code == 405
    assert client.get("/").status_code == 200
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").url == "/login/?next=/"


def test_signing_out_works_from_inside_a_project(client, ada, acme):
    roles.grant(Role.READ, ada, acme)
    client.force_login(ada)
    page = client.get(f"/p/{acme.name}/admin/").content.decode()
    out = re.search(r'id="logout-form" method="post" action="([^"]+)"', page)[1]
    assert client.post(out).url == "/login/"
    assert client.get(f"/p/{acme.name}/admin/").status_code == 302


def test_one_changes_ones_own_password_and_stays_signed_in_here_alone(client, ada):
    elsewhere = Client()
    for browser in (client, elsewhere):
        browser.force_login(ada)
    new = "quite another battery"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/password/", form | {"old_password": "wrong"}).status_code == 200
    assert "too short" in client.post("/password/", form | dict.fromkeys(["new_password1", "new_password2"], "x")).text
    assert client.post("/password/", form).url == "/"
    assert client.get("/").status_code == 200 and elsewhere.get("/").status_code == 302


# The start page ------------------------------------------------------------------------------------------------------


def test_the_start_page_shows_the_projects_of_a_person_and_nothing_of_others(client, ada, acme, beta):
    roles.grant(Role.READ, ada, acme)
    client.force_login(ada)
    page = client.get("/").content.decode()
    assert f'href="/p/{acme.name}/"' in page and f"/v1/projects/{acme.name}/compute/hosts" in page
    assert beta.name not in page
    assert 'href="/admin/"' not in page


def test_the_start_page_of_a_superuser_has_all_projects_and_the_administration(client, acme, beta, settings):
    settings.EIM_FLOWER_URL = "http://127.0.0.1:5555"
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/").content.decode()
    for link in (f"/p/{acme.name}/", f"/p/{beta.name}/", "/admin/", "/docs/", "http://127.0.0.1:5555"):
        assert f'href="{link}"' in page


def test_a_project_manager_knows_of_the_projects_but_does_not_enter_them(client, ada, acme):
    roles.grant(Role.READ_PROJECTS, ada, organization=acme.organization)
    client.force_login(ada)
    page = client.get("/").content.decode()
    assert acme.name in page and f"/p/{acme.name}/" not in page
    assert client.get(f"/p/{acme.name}/admin/").status_code == 403


def test_whoever_has_no_role_yet_is_told_who_gives_one(client, ada):
    client.force_login(ada)
    assert "You have no role in any project yet" in client.get("/").content.decode()


def test_projects_are_found_by_a_part_of_their_name(client, acme, beta):
    client.force_login(User.objects.create_superuser("root"))
    assert "/p/acme/" in client.get("/?q=CM").text and "/p/beta/" not in client.get("/?q=CM").text
    for odd in ("%25", "<script>", "x" * 5000):
        page = client.get(f"/?q={odd}&page=-7")
        assert page.status_code == 200 and "<script>" not in page.text


def test_the_start_page_costs_the_same_for_many_projects(client, ada, acme):
    roles.grant(Role.READ, ada, organization=acme.organization)
    client.force_login(ada)
    for number in range(60):
        half_made(f"more{number}")
    with CaptureQueriesContext(connection) as counted:
        page = client.get("/").text
    selects = [query for query in counted if query["sql"].startswith("SELECT")]
    assert len(selects) == 5  # session, person, count, page, roles
    assert "Page 1 of 2" in page and page.count(">tests</td>") == 50


# Who passes to a project's pages -------------------------------------------------------------------------------------

STRANGE = [
    "", "admin", "admin/", "admin/login/", "admin/inventory/host/", "admin/inventory/host/1/change/", "x", "admin/x",
]  # fmt: skip


@pytest.mark.parametrize("page", STRANGE)
def test_before_the_sign_in_every_project_answers_alike_whether_it_exists_or_not(client, acme, page):
    half_made("halfmade")
    answers = [client.get(f"/p/{name}/{page}") for name in (acme.name, "nobody", "halfmade")]
    for name, answer in zip((acme.name, "nobody", "halfmade"), answers, strict=True):
        assert (answer.status_code, answer.url) == (302, f"/login/?next=/p/{name}/{page}")


@pytest.mark.parametrize("page", STRANGE)
def test_a_stranger_gets_the_same_answer_whether_a_project_exists_or_not(client, ada, acme, beta, page):
    roles.grant(Role.READ, ada, acme)
    half_made("halfmade")
    client.force_login(ada)
    answers = [client.get(f"/p/{name}/{page}") for name in (beta.name, "nobody", "halfmade")]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    theirs, nobodys, unfinished = (re.sub(r'value="\w+"', "", answer.text) for answer in answers)
    assert theirs == nobodys == unfinished and "No access, or nothing there" in theirs


def test_without_a_last_slash_one_comes_to_the_same_door(client, acme):
    assert client.get(f"/p/{acme.name}").url == f"/p/{acme.name}/" and client.get("/p/nobody").url == "/p/nobody/"


def test_whoever_may_look_finds_the_console_at_a_projects_root_and_the_way_to_its_admin(client, ada, acme):
    roles.grant(Role.READ, ada, acme)
    client.force_login(ada)
    assert f'href="/p/{acme.name}/admin/inventory/host/"' in client.get(f"/p/{acme.name}/").text
    assert client.get(f"/p/{acme.name}/admin/login/", follow=True).status_code == 200
    assert client.get(f"/p/{acme.name}/nothing/").status_code == 404


@pytest.mark.parametrize("role", [Role.ONBOARD, Role.AGENT])
def test_a_role_that_reads_nothing_opens_no_page(client, ada, acme, role):
    roles.grant(role, ada, acme)
    client.force_login(ada)
    assert client.get(f"/p/{acme.name}/admin/").status_code == 403


def test_a_project_that_is_being_made_says_so_to_its_people_and_logs_no_error(client, ada, acme, caplog):
    roles.grant(Role.READ, ada, organization=acme.organization)
    project = half_made("halfmade")
    client.force_login(ada)
    page = client.get(f"/p/{project.name}/admin/")
    assert (page.status_code, page["Retry-After"]) == (503, "2")
    assert "Project halfmade is being made" in page.text
    assert not [line for line in caplog.records if line.name == "django.request"]
    start = client.get("/").text
    assert "Project halfmade CREATE initiated" in start and "/p/halfmade/" not in start


def test_a_project_that_is_being_deleted_says_so_to_its_people(client, ada, acme):
    roles.grant(Role.READ, ada, acme)
    acme.ask(state=TenantState.DELETED)
    client.force_login(ada)
    page = client.get(f"/p/{acme.name}/admin/inventory/host/")
    assert page.status_code == 403 and "is being deleted" in page.text


# The public admin ----------------------------------------------------------------------------------------------------


def test_the_public_admin_is_for_superusers_alone(client, ada, acme):
    assert client.get("/admin/").url == "/login/?next=/admin/"
    ada.is_staff = True
    ada.save()
    roles.grant(Role.WRITE, ada, acme)
    client.force_login(ada)
    for page in ("", "login/", "tenants/user/", "tenants/project/", "auth/group/", "x/", "jsi18n/", "password_change/"):
        assert client.get(f"/admin/{page}").status_code == 403, page
    assert client.post("/admin/tenants/user/add/", {"username": "eve"}).status_code == 403
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/password_change/").url == "/password/"


def test_pages_load_nothing_from_other_servers(client, ada, acme):
    roles.grant(Role.READ, ada, acme)
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    pages = [client.get("/login/")]
    client.force_login(ada)
    pages += [client.get(page) for page in ("/", "/password/", f"/p/{acme.name}/admin/", "/p/nobody/")]
    pages += [root.get(page) for page in ("/", "/admin/", "/admin/tenants/user/add/")]
    for page in pages:
        found = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', page.text)
        assert found
        for loaded in found:
            assert loaded.startswith("/"), loaded
            if loaded.startswith("/static/"):
                assert finders.find(loaded.removeprefix("/static/")), loaded

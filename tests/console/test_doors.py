"""Who gets into which page of the console, and that none shows what is in another project."""

import re

import pytest
from django.test import Client
from django_tenants.utils import schema_context

from console.urls import urlpatterns
from tenants import roles
from tenants.models import Role, User
from tests.tenants.everything import SECRET, ids_by_collection

pytestmark = pytest.mark.django_db

# Pages of which an id of one kind is a part: whose.
ABOUT = {"imports": "bulk-imports", "schedules": "schedules/single", "hosts": "hosts"}
PAGES = [str(pattern.pattern) for pattern in urlpatterns]


def path_of(page: str, theirs: dict[str, str]) -> str:
    first = page.partition("/")[0]
    return "/p/acme/" + re.sub(r"<str:kind>", "csv", re.sub(r"<(\w+:)?\w+>", lambda _: theirs.get(
        ABOUT.get(first, ""), "x"), page.replace("<str:kind>", "csv")))  # fmt: skip


@pytest.fixture
def theirs(acme, beta):
    with schema_context(beta.schema_name):
        return ids_by_collection()


def signed_in(acme, *granted: Role) -> Client:
    user = User.objects.create_user(f"person-{'-'.join(granted)}")
    for role in granted:
        roles.grant(role, user, acme)
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_or_changes_what_is_in_another_project(acme, theirs, page):
    writer = signed_in(acme, Role.WRITE)
    for ask in (writer.get, writer.post):
        answer = ask(path_of(page, theirs), {"q": SECRET, "for": theirs["hosts"]} if ask == writer.get else {})
        body = b"".join(answer) if answer.streaming else answer.content
        assert answer.status_code in (200, 302, 400, 404, 405), answer.status_code
        shown = body.decode(errors="replace").replace(f'value="{SECRET}"', "").replace(f"“{SECRET}”", "")
        assert SECRET not in shown


@pytest.mark.parametrize("page", PAGES)
def test_strangers_are_turned_away_from_every_page(acme, theirs, page):
    path = path_of(page, theirs)
    assert Client().get(path).url.startswith("/login/?next=/p/acme/")
    stranger = signed_in(acme)
    assert stranger.get(path).status_code == stranger.post(path).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_whoever_may_only_read_changes_nothing(acme, theirs, page):
    reader = signed_in(acme, Role.READ)
    assert reader.post(path_of(page, theirs)).status_code in (200, 403, 404, 405)

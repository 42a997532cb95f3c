"""Every page of the console, tried by everybody who might: nobody sees or does what is another project's."""

import pytest
from django.test import Client
from django_tenants.utils import schema_context

from inventory.models import Host, Instance
from tenants.models import Role
from tests.console.conftest import signed_in
from tests.tenants.everything import SECRET, a_failed_run, one_of_everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(beta):
    """A host of beta, with one of everything around it."""
    with schema_context(beta.schema_name):
        made = one_of_everything()
        a_failed_run(made[Instance])
        return str(made[Host])


PAGES = [f"hosts/{{resource_id}}/{ending}" for ending in ("", "live/", "install/", "do/delete/")]


def test_a_host_of_another_project_is_answered_as_one_that_is_not_there(acme, beta, theirs):
    ann = signed_in(Client(), "ann", acme, Role.WRITE)
    for page in PAGES:
        for ask in (ann.get, ann.post):
            there, not_there = (ask(f"/p/acme/{page.format(resource_id=id)}") for id in (theirs, "host-00000000"))
            assert there.status_code == not_there.status_code and there.status_code in (404, 405), page
    with schema_context(beta.schema_name):
        assert Host.objects.get().desired_state == "HOST_STATE_ONBOARDED"


def test_their_own_people_find_it(beta, theirs):
    """So the tests of what strangers see, here and in test_doors.py, would fail if a page were merely empty."""
    bob = signed_in(Client(), "bob", beta, Role.READ)
    for page in ("", "locations/", *PAGES[:2]):
        assert SECRET in bob.get(f"/p/beta/{page.format(resource_id=theirs)}").text, page


def test_a_reader_is_offered_nothing_and_does_nothing(beta, theirs):
    bob = signed_in(Client(), "bob", beta, Role.READ)
    page = bob.get(f"/p/beta/hosts/{theirs}/").text
    assert "/do/" not in page and "/install/" not in page and "<dialog" not in page
    for page in PAGES[2:]:
        assert bob.post(f"/p/beta/{page.format(resource_id=theirs)}").status_code == 403
    with schema_context(beta.schema_name):
        assert Host.objects.get().desired_state == "HOST_STATE_ONBOARDED"

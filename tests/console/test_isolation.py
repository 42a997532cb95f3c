"""Every page of the console, tried by everybody who might: nobody sees or does what is another project's."""

import pytest
from django.test import Client
from django_tenants.utils import schema_context

from console.urls import urlpatterns
from inventory.models import Host, Instance, Region
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
        return {"resource_id": str(made[Host]), "region": str(made[Region]), "verb": "delete"}


def addresses(ids: dict[str, str]) -> dict[str, str]:
    """Of every page, by its name, with these ids in it."""
    found = {}
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        for name, id in ids.items():
            route = route.replace(f"<str:{name}>", id)
        assert "<" not in route, f"{route}: say in this test what stands for it"
        found[pattern.name] = route
    return found


def test_no_page_shows_or_touches_anything_of_another_project(acme, beta, theirs):
    ann, nobody_elses = signed_in(Client(), "ann", acme, Role.WRITE), {**theirs, "resource_id": "host-00000000"}
    for name, route in addresses(theirs).items():
        for method in ("get", "post"):
            answer = getattr(ann, method)(f"/p/acme/{route}")
            assert SECRET not in answer.text, f"{method} {route}"
            if theirs["resource_id"] in route:
                same = getattr(ann, method)(f"/p/acme/{addresses(nobody_elses)[name]}")
                assert answer.status_code == same.status_code != 200, f"{method} {route}"
            assert getattr(ann, method)(f"/p/beta/{route}").status_code == 403
    with schema_context(beta.schema_name):
        host = Host.objects.get()
        assert host.desired_state == "HOST_STATE_ONBOARDED"


def test_whoever_is_not_signed_in_is_led_to_the_door(acme, theirs):
    for route in addresses(theirs).values():
        assert Client().get(f"/p/beta/{route}").url.startswith("/login/?next=/p/beta/")


def test_their_own_people_find_it(beta, theirs):
    """So the test above would fail if a page were merely empty."""
    bob = signed_in(Client(), "bob", beta, Role.READ)
    for name in ("dashboard", "host", "host-live", "locations"):
        assert SECRET in bob.get(f"/p/beta/{addresses(theirs)[name]}").text, name


def test_a_reader_is_offered_nothing_and_does_nothing(beta, theirs):
    bob = signed_in(Client(), "bob", beta, Role.READ)
    page = bob.get(f"/p/beta/hosts/{theirs['resource_id']}/").text
    assert "/do/" not in page and "/install/" not in page and "<dialog" not in page
    for name in ("host-do", "install"):
        assert bob.post(f"/p/beta/{addresses(theirs)[name]}").status_code == 403
    with schema_context(beta.schema_name):
        assert Host.objects.get().desired_state == "HOST_STATE_ONBOARDED"

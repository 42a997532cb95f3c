"""People who look at the console of acme, by a browser's session."""

import pytest
from django.urls import get_script_prefix, set_script_prefix

from tenants import roles
from tenants.models import Role, User


@pytest.fixture(autouse=True)
def script_prefix():
    """The middleware sets it for each request; a request of a server begins without."""
    prefix = get_script_prefix()
    yield
    set_script_prefix(prefix)


def signed_in(client, name, project, role):
    person = User.objects.create_user(name)
    roles.grant(role, person, project)
    client.force_login(person)
    client.base = f"/p/{project.name}"
    return client


@pytest.fixture
def ada(client, acme):
    """Who may write."""
    return signed_in(client, "ada", acme, Role.WRITE)


@pytest.fixture
def eve(client, acme):
    """Who may look."""
    return signed_in(client, "eve", acme, Role.READ)

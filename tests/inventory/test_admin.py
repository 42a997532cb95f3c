"""The project's admin in its own URL: wishes are asked for, facts are read, rights are the project's."""

import pytest
from django.urls import get_script_prefix, set_script_prefix

from inventory.admin import site
from inventory.models import Host, HostState, Region, Resource
from tenants.models import Grant, Role, User

pytestmark = pytest.mark.django_db


# What a host's form sends of what nobody touched.
AS_IT_IS = {
    "metadata": "[]", "user_lvm_size": "0", "power_command_policy": "POWER_COMMAND_POLICY_IMMEDIATE",
    "amt_control_mode": "AMT_CONTROL_MODE_UNSPECIFIED",
}  # fmt: skip


@pytest.fixture(autouse=True)
def script_prefix():
    """The middleware sets it for each request; a request of a server begins without."""
    prefix = get_script_prefix()
    yield
    set_script_prefix(prefix)


@pytest.fixture
def ada(client, acme):
    user = User.objects.create_user("ada", password="lovelace", is_staff=True)
    Grant.objects.create(user=user, project=acme, role=Role.WRITE)
    client.force_login(user)
    client.base = f"/p/{acme.name}/admin"
    return client


def test_every_resource_of_a_tenant_is_in_the_projects_admin():
    from django.apps import apps

    models = {
        model for model in apps.get_models() if issubclass(model, Resource) and model._meta.app_label == "inventory"
    }
    assert models <= site._registry.keys()


def test_all_pages_of_all_resources_open(ada, acme):
    Region(name="Europe").ask()
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    assert ada.get(f"{ada.base}/").status_code == 200
    for model in site._registry:
        page = f"{ada.base}/{model._meta.app_label}/{model._meta.model_name}"
        assert ada.get(f"{page}/").status_code == 200, page
        for row in model.objects.all()[:1]:
            assert ada.get(f"{page}/{row.pk}/change/").status_code == 200, page


def test_a_host_is_registered_onboarded_and_deleted_by_wishes(ada, acme):
    hosts = f"{ada.base}/inventory/host"
    form = {"name": "rack", "serial_number": "SN00001", **AS_IT_IS}
    assert ada.post(f"{hosts}/add/", form).status_code == 302
    host = Host.objects.get(serial_number="SN00001")
    assert host.desired_state == HostState.REGISTERED
    ada.post(f"{hosts}/", {"action": "onboard", "_selected_action": [host.pk]})
    host.refresh_from_db()
    assert host.desired_state == HostState.ONBOARDED
    host.observe(state=HostState.ONBOARDED)
    ada.post(f"{hosts}/", {"action": "delete_selected", "_selected_action": [host.pk], "post": "yes"})
    host.refresh_from_db()
    assert host.desired_state == HostState.DELETED


def test_what_the_inventory_refuses_is_told_on_the_page(ada, acme):
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    form = {"name": "again", "serial_number": "SN00001", **AS_IT_IS}
    page = ada.post(f"{ada.base}/inventory/host/add/", form, follow=True)
    assert "A host with serial number SN00001 is already registered" in page.content.decode()
    assert Host.objects.count() == 1


def test_a_form_cannot_write_facts_or_the_machines_identity(ada, acme):
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    form = {"name": "new", **AS_IT_IS, "serial_number": "EVIL1", "host_status": "lie"}
    ada.post(f"{ada.base}/inventory/host/{host.pk}/change/", form)
    host.refresh_from_db()
    assert (host.name, host.serial_number, host.host_status) == ("new", "SN00001", "Not Connected")


@pytest.mark.parametrize("role", [None, Role.READ])
def test_whoever_may_not_write_the_project_is_sent_to_the_login(client, acme, role):
    user = User.objects.create_user("eve", is_staff=True)
    if role:
        Grant.objects.create(user=user, project=acme, role=role)
    client.force_login(user)
    assert client.get(f"/p/{acme.name}/admin/inventory/host/").status_code == 302


def test_a_project_of_others_opens_no_page(ada, beta):
    for name in (beta.name, "nobody"):  # whether it is there isn't told
        answer = ada.get(f"/p/{name}/admin/inventory/host/")
        assert answer.status_code == 302 and answer["Location"].startswith(f"/p/{name}/admin/login/")


def test_links_of_a_projects_pages_stay_in_the_project(ada, acme):
    assert f'href="/p/{acme.name}/admin/inventory/host/"' in ada.get(f"{ada.base}/").content.decode()
    assert 'href="/admin/' not in ada.get(f"{ada.base}/").content.decode()

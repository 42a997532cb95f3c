"""The project's admin in its own URL: wishes are asked for, facts are read, rights are the project's."""

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import get_script_prefix, set_script_prefix
from django_tenants.utils import schema_context

from inventory.admin import site
from inventory.models import Host, HostState, Region, Resource
from tenants.models import Grant, Role, User
from tenants.models.audit import Audit

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


@pytest.fixture
def eve(client, acme):
    """Who may look."""
    user = User.objects.create_user("eve", password="x")
    Grant.objects.create(user=user, project=acme, role=Role.READ)
    client.force_login(user)
    client.base = f"/p/{acme.name}/admin"
    return client


def test_a_reader_opens_every_page_and_finds_nothing_to_change(eve, acme):
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    index = eve.get(f"{eve.base}/").content.decode()
    assert "inventory/host/" in index and "/add/" not in index
    for model in site._registry.keys() - {Audit}:  # which says who else is there
        page = eve.get(f"{eve.base}/{model._meta.app_label}/{model._meta.model_name}/")
        assert page.status_code == 200 and b'name="action"' not in page.content
    page = eve.get(f"{eve.base}/inventory/host/{host.pk}/change/").content.decode()
    assert "SN00001" in page and 'name="_save"' not in page and "deletelink" not in page
    assert eve.get(f"{eve.base}/tenants/audit/").status_code == 403
    assert ">Who<" not in eve.get(f"{eve.base}/inventory/host/{host.pk}/history/").content.decode()


def test_a_reader_writes_nothing_by_any_form(eve, acme):
    host = Host(serial_number="SN00001", name="as it was")
    host.ask(state=HostState.REGISTERED)
    before = Host.objects.values().get()
    hosts = f"{eve.base}/inventory/host"
    form = {"name": "changed", "serial_number": "SN00002", "metadata": "[]", "user_lvm_size": "0"}
    answers = [eve.post(f"{hosts}/add/", form), eve.post(f"{hosts}/{host.pk}/change/", form)]
    answers += [eve.post(f"{hosts}/{host.pk}/delete/", {"post": "yes"}), eve.get(f"{hosts}/add/")]
    assert [answer.status_code for answer in answers] == [403] * 4
    for action in [*site._registry[Host].actions, "delete_selected"]:
        name = action if isinstance(action, str) else action.__name__
        eve.post(f"{hosts}/", {"action": name, "_selected_action": [host.pk], "post": "yes"})
    assert [*Host.objects.values()] == [before]


def test_a_page_asks_for_the_roles_once(eve, acme):
    with CaptureQueriesContext(connection) as counted:
        eve.get(f"{eve.base}/inventory/host/")
    assert sum("tenants_grant" in query["sql"] for query in counted) == 1


def test_a_role_taken_closes_the_pages_at_once(eve, acme):
    assert eve.get(f"{eve.base}/inventory/host/").status_code == 200
    Grant.objects.all().delete()
    assert eve.get(f"{eve.base}/inventory/host/").status_code == 403


def test_the_history_of_a_resource_is_its_projects_own(ada, acme, beta):
    """Django's own is kept by model and number, and each project has a host number 1."""
    with schema_context(beta.schema_name):
        Host(serial_number="SN00002").ask(state=HostState.REGISTERED)
        number = Host.objects.get().pk
    Grant.objects.create(user=User.objects.get(username="ada"), project=beta, role=Role.WRITE)
    form = {"name": "their secret", "metadata": "[]", "user_lvm_size": "0"}
    ada.post(f"/p/{beta.name}/admin/inventory/host/{number}/change/", form)
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    host.name = "ours"
    host.save()
    models.QuerySet.update(Host.objects.filter(pk=host.pk), id=number)
    page = ada.get(f"{ada.base}/inventory/host/{number}/history/").content.decode()
    assert page.count("<td>created</td>") == page.count("<td>changed</td>") == 1 and "secret" not in page
    assert "secret" not in ada.get(f"{ada.base}/").content.decode()


def test_links_of_a_projects_pages_stay_in_the_project(ada, acme):
    assert f'href="/p/{acme.name}/admin/inventory/host/"' in ada.get(f"{ada.base}/").content.decode()
    assert 'href="/admin/' not in ada.get(f"{ada.base}/").content.decode()

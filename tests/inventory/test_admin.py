"""The project's admin in its own URL: wishes are asked for, facts are read, rights are the project's."""

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import get_script_prefix, set_script_prefix
from django_tenants.utils import schema_context

from inventory.admin import site
from inventory.models import (
    CustomConfig,
    Host,
    HostState,
    Instance,
    InstanceState,
    NetworkSegment,
    OperatingSystem,
    OsUpdateRun,
    RemoteAccess,
    RepeatedSchedule,
    Resource,
    SingleSchedule,
    Site,
    TelemetryProfile,
    Workload,
)
from tenants.models import Grant, Role, User
from tenants.models.audit import Audit
from tests.tenants.everything import one_of_everything

pytestmark = pytest.mark.django_db
RESOURCES = sorted(
    (model for model in site._registry if issubclass(model, Resource) and model._meta.app_label == "inventory"),
    key=lambda model: model.__name__,
)


# What a host's form sends of what nobody touched.
AS_IT_IS = {
    "metadata": "", "user_lvm_size": "0", "power_command_policy": "POWER_COMMAND_POLICY_IMMEDIATE",
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
    one_of_everything()
    assert ada.get(f"{ada.base}/").status_code == 200
    for model in site._registry:
        page = f"{ada.base}/{model._meta.app_label}/{model._meta.model_name}"
        assert ada.get(f"{page}/").status_code == 200, page
        assert ada.get(f"{page}/?q=secret").status_code == 200, page
        for row in model.objects.all()[:1]:
            assert ada.get(f"{page}/{row.pk}/change/").status_code == 200, page


def sent_by(page) -> dict:
    """What a browser sends of a page's form as it came."""
    forms = [page.context["adminform"].form]
    for inline in page.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    bound = [form[name] for form in forms for name in form.fields]
    return {field.html_name: field.value() for field in bound if field.value() is not None}


@pytest.mark.parametrize("model", RESOURCES, ids=lambda model: model.__name__)
def test_a_form_offers_what_may_be_written_and_nothing_else(ada, acme, model):
    """Whoever opens a resource and saves it as it is changes nothing; facts and what is given once are shown only."""
    one_of_everything()
    row = model.objects.first()
    path = f"{ada.base}/inventory/{model._meta.model_name}/{row.pk}/change/"
    page = ada.get(path)
    form = page.context["adminform"].form
    assert not form.fields.keys() & (model.guarded() | model.fixed | {"resource_id"})
    if model is OsUpdateRun:  # noted by whoever updates
        assert ada.post(path, {}).status_code == 403
        assert ada.get(f"{ada.base}/inventory/osupdaterun/add/").status_code == 403
        return
    before = {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields}
    saved = ada.post(path, sent_by(page))
    assert saved.status_code == 302, saved.context["errors"]
    row.refresh_from_db()
    after = {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields}
    assert {**after, "updated_at": None} == {**before, "updated_at": None}
    offered = ada.get(f"{ada.base}/inventory/{model._meta.model_name}/add/").context["adminform"].form.fields.keys()
    assert not (model.guarded() - {"uuid", "serial_number"}) & offered
    asked = model.fixed - ({"kind"} if model is TelemetryProfile else set())  # that is its group's
    assert {name for name in asked if model._meta.get_field(name).editable} <= offered


@pytest.mark.parametrize(
    ("model", "form", "refusal"),
    [
        (Workload, {"kind": "WORKLOAD_KIND_UNSPECIFIED"}, "is not one of the available choices"),
        (SingleSchedule, {"start_seconds": "5"}, "startSeconds 5 is in the past"),
        (RepeatedSchedule, {"cron_hours": "24"}, "* or numbers from 0 to 23, like 1,15"),
        (NetworkSegment, {"vlan_id": "1"}, "vlanId 1 is every switch&#x27;s own and can&#x27;t be used"),
        (Site, {"dns_servers": "x"}, "is not an IP address"),
        (OperatingSystem, {"metadata": "[]"}, "metadata is a JSON object of texts"),
    ],
)
def test_a_rule_of_the_model_is_told_in_the_form(ada, acme, model, form, refusal):
    one_of_everything()
    row = model.objects.first()
    path = f"{ada.base}/inventory/{model._meta.model_name}/{row.pk}/change/"
    answer = ada.post(path, {**sent_by(ada.get(path)), **form})
    assert answer.status_code == 200 and refusal in answer.content.decode(), answer.context["errors"]
    [column] = form
    assert getattr(model.objects.get(pk=row.pk), column) == getattr(row, column)


@pytest.mark.parametrize(
    ("action", "pair", "wish"),
    [
        ("power_state_on", "power_state", "POWER_STATE_ON"),
        ("power_state_off", "power_state", "POWER_STATE_OFF"),
        ("power_state_reset", "power_state", "POWER_STATE_RESET"),
        ("power_state_power_cycle", "power_state", "POWER_STATE_POWER_CYCLE"),
        ("amt_state_provisioned", "amt_state", "AMT_STATE_PROVISIONED"),
        ("amt_state_unprovisioned", "amt_state", "AMT_STATE_UNPROVISIONED"),
        ("kvm_state_start", "kvm_state", "KVM_STATE_START"),
        ("kvm_state_stop", "kvm_state", "KVM_STATE_STOP"),
        ("sol_state_start", "sol_state", "SOL_STATE_START"),
        ("sol_state_stop", "sol_state", "SOL_STATE_STOP"),
    ],
)
def test_what_a_host_is_wished_from_afar_is_an_action(ada, acme, action, pair, wish):
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    ada.post(f"{ada.base}/inventory/host/", {"action": action, "_selected_action": [host.pk]})
    host.refresh_from_db()
    assert getattr(host, f"desired_{pair}") == wish


def test_an_instance_is_made_with_custom_configs_and_keeps_them(ada, acme):
    one_of_everything()
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.REGISTERED)
    config = CustomConfig.objects.get()
    add = f"{ada.base}/inventory/instance/add/"
    form = {**sent_by(ada.get(add)), "host": str(host), "os": str(OperatingSystem.objects.get())}
    form |= {"customization_set-TOTAL_FORMS": "1", "customization_set-0-custom_config": config.pk}
    assert ada.post(add, form).status_code == 302
    instance = Instance.objects.get(host=host)
    assert [*instance.custom_config.all()] == [config] and instance.desired_state == InstanceState.RUNNING
    page = ada.get(f"{ada.base}/inventory/instance/{instance.pk}/change/")
    [inline] = page.context["inline_admin_formsets"]
    assert not inline.has_add_permission and not inline.has_change_permission and not inline.has_delete_permission


def test_deleting_is_a_wish_where_something_may_have_to_be_taken_back(ada, acme):
    one_of_everything()
    access = RemoteAccess.objects.get()
    access.observe(state="REMOTE_ACCESS_STATE_ENABLED")
    path = f"{ada.base}/inventory/remoteaccess/"
    ada.post(path, {"action": "delete_selected", "_selected_action": [access.pk], "post": "yes"})
    access.refresh_from_db()
    assert access.desired_state == "REMOTE_ACCESS_STATE_DELETED"
    site_page = f"{ada.base}/inventory/site/"
    form = {"action": "delete_selected", "_selected_action": [Site.objects.get().pk], "post": "yes"}
    told = ada.post(site_page, form, follow=True)
    assert Site.objects.exists() and told.status_code == 200


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
    form = {"name": "changed", "serial_number": "SN00002", **AS_IT_IS}
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
    form = {"name": "their secret", **AS_IT_IS}
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

"""Organizations and projects in the public admin: adding and deleting are wishes, and the status tells how they go."""

import pytest
from django.contrib.messages import get_messages

from tenants.models import Event, Organization, Project, TenantState, User
from tests.conftest import empty_project

pytestmark = pytest.mark.django_db

NO_ROLES = {"grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0"}


@pytest.fixture
def root(client, public):
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def till(root):
    return empty_project("till")


def told(answer) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_adding_one_is_a_wish(root):
    root.post("/admin/tenants/organization/add/", {"name": "shops", "description": "All", **NO_ROLES})
    shops = Organization.objects.get(name="shops")
    root.post("/admin/tenants/project/add/", {"name": "till", "organization": shops.pk, **NO_ROLES})
    till = Project.objects.get(name="till")
    for row in (shops, till):
        assert (row.desired_state, row.current_state) == (TenantState.CREATED, TenantState.UNSPECIFIED)
        assert Event.objects.get(resource_id=row.resource_id, verb="created").who == "root"
    page = root.get("/admin/tenants/project/?q=till").content.decode()
    assert "Project till CREATE initiated" in page and 'class="state IN_PROGRESS"' in page and "not served" in page


def test_what_is_refused_is_told_on_the_page(root, till):
    for name, says in (("UPPER", "lower-case letters"), ("till", "already exists")):
        form = {"name": name, "organization": till.organization_id, **NO_ROLES}
        assert says in root.post("/admin/tenants/project/add/", form).content.decode()
    till.organization.refresh_from_db()
    Organization(name="going").ask(state=TenantState.CREATED)
    going = Organization.objects.get(name="going")
    going.ask(state=TenantState.DELETED)
    form = {"name": "new", "organization": going.pk, **NO_ROLES}
    assert "Organization going is being deleted" in told(root.post("/admin/tenants/project/add/", form))
    assert not Project.objects.filter(name="new").exists()


def test_only_the_description_is_changed(root, till):
    page = f"/admin/tenants/project/{till.pk}/change/"
    shown = root.get(page).content.decode()
    assert till.schema_name in shown and str(till.uuid) in shown and f'href="/p/{till.name}/"' in shown
    root.post(page, {"description": "new", "name": "other", "desired_state": TenantState.DELETED, **NO_ROLES})
    till.refresh_from_db()
    assert (till.description, till.name, till.desired_state) == ("new", "till", TenantState.CREATED)


def test_deleting_one_is_a_wish(root, till):
    answer = root.post(f"/admin/tenants/project/{till.pk}/delete/", {"post": "yes"})
    till.refresh_from_db()
    assert till.is_going and not till.forced and "Project till DELETE initiated" in told(answer)
    assert "Project till DELETE initiated" in root.get("/admin/tenants/project/?q=till").content.decode()


def test_deleting_several_and_by_force_are_wishes_too(root, till):
    for action, forced in (("delete_selected", False), ("delete_by_force", True)):
        form = {"action": action, "_selected_action": [till.pk], "post": "yes"}
        assert "Project till DELETE initiated" in told(root.post("/admin/tenants/project/", form))
        till.refresh_from_db()
        assert till.is_going and till.forced == forced


def test_an_organization_with_projects_is_not_deleted(root, till):
    root.post(f"/admin/tenants/organization/{till.organization_id}/delete/", {"post": "yes"})
    till.organization.refresh_from_db()
    assert till.organization.desired_state != TenantState.DELETED
    assert Project.objects.filter(pk=till.pk).exists()

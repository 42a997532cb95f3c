"""What the admin asks for, and how."""

import pytest

from inventory.models import Region, Site
from tenants import roles
from tenants.models import Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def writer(acme, client):
    user = User.objects.create_user("olga")
    roles.grant(Role.WRITE, user, acme)
    client.force_login(user)
    return client


def test_metadata_is_written_a_line_each_and_shown_so_again(writer):
    add = "/p/acme/admin/inventory/region/add/"
    writer.post(add, {"name": "north", "metadata": "city=berlin\n\n zone = a \n"})
    region = Region.objects.get()
    assert region.metadata == [{"key": "city", "value": "berlin"}, {"key": "zone", "value": "a"}]
    page = f"/p/acme/admin/inventory/region/{region.pk}/change/"
    assert "city=berlin\nzone=a</textarea>" in writer.get(page).text
    for wrong, said in (("city", "has no ="), ("City=berlin", "lower-case letters"), ("a=1\na=2", "is there twice")):
        refused = writer.post(page, {"name": "south", "metadata": wrong})
        assert said in refused.text and f"{wrong}</textarea>" in refused.text
    region.refresh_from_db()
    assert region.name == "north"


def test_where_a_site_is_is_said_in_degrees(writer):
    add = "/p/acme/admin/inventory/site/add/"
    form = {"name": "Berlin", "dns_servers": "", "docker_registries": "", "metadata": ""}
    assert "less than or equal to 90" in writer.post(add, {**form, "site_lat": "91"}).text
    assert writer.post(add, {**form, "site_lat": "52.5251", "site_lng": "-13.4"}).status_code == 302
    site = Site.objects.get()
    assert (site.site_lat, site.site_lng) == (525251000, -134000000)
    page = f"/p/acme/admin/inventory/site/{site.pk}/change/"
    assert 'value="52.5251"' in writer.get(page).text
    writer.post(page, {**form, "site_lat": "", "site_lng": ""})
    site.refresh_from_db()
    assert (site.site_lat, site.site_lng) == (0, 0)


def test_what_was_chosen_is_told_by_its_name(writer):
    region = Region(name="north")
    region.ask()
    site = Site(name="Berlin", region=region)
    site.ask()
    page = writer.get(f"/p/acme/admin/inventory/site/{site.pk}/change/").text
    assert f">north ({region})</option>" in " ".join(page.split()).replace("> ", ">").replace(" <", "<")

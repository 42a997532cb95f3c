"""The API in a browser: every endpoint shows itself, with a form for what can be sent to it."""

import re

import pytest

from inventory.models import Host, HostState, Region, Site
from tests.conftest import client_of
from tests.inventory.test_contract import CONTRACT

pytestmark = pytest.mark.django_db

COLLECTIONS = sorted({
    one["path"] for one in CONTRACT["operations"]
    if one["method"] == "GET" and one["path"].startswith("/v1/") and "{resourceId}" not in one["path"]
})  # fmt: skip
HTML = {"HTTP_ACCEPT": "text/html"}


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_list_shows_itself_and_a_form(api, path):
    path = path.replace("{projectName}", "acme").replace("{regionId}", "any")
    if path.endswith("/locations"):
        path += "?name=x&showSites=true"
    answer = api.get(path, **HTML)
    assert answer.status_code == 200 and b"HTTP 200 OK" in answer.content
    can_create = any(one["method"] == "POST" and one["path"].split("{")[0] in path for one in CONTRACT["operations"])
    if can_create and b'"POST"' in answer.content:
        assert b'name="_content"' in answer.content or b"<form" in answer.content


def test_a_host_is_changed_by_its_form(api):
    site = Site(name="Berlin")
    site.ask()
    host = Host(serial_number="SN00001", name="edge", metadata=[{"key": "a", "value": "b"}])
    host.ask(state=HostState.REGISTERED)
    page = api.get(f"{api.base}/compute/hosts/{host}", **HTML).content.decode()
    assert 'value="edge"' in page and re.search(rf'<option value="{site}"', page)
    form = {"name": "edge-2", "siteId": str(site), "metadata": '[{"key": "a", "value": "c"}]', "uuid": ""}
    answer = api.put(f"{api.base}/compute/hosts/{host}", form, format="multipart", **HTML)
    assert answer.status_code == 200, answer.content
    host.refresh_from_db()
    assert (host.name, host.site, host.metadata) == ("edge-2", site, [{"key": "a", "value": "c"}])
    answer = api.put(f"{api.base}/compute/hosts/{host}", {"name": "x" * 60}, format="multipart", **HTML)
    assert answer.status_code == 400 and b"no more than 50 characters" in answer.content


def test_a_region_is_made_by_its_form_and_a_host_registered(api):
    answer = api.post(f"{api.base}/regions", {"name": "Europe", "metadata": ""}, format="multipart", **HTML)
    assert answer.status_code == 200 and Region.objects.get().name == "Europe"
    form = {"serialNumber": "SN00001", "autoOnboard": "true", "userLvmSize": "5"}
    answer = api.post(f"{api.base}/compute/hosts/register", form, format="multipart", **HTML)
    host = Host.objects.get()
    assert answer.status_code == 200 and (host.user_lvm_size, host.desired_state) == (5, HostState.ONBOARDED)


def test_who_only_reads_is_shown_no_form(acme):
    reader = client_of(acme, "im-r")
    page = reader.get(f"{reader.base}/regions", **HTML).content
    assert b"HTTP 200 OK" in page and b'name="_content"' not in page

"""The API in a browser: every endpoint shows itself, with a form for what can be sent to it."""

import re
from html.parser import HTMLParser

import pytest

from inventory.models import (
    CustomConfig,
    Customization,
    Host,
    HostState,
    LocalAccount,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
    TelemetryGroup,
    TelemetryProfile,
    Workload,
)  # fmt: skip
from tests.conftest import client_of
from tests.inventory.nouns import an_instance, made, site_in
from tests.inventory.test_contract import CONTRACT

pytestmark = pytest.mark.django_db

COLLECTIONS = sorted({
    one["path"] for one in CONTRACT["operations"]
    if one["method"] == "GET" and one["path"].startswith("/v1/") and "{resourceId}" not in one["path"]
})  # fmt: skip
HTML = {"HTTP_ACCEPT": "text/html"}
DEBUG = "SEVERITY_LEVEL_DEBUG"


MADE_BY_FORM = {one["path"] for one in CONTRACT["operations"] if one["method"] == "POST"}


class Form(HTMLParser):
    """The fields of the form by which a page makes or changes a resource, with what they hold."""

    def __init__(self, page: bytes, method: str):
        super().__init__()
        self.forms, self.select, self.area = [], "", ""
        self.feed(page.decode())
        ours = [fields for of, fields in self.forms if of == method and "_content" not in fields]
        self.fields = ours[0] if ours else None

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name, value = given.get("name", ""), given.get("value") or ""
        if tag == "form":
            self.forms.append((given.get("data-method") or given.get("method", "").upper(), {}))
        elif not self.forms:
            return
        elif tag == "option" and self.select and "selected" in given:
            self.forms[-1][1][self.select] = value
        elif tag == "textarea":
            self.area = name
        elif tag == "select":
            self.select = name
        if name and (tag in ("select", "textarea") or (tag == "input" and given.get("type") != "checkbox")):
            self.forms[-1][1][name] = value

    def handle_endtag(self, tag):
        if tag in ("select", "textarea"):
            self.select = self.area = ""

    def handle_data(self, data):
        if self.area:
            self.forms[-1][1][self.area] += data


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_list_shows_itself_and_a_form_for_another_one(api, path):
    asked = path.replace("{projectName}", "acme").replace("{regionId}", "any")
    if path.endswith("/locations"):
        asked += "?name=x&showSites=true"
    answer = api.get(asked, **HTML)
    assert answer.status_code == 200 and b"HTTP 200 OK" in answer.content
    assert (Form(answer.content, "POST").fields is not None) == (path in MADE_BY_FORM)


@pytest.fixture
def one_of_each(acme):
    """Resources that can be changed, by their paths."""
    site = site_in("Europe", "Germany")
    instance = an_instance(site=site)
    account = made(LocalAccount(username="ada", ssh_key="ssh-ed25519 AAAA"))
    config = made(CustomConfig(name="c", config="#cloud-config"))
    Customization.objects.create(instance=instance, custom_config=config)
    cron = dict.fromkeys(("cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week"), "*")
    found = {
        "compute/hosts": instance.host, "compute/instances": instance, "compute/os": instance.os,
        "regions": site.region, "regions/any/sites": site, "localAccounts": account, "customConfigs": config,
        "schedules/single": made(SingleSchedule(name="s", start_seconds=4_000_000_000, target_site=site)),
        "schedules/repeated": made(RepeatedSchedule(name="r", duration_seconds=1, target_region=site.region, **cron)),
        "compute/workloads": made(Workload(name="w", kind="WORKLOAD_KIND_CLUSTER"), state="WORKLOAD_STATE_PROVISIONED"),
    }  # fmt: skip
    for name, kind, said in (("metrics", "METRICS", {"metrics_interval": 9}), ("logs", "LOGS", {"log_level": DEBUG})):
        of_kind = {"kind": f"TELEMETRY_RESOURCE_KIND_{kind}"}
        collector = "TELEMETRY_COLLECTOR_KIND_HOST"
        group = made(TelemetryGroup(name="g", collector_kind=collector, groups=["a"], **of_kind))
        found[f"telemetry/profiles/{name}"] = made(TelemetryProfile(group=group, instance=instance, **said, **of_kind))
    return found


def test_what_a_form_holds_can_be_sent_as_it_is_and_changes_nothing(api, one_of_each):
    changeable = set()
    for path, resource in one_of_each.items():
        place = f"{api.base}/{path}/{resource}"
        before = api.get(place).json()
        page = api.get(place, **HTML)
        assert page.status_code == 200, place
        if form := Form(page.content, "PUT").fields:
            changeable.add(path)
            answer = api.put(place, form, format="multipart", **HTML)
            assert answer.status_code == 200, (place, answer.content)
            after = api.get(place).json()
            assert without_times(after) == without_times(before), place
    assert one_of_each.keys() - changeable == {"localAccounts", "customConfigs"}


def without_times(shown):
    if isinstance(shown, list):
        return [*map(without_times, shown)]
    if isinstance(shown, dict):
        return {name: without_times(value) for name, value in shown.items() if name != "timestamps"}
    return shown


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

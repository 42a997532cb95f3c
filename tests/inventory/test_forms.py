"""What the admin asks for, and how."""

import json

import pytest

from inventory.models import (
    Host,
    Indicator,
    Instance,
    OsUpdatePolicy,
    Provider,
    Region,
    Site,
    Status,
    TelemetryGroup,
    TelemetryProfile,
)
from tenants import roles
from tenants.models import Role, User
from tests.provisioning.machines import machine, system

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


def test_a_list_of_texts_is_written_a_line_each(writer):
    add = "/p/acme/admin/inventory/site/add/"
    assert writer.post(add, {"name": "Berlin", "dns_servers": "10.0.0.1\n\n 10.0.0.2 \n"}).status_code == 302
    site = Site.objects.get()
    assert (site.dns_servers, site.docker_registries) == (["10.0.0.1", "10.0.0.2"], [])
    assert "10.0.0.1\n10.0.0.2</textarea>" in writer.get(f"/p/acme/admin/inventory/site/{site.pk}/change/").text


@pytest.mark.parametrize(
    ("model", "column", "first"),
    [
        ("osupdatepolicy", "update_policy", "Latest"), ("telemetrygroup", "kind", "Metrics"),
        ("telemetrygroup", "collector_kind", "Host"), ("provider", "provider_kind", "Baremetal"),
        ("operatingsystem", "os_type", "Mutable"), ("operatingsystem", "os_provider", "Infra"),
    ],
)  # fmt: skip
def test_no_choice_is_offered_that_would_be_refused(writer, model, column, first):
    form = writer.get(f"/p/acme/admin/inventory/{model}/add/").context["adminform"].form
    labels = [label for _, label in form.fields[column].choices]
    assert labels[0] == first and "Unspecified" not in labels


def test_columns_are_called_as_people_write_them(writer):
    os = system("debian")
    page = writer.get(f"/p/acme/admin/inventory/operatingsystem/{os.pk}/change/").text
    for called in ("SHA256", "OS type", "TLS CA cert", "Existing CVEs URL", "Resource ID"):
        assert called in page
    assert "Resource ID" in writer.get("/p/acme/admin/inventory/operatingsystem/").text


def test_a_status_is_told_in_one_line_and_moments_as_such(writer):
    host = Host(serial_number="SN00001")
    host.ask()
    host.observe(host_status=Status("Running", Indicator.IDLE))
    page = writer.get(f"/p/acme/admin/inventory/host/{host.pk}/change/").text
    assert 'class="state IDLE">Running</span> since 2' in page
    assert "Host status indicator" not in page and "Host status timestamp" not in page


def test_zero_touch_is_chosen_in_words_and_whatever_else_its_config_holds_stays(writer):
    os = system("debian")
    Provider.objects.all().delete()
    assert writer.get("/p/acme/zero-touch/").url.endswith("/provider/add/?name=infra_onboarding")
    add = "/p/acme/admin/inventory/provider/add/?name=infra_onboarding"
    assert "Which one?" in writer.post(add, {"auto_provision": "on"}).text and not Provider.objects.exists()
    assert writer.post(add, {"auto_provision": "on", "default_os": str(os)}).status_code == 302
    provider = Provider.objects.get()
    assert (provider.name, provider.provider_kind) == ("infra_onboarding", "PROVIDER_KIND_BAREMETAL")
    assert json.loads(provider.config) == {
        "autoProvision": True, "defaultOs": str(os), "osSecurityFeatureEnable": False, "enrolmentRequired": False,
    }  # fmt: skip
    Provider.objects.filter(pk=provider.pk).update(config=json.dumps({"autoProvision": True, "note": "ours"}))
    page = writer.get("/p/acme/zero-touch/").url
    assert writer.post(page, {"enrolment_required": "on"}).status_code == 302
    provider.refresh_from_db()
    assert json.loads(provider.config) == {
        "note": "ours", "autoProvision": False, "osSecurityFeatureEnable": False, "enrolmentRequired": True,
    }  # fmt: skip


def test_a_telemetry_profile_is_of_its_groups_kind(writer):
    group = TelemetryGroup(name="syslog", kind="TELEMETRY_RESOURCE_KIND_LOGS", groups=["syslog"],
                           collector_kind="TELEMETRY_COLLECTOR_KIND_HOST")  # fmt: skip
    group.ask()
    form = {"group": str(group), "metrics_interval": "0", "log_level": "SEVERITY_LEVEL_WARN"}
    assert writer.post("/p/acme/admin/inventory/telemetryprofile/add/", form).status_code == 302
    assert TelemetryProfile.objects.get().kind == "TELEMETRY_RESOURCE_KIND_LOGS"


def test_several_instances_are_given_an_update_policy_at_once(writer):
    first, second, third = machine(), machine(), machine()
    policy = OsUpdatePolicy(name="newest", update_policy="UPDATE_POLICY_LATEST")
    policy.ask()
    instances = "/p/acme/admin/inventory/instance/"
    form = {"action": "link_policy", "_selected_action": [first.pk, second.pk]}
    page = writer.post(instances, form)
    assert "newest" in page.text and str(first) in page.text and str(third) not in page.text
    told = writer.post(instances, {**form, "chosen": "yes", "policy": str(policy)}, follow=True)
    assert "2 instances have newest now" in told.text
    assert {*Instance.objects.filter(os_update_policy=policy)} == {first, second}
    writer.post(instances, {**form, "chosen": "yes", "policy": ""})
    assert not Instance.objects.filter(os_update_policy=policy).exists()

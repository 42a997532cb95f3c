"""A host's page: what it shows, what it offers when, and that what it offers is done, and refused, as by the API."""

import re

import pytest
from django.db import connection

from console.verbs import VERBS
from inventory.models import (
    AmtControlMode,
    AmtState,
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    KvmState,
    LocalAccount,
    OsUpdatePolicy,
    PowerState,
    Provider,
    Region,
    ScheduleStatus,
    SingleSchedule,
    Site,
    Status,
)  # fmt: skip
from provisioning import workflow
from provisioning.models import WorkflowState
from tenants.models import Event
from tests.conftest import settle
from tests.provisioning.machines import machine, system

pytestmark = pytest.mark.django_db


def page(client, host, live="") -> str:
    answer = client.get(f"{client.base}/hosts/{host}/{live}")
    assert answer.status_code == 200
    return answer.text


def offers(client, host) -> set[str]:
    """The verbs that a button, or a dialog's opener, is there for."""
    return {*re.findall(r'(?:/do/|data-opens="ask-)([a-z-]+)', page(client, host, "live/"))}


def do(client, host, verb, **form) -> str:
    """What the page says afterwards."""
    answer = client.post(f"{client.base}/hosts/{host}/do/{verb}/", form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_machine_is_onboarded_installed_hindered_and_deleted_from_its_page(ada, acme):
    system("debian-12")
    host = Host(name="till", serial_number="TILL0001", uuid="00000000-0000-0000-0000-00000000000a")
    host.ask(state=HostState.REGISTERED)
    assert offers(ada, host) == {"onboard", "maintain", "delete"}
    assert "gets its credentials" in do(ada, host, "onboard")
    host.refresh_from_db()
    assert host.desired_state == HostState.ONBOARDED and Event.objects.filter(who="ada", verb="asked").exists()
    host.observe(state=HostState.ONBOARDED, pxe_mac="52:54:00:00:00:01", bmc_ip="10.0.0.5")
    assert offers(ada, host) == {"maintain", "deauthorize", "delete"}

    install = f"{ada.base}/hosts/{host}/install/"
    assert "This field is required" in ada.post(install, {}).text and not Instance.objects.exists()
    account = LocalAccount(username="ops", ssh_key="ssh-ed25519 AAAA")
    account.ask()
    chosen = {"os": str(system("debian-12")), "local_account": str(account)}
    assert ada.post(install, chosen).url == f"{ada.base}/hosts/{host}/"
    instance = Instance.objects.get()
    assert (instance.desired_state, instance.local_account) == (InstanceState.RUNNING, account)
    assert "has an instance already" in ada.post(install, chosen).text
    settle()

    assert offers(ada, host) >= {"pause", "abort"} and "resume" not in offers(ada, host)
    do(ada, host, "pause")
    assert workflow.latest(instance).state == WorkflowState.PAUSED and "resume" in offers(ada, host)
    do(ada, host, "resume")
    do(ada, host, "abort")
    assert workflow.latest(instance).state == WorkflowState.CANCELLED
    assert "aborted by ada" in page(ada, host) and "retry" in offers(ada, host)
    do(ada, host, "retry")
    assert workflow.latest(instance).attempt == 2
    assert do(ada, host, "resume")  # a refusal is told, and nothing happens
    do(ada, host, "delete")
    settle()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET due_at = now()")  # the host looks again after its instance
    settle()
    assert not Host.objects.exists() and not Instance.objects.exists()
    assert ada.get(f"{ada.base}/hosts/{host}/").status_code == 404


def test_wishes_and_facts_stand_side_by_side_with_the_reason(ada, acme):
    instance = machine(os=system("nothing", image_url=""))
    settle()
    told = page(ada, instance.host)
    [differs] = re.findall(r'<tr class="differs">.*?</tr>', told)
    assert re.findall(r"<t[hd][^>]*>([^<]+)</t", differs)[:3] == ["Instance state", "Running", "Unspecified"]
    assert "Refused: " in told


def test_the_log_of_an_installation_is_told_while_it_goes_on(ada, acme):
    instance = machine()
    settle()
    run = workflow.latest(instance)
    names = [action["name"] for action in run.actions]
    workflow.report(instance.host.uuid, workflow.Report(run.workflow_id, names[0], "STATE_SUCCESS"))
    report = workflow.Report(run.workflow_id, names[1], "STATE_FAILED", "no disk: <b>none</b>")
    workflow.report(instance.host.uuid, report)
    settle()
    told = page(ada, instance.host, "live/")
    assert "no disk: &lt;b&gt;none&lt;/b&gt;" in told and "Verifying Secure Boot settings" in told
    assert 'class="FAILED"' in told and "Installation 1: Erasing data from all non-removable disks failed" in told


def test_what_an_installation_was_given_sealed_is_on_no_page(ada, acme):
    instance = machine()
    settle()
    told = ada.get(f"{ada.base}/admin/provisioning/workflow/{workflow.latest(instance).pk}/change/")
    assert "Erasing data" in told.text and not {"inputs_sealed", "actions"} & {*told.context["adminform"].form.fields}
    assert "sealed" not in told.text.lower()


@pytest.mark.parametrize(
    ("verb", "wish"),
    [
        ("power-on", PowerState.ON), ("power-off", PowerState.OFF), ("power-reset", PowerState.RESET),
        ("power-power-cycle", PowerState.POWER_CYCLE),
    ],
)  # fmt: skip
def test_power_is_asked_for_where_somebody_can_switch_it(ada, acme, verb, wish):
    host = Host(serial_number="TILL0001")
    host.ask(state=HostState.REGISTERED)
    assert verb not in offers(ada, host) and "No provider switches its power" in page(ada, host)
    provider = Provider(
        name="rack", provider_kind="PROVIDER_KIND_BAREMETAL", provider_vendor="PROVIDER_VENDOR_REDFISH",
        api_endpoint="https://192.0.2.1", credentials=["root", "calvin"],
    )  # fmt: skip
    provider.ask()
    host.provider = provider
    host.save()
    assert verb in offers(ada, host)
    do(ada, host, verb)
    host.refresh_from_db()
    assert host.desired_power_state == wish


def test_what_is_wished_of_power_that_nobody_switches_is_told_with_a_way_out(ada, acme):
    host = Host(serial_number="TILL0001")
    host.ask(state=HostState.REGISTERED)
    told = ada.post(
        f"{ada.base}/admin/inventory/host/", {"action": "power_state_on", "_selected_action": [host.pk]}, follow=True
    ).context["messages"]
    assert f"No provider switches the power of {host}" in " ".join(map(str, told))
    said = page(ada, host)
    assert "what is wished of it waits" in said and "provider/add/?provider_vendor=PROVIDER_VENDOR_REDFISH" in said
    form = ada.get(f"{ada.base}/admin/inventory/provider/add/").context["adminform"].form
    assert form["provider_vendor"].value() == "PROVIDER_VENDOR_REDFISH"


def test_maintenance_begins_and_ends(ada, acme):
    host = Host(serial_number="TILL0001")
    host.ask(state=HostState.REGISTERED)
    do(ada, host, "maintain", choice="4")
    [schedule] = SingleSchedule.objects.all()
    assert (schedule.target_host, schedule.end_seconds - schedule.start_seconds) == (host, 4 * 3600)
    assert "end-maintenance" in offers(ada, host) and "maintain" not in offers(ada, host)
    do(ada, host, "end-maintenance")
    assert not SingleSchedule.objects.exists()


def test_an_update_is_begun_at_once_and_its_window_ends(ada, acme):
    instance = machine()
    assert "update" not in offers(ada, instance.host)  # there is nothing to update yet
    instance.observe(state=InstanceState.RUNNING)
    do(ada, instance.host, "update")
    [window] = SingleSchedule.objects.all()
    assert (window.target_host, window.schedule_status) == (instance.host, ScheduleStatus.OS_UPDATE)
    assert window.end_seconds - window.start_seconds == 3600
    assert offers(ada, instance.host) >= {"end-update", "maintain"}  # it is no maintenance
    do(ada, instance.host, "end-update")
    assert not SingleSchedule.objects.exists() and "update" in offers(ada, instance.host)


def test_what_an_update_would_bring_is_told(ada, acme):
    instance = machine()
    instance.observe(state=InstanceState.RUNNING, os_update_available='[{"name": "vim", "available_version": "9"}]')
    assert "all that is newer in its sources" in (told := page(ada, instance.host)) and "vim 9" in told
    policy = OsUpdatePolicy(name="editors", update_policy="UPDATE_POLICY_TARGET", update_packages="vim,nano")
    policy.ask()
    instance.os_update_policy = policy
    instance.save()
    assert "vim, nano" in (told := page(ada, instance.host)) and "editors" in told
    fixed = machine(os=system("slots", os_type="OS_TYPE_IMMUTABLE"))
    fixed.observe(state=InstanceState.RUNNING, os_update_available="slots 2")
    assert "nothing, until it has an update policy" in (told := page(ada, fixed.host)) and "slots 2" in told
    assert "has nothing to update to" in do(ada, fixed.host, "update") and not SingleSchedule.objects.exists()


def test_labels_are_told_with_those_of_the_place_and_the_nearest_wins(ada, acme):
    region = Region(name="North", metadata=[{"key": "tier", "value": "far"}, {"key": "country", "value": "de"}])
    region.ask()
    site = Site(name="Depot", region=region, metadata=[{"key": "tier", "value": "near"}])
    site.ask()
    host = Host(serial_number="TILL0001", site=site, metadata=[{"key": "country", "value": "dk"}])
    host.ask(state=HostState.REGISTERED)
    labels = page(ada, host).partition("Labels of its site and regions")[2].partition("</section>")[0]
    assert "<b>near</b>" in labels and "far" not in labels and "country" not in labels


def test_amt_is_activated_in_a_mode_and_gives_a_host_power_and_consoles(ada, acme, settings):
    host = machine().host
    assert not {verb for verb in offers(ada, host) if verb.startswith(("amt", "kvm", "sol"))}  # there is no AMT here
    settings.MPS_URL = settings.RPS_URL = "http://127.0.0.1:9"
    do(ada, host, "amt-activate", choice="AMT_CONTROL_MODE_ACM")
    host.refresh_from_db()
    assert (host.desired_amt_state, host.amt_control_mode) == (AmtState.PROVISIONED, AmtControlMode.ACM)
    assert "amt-activate" not in offers(ada, host) and "kvm-start" not in offers(ada, host)
    host.observe(amt_state=AmtState.PROVISIONED, amt_sku="AMT_SKU_ISM")
    assert "ISM, which has no remote screen" in page(ada, host)
    assert offers(ada, host) >= {"amt-deactivate", "power-on", "sol-start"} and "kvm-start" not in offers(ada, host)
    host.observe(amt_sku="AMT_SKU_AMT")
    do(ada, host, "kvm-start")
    host.observe(kvm_state=KvmState.AWAITING_CONSENT)
    assert "kvm-stop" in offers(ada, host) and "kvm-start" not in offers(ada, host)
    do(ada, host, "kvm-stop")
    host.refresh_from_db()
    assert host.desired_kvm_state == KvmState.STOP
    do(ada, host, "amt-deactivate")
    host.refresh_from_db()
    assert host.desired_amt_state == AmtState.UNPROVISIONED


def test_whoever_deauthorizes_says_why_and_the_page_keeps_it(ada, acme):
    host = machine().host
    do(ada, host, "deauthorize", note="stolen from the depot")
    host.refresh_from_db()
    assert (host.desired_state, host.note) == (HostState.UNTRUSTED, "stolen from the depot")
    assert "stolen from the depot" in page(ada, host) and offers(ada, host) == {"maintain", "delete"} - {"maintain"}


def test_what_can_not_be_done_now_is_refused_in_words(ada, acme):
    host = Host(serial_number="TILL0001")
    host.ask(state=HostState.REGISTERED)
    host.observe(state=HostState.REGISTERED)
    assert "can't become HOST_STATE_UNTRUSTED" in do(ada, host, "deauthorize", note="x")
    assert "has no instance" in do(ada, host, "retry")
    assert ada.post(f"{ada.base}/hosts/{host}/do/dance/").status_code == 404
    assert ada.get(f"{ada.base}/hosts/{host}/do/delete/").status_code == 405
    assert "512" in do(ada, machine().host, "deauthorize", note="x" * 600)


def test_every_verb_that_destroys_asks_before(ada, acme):
    told = page(ada, machine().host)
    for verb in VERBS.values():
        assert verb.asks or not verb.is_grave
        assert bool(verb.asks) == (f'<dialog id="ask-{verb.name}"' in told)


def test_sites_are_found_in_their_regions_and_on_the_map(ada, acme):
    north = Region(name="North")
    north.ask()
    city = Region(name="City", parent_region=north)
    city.ask()
    for name, region, lat in (("Depot", city, 525200000), ("Store", city, -338600000), ("Van", None, 0)):
        Site(name=name, region=region, site_lat=lat, site_lng=lat and 134050000).ask()
    instance = machine()
    instance.host.site = Site.objects.get(name="Depot")
    instance.host.save()
    instance.host.observe(host_status=Status("No Connection", Indicator.ERROR))
    told = ada.get(f"{ada.base}/locations/").context
    [root] = told["roots"]
    assert (root.name, root.sites, root.hosts, root.bad) == ("North", 2, 1, 1)
    assert [child.name for child in root.children] == ["City"] and told["loose"].sites == 1
    assert sorted(dot.names for dot in told["map"].dots) == ["Depot", "Store"] and told["map"].unplaced == 1
    assert "Depot" in (sites := ada.get(f"{ada.base}/locations/{city}/").text) and "Van" not in sites
    assert "Van" in ada.get(f"{ada.base}/locations/none/").text
    for place, hosts in ((north, 1), (city, 1), (Site.objects.get(name="Store"), 0), ("none", 0)):
        listed = ada.get(f"{ada.base}/admin/inventory/host/?at={place}").context["cl"].queryset
        assert listed.count() == hosts, place


def test_coordinates_are_written_in_degrees(ada, acme):
    site = Site(name="Depot", site_lat=525200000, site_lng=-1340500001)
    site.ask()
    path = f"{ada.base}/admin/inventory/site/{site.pk}/change/"
    form = ada.get(path).context["adminform"].form
    sent = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    assert (sent["site_lat"], sent["site_lng"]) == (52.52, -134.0500001)
    assert ada.post(path, {**sent, "site_lat": "-33.86"}).status_code == 302
    site.refresh_from_db()
    assert (site.site_lat, site.site_lng) == (-338600000, -1340500001)
    assert "less than or equal to" in ada.post(path, {**sent, "site_lat": "91"}).text

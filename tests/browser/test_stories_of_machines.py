"""The stories of the archived system's users in which a machine has a part: it is updated, measured, managed from afar,

installed anew, or installed without anybody asking. One simulated machine serves those that leave it as it was.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack
from tests.browser.machines import Machine
from tests.browser.walking import add, button_of_list, choose, go, more, open_host, save
from tests.eim_project.waiting import wait_until
from wire.maintmgr_pb2 import UpdateStatus as Told

pytestmark = pytest.mark.browser
PATIENCE = 240  # seconds, until a machine is installed: others work on this computer, too


@pytest.fixture(scope="module")
def machine(stack) -> Iterator[Machine]:
    """It is installed, and runs."""
    machine = Machine(stack)
    machine.register()
    machine.switch_on()
    wait_until(lambda: is_installed(machine), PATIENCE)
    yield machine
    machine.switch_off()


@pytest.fixture
def new(stack) -> Iterator[Machine]:
    """Nobody knows it."""
    machine = Machine(stack)
    yield machine
    machine.switch_off()


def is_installed(machine: Machine) -> bool:
    instance = machine.stack.host(machine.serial)["instance"]
    return bool(instance) and instance["currentState"] == "INSTANCE_STATE_RUNNING"


# Locations -----------------------------------------------------------------------------------------------------------


def add_dock(olga, fresh, metadata=""):
    """A site in the region land-..."""
    go(olga, "Sites")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Name").fill(f"dock-{fresh}")
    choose(olga, "region", f"land-{fresh}")
    olga.get_by_role("textbox", name="Metadata").fill(metadata)
    save(olga, "added")


def move_to_dock(olga, machine, fresh):
    open_host(olga, machine.serial)
    more(olga, "Edit")
    choose(olga, "site", f"dock-{fresh}")
    save(olga, "changed")
    open_host(olga, machine.serial)


def test_labels_of_a_region_and_a_site_come_to_the_hosts_in_them(olga, stack, machine, fresh):
    """4"""
    go(olga, "Regions")
    add(olga, Name=f"land-{fresh}", Metadata=f"country=de\ntier-{fresh}=far")
    add_dock(olga, fresh, metadata=f"tier-{fresh}=near")
    move_to_dock(olga, machine, fresh)
    labels = olga.get_by_role("group", name="Labels of its site and regions")
    expect(labels).to_contain_text("country de")
    expect(labels).to_contain_text(f"tier-{fresh} near")
    expect(labels).not_to_contain_text("far")
    told = {pair["key"]: pair["value"] for pair in stack.host(machine.serial)["inheritedMetadata"]}
    assert told == {"country": "de", f"tier-{fresh}": "near"}


def test_telemetry_of_a_region_and_a_site_adds_up_to_the_most_of_it(olga, machine, fresh):
    """5: the shorter interval and the more verbose level win, and the machine is told so."""
    go(olga, "Regions")
    add(olga, Name=f"land-{fresh}")
    add_dock(olga, fresh)
    for place, called, group, label, value in (
        ("region", f"land-{fresh}", "Network_Usage", "Metrics interval", "60"),
        ("site", f"dock-{fresh}", "Network_Usage", "Metrics interval", "20"),
        ("region", f"land-{fresh}", "SystemD", "Log level", "Debug"),
        ("site", f"dock-{fresh}", "SystemD", "Log level", "Error"),
    ):
        go(olga, "Telemetry profiles")
        button_of_list(olga).click()
        choose(olga, "group", group)
        choose(olga, place, called)
        field = olga.get_by_label(label)
        field.fill(value) if label == "Metrics interval" else field.select_option(label=value)
        save(olga, "added")
    move_to_dock(olga, machine, fresh)
    card = olga.get_by_role("region", name="Telemetry")
    expect(card).to_contain_text("every 20 s")
    expect(card).to_contain_text("from debug on")
    expect(card).not_to_contain_text("every 60 s")
    wait_until(lambda: {20, 5} <= {*machine.telemetry().values()}, 30)


# Zero touch, and anew -------------------------------------------------------------------------------------------------


def test_a_machine_is_installed_without_anybody_asking(olga, stack, new):
    """12"""
    go(olga, "Zero touch")
    olga.get_by_label("Install by itself").check()
    olga.get_by_label("Operating system").select_option(label="---------")
    olga.get_by_role("button", name="Save", exact=True).click()
    expect(olga.get_by_text("Which one?")).to_be_visible()
    olga.get_by_label("Operating system").select_option(label=os_named(stack, "Debian 12 demo"))
    save(olga, "changed")
    try:
        go(olga, "Hosts")
        add(olga, Serial_number=new.serial, UUID=new.uuid)
        open_host(olga, new.serial)
        olga.get_by_role("button", name="Onboard").click()
        new.switch_on()
        expect(olga.get_by_role("heading", name="Running")).to_be_visible(timeout=PATIENCE * 1000)
        assert stack.host(new.serial)["instance"]["os"]["name"] == "Debian 12 demo"
        expect(olga.get_by_role("region", name="What happened")).to_contain_text("zero touch")
    finally:
        go(olga, "Zero touch")
        olga.get_by_label("Install by itself").uncheck()
        save(olga, "changed")
    [provider] = stack.api("providers", filter='name="infra_onboarding"')["providers"]
    assert '"autoProvision": false' in provider["config"]


def os_named(stack: Stack, name: str) -> str:
    """As it is written where one is chosen."""
    [found] = stack.api("compute/os", filter=f'name="{name}"')["OperatingSystemResources"]
    return f"{name} ({found['resourceId']})"


def test_a_machine_is_installed_anew(olga, stack, new):
    """16: and keeps its registration, its name and its history."""
    new.register()
    new.switch_on()
    wait_until(lambda: is_installed(new), PATIENCE)
    before = stack.host(new.serial)
    open_host(olga, new.serial)
    more(olga, "Install anew")
    dialog = olga.get_by_role("dialog")
    expect(dialog).to_contain_text("All that is on its disks is gone")
    dialog.get_by_role("button", name="Install anew").click()
    expect(olga.get_by_text("It is installed anew, from the start")).to_be_visible()
    expect(olga.get_by_role("heading", name="Installation, attempt 2")).to_be_visible()
    new.switch_off()
    new.switch_on()
    expect(olga.get_by_role("heading", name=re.compile("Installation, attempt 2 Success"))).to_be_visible(
        timeout=PATIENCE * 1000
    )
    wait_until(lambda: is_installed(new), PATIENCE)
    after = stack.host(new.serial)
    assert {name: after[name] for name in ("resourceId", "uuid", "name")} == {
        name: before[name] for name in ("resourceId", "uuid", "name")
    }
    expect(olga.get_by_role("region", name="What happened")).to_contain_text("Installation 1 has succeeded")
    expect(olga.get_by_role("region", name="What happened")).to_contain_text("Installation 2 has succeeded")


# Updates --------------------------------------------------------------------------------------------------------------


def test_a_host_tells_what_could_be_updated_and_updates_at_once(olga, stack, machine, fresh):
    """25, 27, 28: the words of each step, a policy that names packages, one click, and the history."""
    go(olga, "Update policies")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Name").fill(f"vim-{fresh}")
    choose(olga, "update_policy", "Target")
    olga.get_by_role("textbox", name="Update packages").fill("vim")
    save(olga, "added")
    open_host(olga, machine.serial)
    updates = olga.get_by_role("region", name="Updates")
    with machine.said_by_hand():
        machine.updates(Told.STATUS_TYPE_UP_TO_DATE, available=[
            {"name": "vim", "available_version": "9.1", "architecture": "amd64"},
        ])  # fmt: skip
        expect(updates).to_contain_text("vim 9.1")
    updates.get_by_role("link", name=re.compile("choose|change")).click()
    choose(olga, "os_update_policy", f"vim-{fresh}")
    save(olga, "changed")
    open_host(olga, machine.serial)
    expect(updates).to_contain_text(f"vim-{fresh}")
    olga.get_by_role("button", name="Update now").click()
    olga.get_by_role("dialog").get_by_role("button", name="Update now").click()
    expect(olga.get_by_text("For an hour from now it may update")).to_be_visible()
    expect(updates.get_by_role("row").first).to_contain_text("Update completed", timeout=60_000)
    expect(olga.get_by_role("region", name="Statuses")).to_contain_text("No new updates available", timeout=60_000)
    olga.get_by_role("button", name="End the update window").click()
    expect(olga.get_by_role("button", name="Update now")).to_be_visible()
    instance = stack.host(machine.serial)["instance"]
    runs = stack.api("os-update-runs", filter=f'instance.resourceId="{instance["resourceId"]}"')["osUpdateRuns"]
    assert any(run["appliedPolicy"]["name"] == f"vim-{fresh}" for run in runs)


def test_each_step_of_an_update_and_its_packages_are_told(olga, machine):
    """27"""
    open_host(olga, machine.serial)
    statuses, updates = (olga.get_by_role("region", name=name) for name in ("Statuses", "Updates"))
    with machine.said_by_hand():
        done = {"update_type": "os", "status": "installed"}
        for status, detail, said in (
            (Told.STATUS_TYPE_DOWNLOADING, "", "Downloading artifacts"),
            (Told.STATUS_TYPE_DOWNLOADED, "", "Download complete"),
            (Told.STATUS_TYPE_STARTED, "", "Updating"),
            (Told.STATUS_TYPE_UPDATED, {"update_log": [
                done | {"package_name": "curl", "version": "8.1", "action": "upgrade"},
                done | {"package_name": "jq", "version": "1.7", "action": "install"},
            ]}, "Update completed"),
        ):  # fmt: skip
            machine.updates(status, detail)
            expect(statuses).to_contain_text(said)
        newest = updates.get_by_role("row").first
        expect(newest).to_contain_text("2 package(s) updated/installed")
        newest.get_by_text("2 changes").click()
        expect(newest).to_contain_text("curl 8.1, upgrade: installed")
        machine.updates(Told.STATUS_TYPE_UP_TO_DATE)
        expect(statuses).to_contain_text("No new updates available")


def test_an_update_that_was_taken_back_is_told_with_its_reason(olga, machine):
    """27, 29"""
    open_host(olga, machine.serial)
    with machine.said_by_hand():
        machine.updates(Told.STATUS_TYPE_STARTED)
        machine.updates(Told.STATUS_TYPE_FAILED, {"UpdateLog": [{
            "StatusDetail.Status": "ROLLBACK", "Version": "3.0.2", "FailureReason": "CRITICALSERVICES",
        }]})  # fmt: skip
        newest = olga.get_by_role("region", name="Updates").get_by_role("row").first
        expect(newest).to_contain_text("Update failed: rolled back")
        newest.get_by_text("1 change").click()
        expect(newest).to_contain_text("criticalservices")
        expect(olga.get_by_role("heading", name="Update failed")).to_be_visible()
        go(olga, "Overview")
        expect(olga.locator("#main")).to_contain_text("Update failed")
        machine.updates(Told.STATUS_TYPE_UP_TO_DATE)


# From afar ------------------------------------------------------------------------------------------------------------


def test_amt_is_activated_switches_power_opens_consoles_and_is_deactivated(olga, stack, machine, toolkit):
    """35, 36, 37"""
    machine.has_amt("ISM")
    open_host(olga, machine.serial)
    expect(olga.get_by_role("region", name="Identity")).to_contain_text("ISM")
    machine.has_amt("AMT")
    expect(olga.get_by_role("region", name="Identity")).to_contain_text("AMT")
    expect(olga.locator("#main")).to_contain_text("No provider switches its power")
    remote(olga, "Activate AMT")
    dialog = olga.get_by_role("dialog")
    dialog.get_by_label("Client control").check()
    dialog.get_by_role("button", name="Activate AMT").click()
    expect(olga.get_by_text("Its AMT is activated as soon as its agent asks")).to_be_visible()
    wait_until(lambda: machine.is_to_activate().endswith("_ccm"), 30)
    toolkit.provision(machine.uuid)
    machine.has_activated()
    statuses = olga.get_by_role("region", name="Wished and so")
    expect(statuses).to_contain_text("AMT Activation Done")

    olga.locator("#menu-power summary").click()
    olga.locator("#menu-power").get_by_role("button", name="Off and on again").click()
    olga.get_by_role("dialog").get_by_role("button", name="Off and on again").click()
    expect(statuses).to_contain_text("Power cycle successful")
    assert toolkit.power[machine.uuid] == 2 and 5 in toolkit.actions

    remote(olga, "Open a remote screen (KVM)")
    expect(statuses).to_contain_text("Awaiting consent")
    assert any("userConsentCode" in request for _, request in toolkit.calls)
    remote(olga, "Close the remote screen (KVM)")
    expect(statuses).to_contain_text("KVM session stopped")
    remote(olga, "Open a serial console (SOL)")
    expect(statuses.get_by_role("row").filter(has_text="SOL")).to_contain_text("Awaiting consent")
    remote(olga, "Close the serial console (SOL)")
    expect(statuses).to_contain_text("SOL session stopped")

    remote(olga, "Deactivate AMT")
    olga.get_by_role("dialog").get_by_role("button", name="Deactivate AMT").click()
    expect(statuses).to_contain_text("AMT deactivated")
    host = stack.host(machine.serial)
    assert (host["currentAmtState"], host["amtSku"]) == ("AMT_STATE_UNPROVISIONED", "AMT_SKU_AMT")
    assert machine.uuid not in toolkit.power


def remote(page: Page, verb: str) -> None:
    page.locator("#menu-remote summary").click()
    page.locator("#menu-remote").get_by_role("button", name=verb).click()

"""The stories of the archived system's users that have a screen, each as somebody does it who is new here: by clicking.

Each test makes what it needs under a name of its own, so none depends on another, and all can be walked again on the
same stack. The numbers are those of the stories in the reference (clients-and-providers.md, section 8).
"""

import csv
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD
from tests.browser.walking import add, button_of_list, choose, go, into_demo, more, open_host, register, save, search

pytestmark = pytest.mark.browser


# Locations -----------------------------------------------------------------------------------------------------------


def test_regions_nest_sites_lie_in_them_and_both_are_found_on_one_page(olga, fresh):
    """1, 2, 3"""
    go(olga, "Regions")
    add(olga, Name=f"land-{fresh}", Region_kind="country", Metadata="country=de")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Name").fill(f"town-{fresh}")
    choose(olga, "parent_region", f"land-{fresh}")
    save(olga, "added")
    go(olga, "Sites")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Name").fill(f"dock-{fresh}")
    choose(olga, "region", f"town-{fresh}")
    olga.get_by_label("Latitude").fill("53.54")
    olga.get_by_label("Longitude").fill("9.98")
    save(olga, "added")
    go(olga, "Locations")
    expect(olga.get_by_text(f"land-{fresh}", exact=True)).to_be_visible()
    search(olga, fresh)
    expect(olga.get_by_role("region", name="Sites")).to_contain_text(f"dock-{fresh} in town-{fresh}")
    expect(olga.get_by_role("region", name="Regions")).to_contain_text(f"town-{fresh} in land-{fresh}")


# Hosts ---------------------------------------------------------------------------------------------------------------


def test_hosts_of_a_file_are_previewed_imported_and_the_bad_rows_come_back(olga, fresh, tmp_path):
    """6, 7"""
    go(olga, "Import hosts")
    with olga.expect_download() as download:
        olga.get_by_role("link", name="hosts.csv").first.click()
    template = tmp_path / "hosts.csv"
    download.value.save_as(template)
    header = template.read_text().strip().split(",")
    rows = [{"Serial": f"{fresh}{n}", "OSProfile": "Debian 12 demo", "Metadata": "role=till"} for n in range(3)]
    rows[2]["Site"] = f"nowhere-{fresh}"
    with template.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    olga.locator("input[type=file]").set_input_files(template)
    olga.get_by_role("button", name="Preview").click()
    expect(olga.get_by_text("Preview: nothing is made yet.")).to_be_visible()
    expect(olga.get_by_role("row").filter(has_text=f"{fresh}2")).to_contain_text("Invalid Site")
    with olga.expect_download() as download:
        olga.get_by_role("link", name="Download the rows with problems").click()
    assert f"{fresh}2" in download.value.path().read_text()
    olga.get_by_role("button", name="Import 2 hosts").click()
    expect(olga.get_by_text("Imported: 2 imported, 1 failed")).to_be_visible()
    olga.get_by_role("row").filter(has_text=f"{fresh}0").get_by_role("link").click()
    expect(olga.get_by_text("What happened")).to_be_visible()
    expect(olga.locator("#main")).to_contain_text(f"{fresh}0")


def test_a_host_is_registered_onboarded_renamed_and_deleted(olga, fresh):
    """6, 8, 9, 13, 15"""
    register(olga, f"SN{fresh}")
    expect(olga.locator("#main")).to_contain_text("never heard from")
    olga.get_by_role("button", name="Onboard").click()
    expect(olga.get_by_text("It gets its credentials as soon as its machine calls")).to_be_visible()
    olga.locator("#menu-more summary").click()
    olga.locator("#menu-more").get_by_role("link", name="Edit").click()
    olga.get_by_role("textbox", name="Name", exact=True).fill(f"till-{fresh}")
    save(olga, "changed")
    open_host(olga, f"till-{fresh}")
    more(olga, "Delete")
    olga.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(olga.get_by_role("heading", name="Overview")).to_be_visible()
    search(olga, f"till-{fresh}")
    expect(olga.get_by_text("Nothing in this project has")).to_be_visible()


def test_a_registered_host_is_given_what_it_shall_be_installed_with(olga, fresh):
    """11, 30, 31: a site, an operating system, a key to sign in with, a cloud-init of one's own."""
    go(olga, "Local accounts")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Username").fill(f"u{fresh}")
    olga.get_by_label("SSH key").fill("ssh-rsa AAAAB3Nza")
    olga.get_by_role("button", name="Save", exact=True).click()
    expect(olga.locator("#main")).to_contain_text(re.compile("ssh-ed25519", re.IGNORECASE))
    olga.get_by_label("SSH key").fill(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9nF0DrXcXa5UiFqgSVtUg6lQZ5d7h6uo6LwYDAZq3N olga@example"
    )
    save(olga, "added")
    go(olga, "Custom configs")
    add(olga, Name=f"c{fresh}", Config="#cloud-config\npackages: [htop]\n")
    register(olga, f"SN{fresh}")
    olga.get_by_role("link", name="Install", exact=True).click()
    choose(olga, "os", "Debian 12 demo")
    choose(olga, "local_account", f"u{fresh}")
    olga.get_by_text(f"c{fresh}").click()
    olga.get_by_role("button", name="Install").click()
    expect(olga.locator("#main")).to_contain_text("Debian 12 demo")
    expect(olga.locator("#main")).to_contain_text("Instance state")
    search(olga, f"u{fresh}")


def test_a_running_host_tells_its_statuses_hardware_labels_and_history(olga):
    """8, 17, 18, 22, 33, 36, 45"""
    olga.get_by_role("link", name=re.compile(r"\d+ Running")).click()
    olga.get_by_role("row").filter(has_text="FLEET00001").get_by_role("link").first.click()
    main = olga.locator("#main")
    for said in (
        "Wished and so", "components running", "Trusted attestation", "Simulated Edge Node", "GiB", "10.77.0.1",
        "Installation", "Provisioned", "7 steps", "What happened", "No provider switches its power",
    ):  # fmt: skip
        expect(main).to_contain_text(said)
    olga.get_by_text("7 steps").click()
    expect(main).to_contain_text("Setting up cloud-init")


def test_a_host_that_is_no_longer_trusted_is_deauthorized_with_a_reason(olga, fresh):
    """14"""
    register(olga, f"SN{fresh}")
    expect(olga.locator("#menu-more")).not_to_contain_text("Deauthorize")  # it has no credentials yet
    open_host(olga, "FLEET00006")
    if not olga.get_by_text("Stolen from the dock").count():
        more(olga, "Deauthorize")
        olga.get_by_role("dialog").get_by_label("Why").fill("Stolen from the dock")
        olga.get_by_role("dialog").get_by_role("button", name="Deauthorize").click()
    expect(olga.locator("#main")).to_contain_text("Stolen from the dock")
    go(olga, "Overview")
    olga.get_by_role("link", name=re.compile(r"\d+ Deauthorized")).click()
    expect(olga.get_by_role("row").filter(has_text="FLEET00006")).to_be_visible()


# Operating systems and updates ----------------------------------------------------------------------------------------


def test_operating_systems_are_looked_at_and_a_policy_of_updates_is_made_and_given_to_several(olga, stack, fresh):
    """22, 23, 25, 38"""
    go(olga, "Operating systems")
    olga.get_by_role("row").filter(has_text="Debian 12 demo").get_by_role("link").first.click()
    expect(olga.locator("#main")).to_contain_text(re.compile("SHA256", re.IGNORECASE))
    go(olga, "Update policies")
    button_of_list(olga).click()
    olga.get_by_role("textbox", name="Name").fill(f"policy-{fresh}")
    expect(olga.get_by_label("Update policy*")).to_have_value("UPDATE_POLICY_LATEST")
    save(olga, "added")
    expect(olga.get_by_role("row").filter(has_text=f"policy-{fresh}")).to_be_visible()
    two = [stack.host(serial)["instance"]["resourceId"] for serial in ("FLEET00001", "FLEET00002")]
    go(olga, "Instances")
    for instance in two:
        olga.get_by_role("row").filter(has_text=instance).get_by_role("checkbox").check()
    olga.get_by_label("Select action to run").select_option(label="Update policy: choose one for all of them")
    olga.get_by_role("button", name="Run").click()
    choose(olga, "policy", f"policy-{fresh}")
    olga.get_by_role("button", name="Use it").click()
    expect(olga.get_by_text(f"2 instances have policy-{fresh} now")).to_be_visible()
    for instance in two:
        assert stack.api(f"compute/instances/{instance}")["updatePolicy"]["name"] == f"policy-{fresh}"


def test_maintenance_of_a_host_begins_and_ends_on_its_page_and_is_on_the_calendar(olga):
    """26, 39"""
    open_host(olga, "FLEET00002")
    if olga.get_by_role("button", name="End maintenance").count():
        olga.get_by_role("button", name="End maintenance").click()
    olga.get_by_role("button", name="Maintenance", exact=True).click()
    dialog = olga.get_by_role("dialog")
    dialog.get_by_label("4 hours").check()
    dialog.get_by_role("button", name="Maintenance").click()
    expect(olga.get_by_text("Maintenance has begun")).to_be_visible()
    go(olga, "Calendar")
    expect(olga.locator(".day.today")).to_contain_text(re.compile(r"\d\d:\d\d-\d\d:\d\d"))
    open_host(olga, "FLEET00002")
    olga.get_by_role("button", name="End maintenance").click()
    expect(olga.get_by_text("The maintenance has ended")).to_be_visible()


def test_updates_are_scheduled_on_days_of_the_week_and_overlaps_are_told(olga, fresh):
    """26: weekly, of a site and of the region that it lies in; and one without an end that is ended."""
    go(olga, "Calendar")
    olga.get_by_role("link", name="New schedule", exact=True).click()
    olga.get_by_label("Name").fill(f"patches-{fresh}")
    olga.get_by_label("What for").select_option(label="Update of the operating system")
    olga.get_by_label("Of which host, site or region").fill("Berlin Mitte")
    olga.get_by_label("Time zone").fill("UTC")
    olga.get_by_label("On days of the week").check()
    olga.get_by_label("Sunday").check()
    olga.get_by_role("button", name="Make it").click()
    expect(olga.get_by_role("heading", name=re.compile(f"patches-{fresh}", re.IGNORECASE))).to_be_visible()
    expect(olga.locator("#main")).to_contain_text("Sunday")
    go(olga, "Calendar")
    olga.get_by_role("link", name="The month after").click()
    sunday = olga.get_by_role("region", name=re.compile("^Sunday")).nth(1)
    sunday.get_by_role("link", name=re.compile("New schedule on")).click()
    olga.get_by_label("Name").fill(f"power-{fresh}")
    olga.get_by_label("Of which host, site or region").fill("Berlin")
    olga.get_by_label("Time zone").fill("UTC")
    olga.get_by_label("Until it is ended by hand").check()
    olga.get_by_role("button", name="Make it").click()
    expect(olga.locator("#main")).to_contain_text("until it is ended")
    olga.get_by_role("link", name="Calendar", exact=True).last.click()
    olga.get_by_role("link", name="The month after").click()
    expect(olga.get_by_role("region", name="At the same time, for the same machines")).to_contain_text(
        f"patches-{fresh}"
    )
    olga.get_by_role("link", name="Week", exact=True).click()
    expect(olga.get_by_role("heading", name=re.compile("Week of"))).to_be_visible()
    for name in ("power", "patches"):
        search(olga, f"{name}-{fresh}")
        olga.get_by_role("region", name="schedules").get_by_role("link").first.click()
        olga.get_by_role("button", name="End and delete it").click()
        expect(olga.get_by_role("heading", name="Calendar")).to_be_visible()


# Finding, seeing, and who may -----------------------------------------------------------------------------------------


def test_everything_is_found_from_the_keyboard(olga):
    """3, 7: by serial number, MAC and IP address."""
    for words in ("FLEET00003", "02:ed:9e:00:00:03", "10.77.0.3"):
        open_host(olga, words)
        expect(olga.locator("#main")).to_contain_text("FLEET00003")


def test_whoever_may_only_read_is_offered_nothing_else(visitor, people):
    """34"""
    rita = into_demo(visitor().signed_in("rita", PASSWORD))
    open_host(rita, "FLEET00004")
    expect(rita.locator("#main").get_by_role("button", name="Maintenance")).to_have_count(0)
    expect(rita.locator("#menu-more")).to_have_count(0)
    go(rita, "Import hosts")
    expect(rita.get_by_role("button", name="Preview")).to_have_count(0)
    go(rita, "Calendar")
    expect(rita.get_by_role("link", name="New schedule")).to_have_count(0)
    go(rita, "Hosts")
    expect(button_of_list(rita)).to_have_count(0)


def test_an_administrator_makes_a_project_and_lets_somebody_into_it_alone(admin, visitor, fresh):
    """34, 40: and an empty project says what to do next."""
    admin.get_by_role("link", name="Administration").click()
    go(admin, "Projects")
    button_of_list(admin).click()
    admin.get_by_role("textbox", name="Name").fill(f"p{fresh}")
    choose(admin, "organization", "demo")
    save(admin, "added")
    go(admin, "People")
    button_of_list(admin).click()
    admin.get_by_role("textbox", name="Username").fill(f"bob{fresh}")
    for field in admin.locator("input[type=password]").all():
        field.fill(PASSWORD)
    save(admin, "added")
    admin.get_by_role("link", name=re.compile("Add another Grant", re.IGNORECASE)).click()
    admin.locator("select[name$='0-role']").select_option("im-rw")
    choose(admin, "grants-0-project", f"p{fresh}")
    save(admin, "changed")
    bob = visitor().signed_in(f"bob{fresh}", PASSWORD)
    expect(bob.get_by_role("link", name=f"p{fresh}", exact=True)).to_be_visible()
    expect(bob.get_by_role("link", name="demo", exact=True)).to_have_count(0)
    bob.get_by_role("link", name=f"p{fresh}", exact=True).click()
    expect(bob.get_by_text("No host yet")).to_be_visible()
    bob.get_by_role("link", name="Import many from a file").click()
    expect(bob.get_by_role("button", name="Preview")).to_be_visible()
    go(bob, "Locations")
    expect(bob.get_by_text("No place yet")).to_be_visible()


def test_an_administrator_sees_all_projects_and_what_is_stuck_in_them(admin, stack, fresh):
    """34, 40, 45: across projects, with a way into each."""
    stack.manage("create_project", f"q{fresh}", "--org", "demo")
    admin.get_by_role("link", name="Administration").click()
    expect(admin.get_by_role("heading", name="Overview")).to_be_visible()
    projects = admin.get_by_role("region", name="Projects")
    row = projects.get_by_role("row").filter(has=admin.get_by_role("link", name="demo", exact=True))
    registered = stack.api("compute/hosts", pageSize="1")["totalElements"]
    expect(row.get_by_role("cell").nth(1)).to_have_text(str(registered))
    expect(admin.get_by_role("link", name=re.compile(r"\d+ Outstanding"))).to_be_visible()
    go(admin, "Projects")
    expect(admin.get_by_role("row").filter(has_text=f"q{fresh}")).to_contain_text("complete")
    admin.get_by_role("row").filter(has_text=f"q{fresh}").get_by_role("link", name="its console").click()
    expect(admin.get_by_text("No host yet")).to_be_visible()
    go(admin, "Update runs")
    expect(admin.get_by_text("There are no OS update runs yet")).to_be_visible()
    admin.goto("/admin/")
    projects.get_by_role("link", name="demo", exact=True).click()
    expect(admin.get_by_role("link", name=re.compile(rf"{registered} Hosts"))).to_be_visible()

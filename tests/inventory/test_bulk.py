"""Bulk import and its preflight: what a file may say, what becomes of each row, what is written and how it exits."""

import csv
import os
import resource
import zipfile
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from pathlib import Path
from uuid import uuid4

import openpyxl
import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import connection
from django_tenants.utils import schema_context

from inventory.bulk.sheet import ERROR, LONG, SHORT
from inventory.models import (
    CustomConfig,
    Customization,
    Host,
    HostState,
    Instance,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    Region,
    SecurityFeature,
    Site,
)
from tenants.models import Claim, Event, Ring

pytestmark = pytest.mark.django_db

IMAGE = {"sha256": "0" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}

HEADER = ",".join(SHORT)
SECURE_OS = SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Error files go where the command was started."""
    monkeypatch.chdir(tmp_path)
    for variable in ("PROJECT", "OSPROFILE", "SITE", "SECURE", "REMOTEUSER", "METADATA"):
        monkeypatch.delenv(f"EDGEORCH_{variable}", raising=False)
    return tmp_path


@pytest.fixture
def catalog(acme):
    region = Region(name="Europe")
    region.save()
    for name in ("Berlin", "Munich"):
        Site(name=name, region=region).save()
    OperatingSystem(name="Debian 12", profile_name="debian-12", **IMAGE).save()
    OperatingSystem(name="Locked", profile_name="locked", **IMAGE, security_feature=SECURE_OS).save()
    LocalAccount(username="operator", ssh_key="ssh-ed25519 AAAA").save()
    for name in ("ntp", "ntp-extra"):
        CustomConfig(name=name, config="#cloud-config\n").save()
    return acme


def write(*lines: str, header: str = HEADER, end: str = "\n", encoding: str = "utf-8") -> Path:
    path = Path("hosts.csv")
    path.write_bytes(end.join([header, *lines, ""]).encode(encoding))
    return path


def row(serial="SN00001", uuid="", os="debian-12", site="Berlin", secure="", user="", metadata="") -> str:
    return ",".join([serial, uuid, os, site, secure, user, metadata, ""])


def bulk_import(*lines: str, file: Path | None = None, **options) -> str:
    """What the command prints; raises CommandError, which is exit code 1, if it failed."""
    return said_by("bulk_import", str(file or write(*lines)), project="acme", **options)


def said_by(command: str, *arguments: str, **options) -> str:
    said = options.setdefault("stdout", StringIO())
    call_command(command, *arguments, **options)
    return said.getvalue()


def refused(*lines: str, **options) -> list[dict[str, str]]:
    """The rows of the error file of an import that fails."""
    with pytest.raises(CommandError, match="Failed to import all hosts"):
        bulk_import(*lines, **options)
    return error_file("import")


def error_file(kind: str, name: str = "hosts.csv") -> list[dict[str, str]]:
    (path,) = Path().glob(f"{kind}_error_*_{name}")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    path.unlink()
    return rows


def reasons(*lines: str, **options) -> str:
    """The error cell of the one row that fails."""
    (failed,) = refused(*lines, **options)
    return failed[ERROR]


def test_a_good_row_becomes_a_host_with_site_metadata_and_the_wish_that_its_instance_runs(catalog):
    uuid = uuid4()
    said = bulk_import(row(uuid=str(uuid).upper(), metadata="city=berlin&rack=r1"), onboard=True)
    host = Host.objects.get()
    assert (host.uuid, host.serial_number, host.desired_state) == (uuid, "SN00001", HostState.ONBOARDED)
    assert host.site.name == "Berlin" and host.name == host.resource_id
    assert host.metadata == [{"key": "city", "value": "berlin"}, {"key": "rack", "value": "r1"}]
    assert host.instance.os.profile_name == "debian-12" and host.instance.desired_state == InstanceState.RUNNING
    assert host.instance.security_feature == SecurityFeature.NONE
    assert said.startswith("CSV import successful; 1 rows: 1 imported")


def test_without_onboard_a_host_is_only_registered(catalog):
    bulk_import(row())
    assert Host.objects.get().desired_state == HostState.REGISTERED


def test_the_journal_tells_who_imported_and_every_host_and_instance_is_rung_for(catalog):
    bulk_import(row(), row("SN00002"))
    events = Event.objects.filter(schema=connection.schema_name, who="bulk_import", verb="created")
    assert sorted(events.values_list("kind", flat=True)) == ["host", "host", "instance", "instance"]
    rung = {(label, pk) for label, pk in Ring.objects.values_list("label", "pk_rung")}
    assert rung >= {("inventory.Host", host.pk) for host in Host.objects.all()}
    assert rung >= {("inventory.Instance", instance.pk) for instance in Instance.objects.all()}
    assert Claim.objects.filter(serial__in=["SN00001", "SN00002"]).count() == 2


def test_good_rows_are_imported_and_bad_ones_are_in_the_error_file_with_the_same_columns(catalog, capsys):
    failed = refused(row(), row("SN00002", site="Nowhere"), row("SN00003"))
    assert [*failed[0]] == [*SHORT] and [bad["Serial"] for bad in failed] == ["SN00002"]
    assert failed[0][ERROR] == "Invalid Site: there is none with the name or id 'Nowhere';"
    assert Host.objects.count() == 2
    assert "row 2: Invalid Site" in capsys.readouterr().err


def test_an_error_file_can_be_imported_once_its_errors_are_repaired_and_cleared(catalog):
    refused(row("SN00002", site="Nowhere"))
    Site(name="Nowhere").save()
    bulk_import(row("SN00002", site="Nowhere"))
    assert Host.objects.get().site.name == "Nowhere"


def test_all_problems_of_a_row_are_told_at_once(catalog):
    told = reasons(row("no!", "42", os="", site="Nowhere", secure="maybe", user="me", metadata="City=X"))
    assert told.split(";") == [
        "Invalid Serial number: it has 5 to 20 letters and digits",
        "Invalid UUID: it is 8-4-4-4-12 hexadecimal digits",
        "OS Profile is required",
        "Invalid Secure: it is true or false",
        "Invalid Metadata: metadata key 'City': lower-case letters, digits and - _ . only",
        "Invalid Site: there is none with the name or id 'Nowhere'",
        "Invalid Local Account: there is none with the name or id 'me'",
        "",
    ]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("LVMSize", "ten", "Invalid LVM Size"),
        ("LVMSize", "99999999999", "Invalid LVM Size"),
        ("CloudInitMeta", "ntp&nginx", "Invalid Cloud Init Meta: there is none with the name or id 'nginx'"),
        ("RemoteUser", "root", "Invalid Local Account: there is none with the name or id 'root'"),
        ("K8sEnable", "yes", "Invalid K8sEnable: it is true or false"),
        ("Metadata", "city", "Invalid Metadata: it is key=value"),
        ("Metadata", "a=b=c", "Invalid Metadata: it is key=value"),
        ("Metadata", "a=b&a=c", "Invalid Metadata: metadata key 'a' is there twice"),
        ("Serial", "", "One of Serial number or UUID required"),
        ("OSProfile", "none", "Invalid OS profile: there is none with the name or id 'none'"),
    ],
)
def test_what_a_cell_may_not_say_is_told(catalog, column, value, said):
    cells = {"Serial": "SN00001", "OSProfile": "debian-12", column: value}
    file = write(",".join(cells.get(name, "") for name in LONG), header=",".join(LONG))
    assert reasons(file=file).startswith(said)
    assert not Host.objects.exists()


def test_a_cluster_is_refused_with_the_way_out_and_one_that_is_not_wanted_is_ignored(catalog):
    header = "Serial,OSProfile,K8sEnable,K8sClusterTemplate,K8sConfig"
    file = write("SN00001,debian-12,true,base,role:boss", "SN00002,debian-12,false,base,role:boss", header=header)
    told = reasons(file=file)
    assert "Invalid K8s Cluster Template: it is name:vX.Y.Z;Invalid K8s Cluster Config: it is role:all" in told
    good = write("SN00001,debian-12,true,base:v2.0.1,role:all;name:one;labels:a=b&c=d", header=header)
    assert "Invalid K8s Enable: clusters are made by cluster orchestration" in reasons(file=good)
    bulk_import(file=good, K8sEnable="false")
    assert Host.objects.count() == 2


def test_the_long_header_sets_the_lvm_size_and_columns_may_be_in_any_order(catalog):
    file = write("20,debian-12,SN00001,false", header="LVMSize,osprofile,Serial,K8sEnable")
    bulk_import(file=file)
    assert Host.objects.get().user_lvm_size == 20


@pytest.mark.parametrize("rows", [1, 3])
def test_a_row_may_name_a_local_account_and_custom_configs_by_name_or_id(catalog, rows):
    """A single row goes by ask(), several go at once."""
    config = CustomConfig.objects.get(name="ntp-extra")
    lines = [f"SN0000{number},debian-12,operator,ntp & {config} & ntp" for number in range(rows)]
    file = write(*lines, header="Serial,OSProfile,RemoteUser,CloudInitMeta")
    bulk_import(file=file)
    for instance in Instance.objects.all():
        assert instance.local_account.username == "operator"
        assert sorted(one.name for one in instance.custom_config.all()) == ["ntp", "ntp-extra"]
    assert Instance.objects.count() == rows and f"{rows} already registered" in bulk_import(file=file)


def test_cells_are_trimmed_short_rows_are_padded_and_blank_lines_skipped(catalog):
    bulk_import(" SN00001 ,,debian-12", "", "SN00002, , debian-12 ,Berlin,,,,,,,")
    assert Host.objects.count() == 2


def test_a_comma_that_needed_quotes_spoils_only_its_row(catalog):
    failed = refused("SN00001,,debian-12,Berlin, Mitte,,,,", row("SN00002"), row("SN00003") + ",x")
    assert [bad["Serial"] for bad in failed] == ["SN00001", "SN00003"]
    assert "More cells than columns: a cell that holds a comma needs quotes" in failed[1][ERROR]


def test_line_ends_may_be_mixed(catalog):
    file = Path("hosts.csv")
    file.write_bytes(f"{HEADER}\r\n{row()}\n{row('SN00002')}\r{row('SN00003')}".encode())
    bulk_import(file=file)
    assert Host.objects.count() == 3


@pytest.mark.parametrize(("end", "encoding"), [("\r\n", "utf-8"), ("\r", "utf-8"), ("\n", "utf-8-sig")])
def test_line_ends_and_a_byte_order_mark_do_not_matter(catalog, end, encoding):
    bulk_import(file=write(row(), row("SN00002"), end=end, encoding=encoding))
    assert Host.objects.count() == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the first line must be a header"),
        (b"SN00001,,debian-12\n", "there is no column 'SN00001'"),
        (b"Serial,Serial\nSN00001\n", "column Serial is there twice"),
        (b"OSProfile,Site\n", "with Serial or UUID"),
        (b"Serial,Site\nSN00001,M\xfcnchen\n", "File read/write error: hosts.csv is not UTF-8"),
        ("Serial,UUID\n".encode("utf-16"), "hosts.csv is UTF-16"),
        (b"PK\x03\x04....", "hosts.csv can't be read as an Excel workbook: File is not a zip file"),
        (b"\xd0\xcf\x11\xe0....", "hosts.csv is an encrypted or very old Excel workbook"),
        (b'Serial,Site\nSN00001,"Ber"lin\n', "File read/write error: hosts.csv, line 2: "),
        (b'Serial,Site\nSN00001,"Berlin\n', "File read/write error: hosts.csv, line 2: unexpected end of data"),
        (b"Serial,Site\nSN00001,Ber\0lin\n", "a cell holds a NUL byte"),
        (b"Serial,Site\nSN00001," + b"x" * 10_000_000, "field larger than field limit"),
        (b"Serial,Error - do not fill\nSN00001,\nSN00002,wrong\n", "Error not empty: row 2 of hosts.csv"),
    ],
)
@pytest.mark.parametrize("command", ["import", "check"])
def test_a_file_that_cannot_be_used_is_refused_in_one_line_before_anything_is_made(catalog, command, content, said):
    path = Path("hosts.csv")
    path.write_bytes(content)
    with pytest.raises(CommandError) as refusal:
        bulk_import(file=path, OSProfile="debian-12") if command == "import" else check(path)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    assert not Host.objects.exists() and not [*Path().glob("*_error_*")]


def excel(*rows: tuple, path: Path = Path("hosts.xlsx")) -> Path:
    """The rows under the header, in a workbook."""
    workbook = openpyxl.Workbook()
    for cells in (SHORT, *rows):
        workbook.active.append(cells)
    workbook.save(path)
    return path


def test_a_workbook_is_read_as_its_cells_look(catalog):
    file = excel((1234567, None, "debian-12", "Berlin", False, None, "floor=3"), (), ("SN00002", "", "debian-12"))
    bulk_import(file=file)
    one, two = Host.objects.order_by("serial_number")
    assert (one.serial_number, one.site.name) == ("1234567", "Berlin")
    assert one.metadata == [{"key": "floor", "value": "3"}] and two.serial_number == "SN00002"


def test_cells_that_may_not_be_what_they_look_like_are_told_and_the_other_rows_are_imported(catalog):
    file = excel(
        ("=A3", "", "debian-12"), (12345678901234567890, "", "debian-12"), ("SN00003", "", datetime(2026, 11, 24)),
        ("SN00004", "", "debian-12"),
    )  # fmt: skip
    with pytest.raises(CommandError, match="Failed to import all hosts"):
        bulk_import(file=file)
    told = [bad[ERROR] for bad in error_file("import", "hosts.xlsx.csv")]
    assert "Cell A2 holds a formula: paste its value instead" in told[0]
    assert "Cell A3 is a number that Excel rounds" in told[1] and "Cell C4 is a date" in told[2]
    assert Host.objects.get().serial_number == "SN00004"


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("xl/worksheets/sheet1.xml", "<worksheet>", "can't be read as an Excel workbook"),
        ("xl/worksheets/sheet1.xml", "A" * 301_000_000, "it has more than 300 MB when it is unpacked"),
        ("xl/worksheets/sheet1.xml", '<!DOCTYPE x [<!ENTITY a "b">]><worksheet>&a;</worksheet>', "can't be read as an"),
        ("xl/worksheets/sheet1.xml", '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
         '<sheetData><row r="999999999"><c r="A999999999"/></row></sheetData></worksheet>', "more than 1048576 rows"),
        ("xl/workbook.xml", "", "can't be read as an Excel workbook"),
    ],
    ids=["cut off", "bomb", "entities", "endless", "empty part"],
)  # fmt: skip
def test_a_workbook_that_is_not_one_is_refused_in_one_line(catalog, part, content, said):
    file = excel(("SN00001",))
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as broken:
        for name, old in parts.items():
            broken.writestr(name, content if name == part else old)
    with pytest.raises(CommandError) as refusal:
        bulk_import(file=file, OSProfile="debian-12")
    assert said in str(refusal.value) and "\n" not in str(refusal.value) and not Host.objects.exists()


@pytest.mark.parametrize(("path", "said"), [(".", "is not a file"), ("nowhere.csv", "No such file or directory")])
def test_what_is_no_file_is_refused(catalog, path, said):
    with pytest.raises(CommandError, match=said):
        bulk_import(file=Path(path))


def test_rows_that_name_the_same_machine_are_told_the_row_that_named_it_first(catalog):
    uuid = str(uuid4())
    failed = refused(row("SN0000A"), row("sn0000a"), row("SN0000B", uuid), row("SN0000C", uuid.upper()))
    assert [bad[ERROR] for bad in failed] == ["Duplicate Serial number : Row 1;", "Duplicate UUID : Row 3;"]
    assert Host.objects.count() == 2


def test_names_are_matched_exactly_by_profile_then_by_name_then_by_id(catalog):
    debian = OperatingSystem.objects.get(profile_name="debian-12")
    OperatingSystem(name="debian-12", profile_name="other", **IMAGE).save()
    OperatingSystem(name="debian-12-extended", profile_name="debian-12-extended", **IMAGE).save()
    berlin = Site.objects.get(name="Berlin")
    bulk_import(row(), row("SN00002", os="Debian 12", site=str(berlin)), row("SN00003", os=str(debian)))
    assert {*Host.objects.values_list("instance__os", "site")} == {(debian.resource_id, berlin.resource_id)}
    assert "Invalid OS profile" in reasons(row("SN00004", os="debian"))


def test_a_name_that_two_sites_have_needs_the_id(catalog):
    other = Site(name="Berlin")
    other.save()
    told = reasons(row())
    assert "2 are called 'Berlin'" in told and str(other) in told and told.endswith("so give the id;")
    bulk_import(row(site=str(other)))


def test_secure_needs_an_operating_system_that_boots_securely(catalog):
    assert reasons(row(secure="true")).startswith("OS Profile and Security feature mismatch")
    bulk_import(row(secure="TRUE", os="locked"))
    assert Instance.objects.get().security_feature == SECURE_OS


def test_importing_again_changes_nothing_and_is_no_error(catalog):
    lines = row(uuid=str(uuid4()), metadata="b=2&a=1"), row("SN00002")
    bulk_import(*lines)
    events = Event.objects.count()
    assert "2 already registered" in bulk_import(*lines)
    assert Event.objects.count() == events and Host.objects.count() == 2


def test_what_differs_from_a_registered_host_is_told_and_left(catalog):
    uuid = str(uuid4())
    bulk_import(row(uuid=uuid, metadata="a=1"))
    host = Host.objects.get()
    told = reasons(row("SN00009", uuid, os="locked", site="Munich", secure="true", metadata="a=2"))
    assert told.startswith(f"Host already registered with mismatching details: {host}: ")
    for difference in (
        "its metadata is a=1",
        f"its operating system is {host.instance.os_id}",
        "its security feature is SECURITY_FEATURE_NONE",
        "its serial number is SN00001",
        f"its site is {host.site_id}",
    ):
        assert difference in told
    host.refresh_from_db()
    assert host.site.name == "Berlin" and host.metadata == [{"key": "a", "value": "1"}]


def test_a_host_that_was_given_more_metadata_since_is_as_its_row_says(catalog):
    bulk_import(row(metadata="a=1"))
    host = Host.objects.get()
    host.metadata = [{"key": "b", "value": "2"}, *host.metadata]
    host.save()
    assert "1 already registered" in bulk_import(row(metadata="a=1"))


def test_a_host_that_is_going_is_not_taken_for_registered(catalog):
    bulk_import(row())
    Host.objects.get().ask(state=HostState.DELETED)
    assert "it shall become HOST_STATE_DELETED" in reasons(row())


def test_a_host_registered_before_without_instance_site_or_metadata_gets_them(catalog):
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    assert "1 completed" in bulk_import(row(metadata="a=1"), onboard=True)
    host = Host.objects.get()
    assert host.site.name == "Berlin" and host.metadata == [{"key": "a", "value": "1"}]
    assert host.desired_state == HostState.ONBOARDED and host.instance.desired_state == InstanceState.RUNNING


def test_a_row_with_a_serial_number_alone_finds_its_host_when_the_machine_has_told_its_uuid(catalog):
    bulk_import(row())
    host = Host.objects.get()
    host.observe(uuid=uuid4())
    assert "1 already registered" in bulk_import(row())


def test_a_serial_number_that_several_hosts_have_needs_the_uuid(catalog):
    for _ in range(2):
        Host(serial_number="SN00001", uuid=uuid4()).ask(state=HostState.REGISTERED)
    assert "2 hosts have serial number SN00001, so give the UUID" in reasons(row())


def test_a_serial_number_registered_without_uuid_is_not_registered_again_with_one(catalog):
    bulk_import(row())
    assert f"{Host.objects.get()} has serial number SN00001 and no UUID yet" in reasons(row(uuid=str(uuid4())))


def test_another_tenants_machine_is_refused_and_nothing_of_it_is_shown(catalog, beta):
    uuid = uuid4()
    with schema_context(beta.schema_name):
        Host(uuid=uuid, serial_number="THEIRS1").ask(state=HostState.REGISTERED)
    failed = refused(row("SN00001", str(uuid)), row("SN00002"))
    assert [bad[ERROR] for bad in failed] == [
        f"Failed to register host: A host with UUID {uuid} is already registered;"
    ]
    assert Host.objects.get().serial_number == "SN00002"


def test_a_dry_run_says_what_would_become_of_each_row_and_changes_nothing(catalog, beta, capsys):
    bulk_import(row())
    uuid = uuid4()
    with schema_context(beta.schema_name):
        Host(uuid=uuid).ask(state=HostState.REGISTERED)
    events, rings = Event.objects.count(), Ring.objects.count()
    with pytest.raises(CommandError, match=r"1 imported, 1 already registered, 1 failed.*nothing was changed"):
        bulk_import(row(), row("SN00002"), row("SN00003", str(uuid)), dry_run=True, stdout=(said := StringIO()))
    known = Host.objects.get()
    assert said.getvalue() == f"row 1: SN00001 - already registered {known}\nrow 2: SN00002 - imported\n"
    assert f"row 3: Failed to register host: A host with UUID {uuid} is already" in capsys.readouterr().err
    assert (Host.objects.count(), Event.objects.count(), Ring.objects.count()) == (1, events, rings)


def test_an_override_stands_in_every_row_and_beats_the_environment(catalog, monkeypatch):
    monkeypatch.setenv("EDGEORCH_SITE", "Nowhere")
    monkeypatch.setenv("EDGEORCH_METADATA", "a=1")
    monkeypatch.setenv("EDGEORCH_PROJECT", "acme")
    file = write(row(site="", os=""), row("SN00002", site="Berlin", os="none"))
    said_by("bulk_import", str(file), "--site", "Munich", "--os-profile", "debian-12")
    assert {*Host.objects.values_list("site__name", "instance__os__profile_name")} == {("Munich", "debian-12")}
    assert [host.metadata for host in Host.objects.all()] == [[{"key": "a", "value": "1"}]] * 2


@pytest.mark.parametrize(("project", "said"), [(None, "Which project"), ("nobody", "There is no project 'nobody'")])
def test_a_project_that_is_not_there_is_said(public, project, said):
    with pytest.raises(CommandError, match=said):
        call_command("bulk_import", write(row()), project=project)


def test_what_spreadsheets_would_run_is_disarmed_in_error_files_and_read_back_as_it_was(catalog):
    (failed,) = refused(row(site="=cmd()", os="-debian"))
    assert failed["Site"] == "'=cmd()" and failed["OSProfile"] == "'-debian"
    OperatingSystem(name="-debian", **IMAGE).save()
    bulk_import(row(os=failed["OSProfile"]))
    assert Host.objects.get().instance.os.name == "-debian"


def test_an_error_file_that_cannot_be_written_is_said_with_what_was_done(catalog, folder):
    """As root every folder can be written to, so the name is too long for it."""
    path = Path("x" * 230 + ".csv")
    write(row(), row("SN00002", site="Nowhere"), row("SN00003")).rename(path)
    with pytest.raises(CommandError, match=r"File creation error: .*: File name too long; 1 rows were imported before"):
        bulk_import(file=path)


@contextmanager
def as_nobody():
    """Root may read everything."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def room_for(size: int):
    """As on a disk that is full, files can't grow beyond these bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_that_may_not_be_read_and_a_folder_that_may_not_be_written_are_said(catalog, folder):
    file = write(row(site="Nowhere"))
    folder.parent.parent.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    with as_nobody(), pytest.raises(CommandError, match=r"File creation error: import_error_.*: Permission denied"):
        bulk_import(file=file)
    file.chmod(0o600)
    with as_nobody(), pytest.raises(CommandError, match=r"File read/write error: hosts.csv: Permission denied"):
        bulk_import(file=file)


def test_no_room_for_the_error_file_is_said_with_what_was_done(catalog):
    file = write(row(), row("SN00002", site="x" * 50_000))
    with room_for(20_000), pytest.raises(CommandError, match=r"File creation error: .*: File too large; 1 rows were"):
        bulk_import(file=file)
    assert Host.objects.get().serial_number == "SN00001"


def left_behind(host: Host) -> list:
    """All that the making of a host and its instance wrote, but for what differs by nature: ids, times, the machine."""
    instance = host.instance
    name = {host.resource_id: "the host", host.pk: "pk", instance.resource_id: "the instance"}
    own = {"id", "resource_id", "created_at", "updated_at", "uuid", "serial_number", "host_id"}
    written = [
        {column: value for column, value in vars(kept).items() if column not in own and not column.startswith("_")}
        for kept in (Host.objects.get(pk=host.pk), Instance.objects.get(pk=instance.pk))
    ]
    written[0]["name"] = name[written[0]["name"]]
    ids = [host.resource_id, instance.resource_id]
    for events in (Event.objects.filter(resource_id=resource_id) for resource_id in ids):
        written += events.order_by("id").values_list("schema", "kind", "verb", "who")
    for made in (host, instance):
        rings = Ring.objects.filter(label=made._meta.label, pk_rung=made.pk)
        written += rings.order_by("id").values_list("schema", "label", "asked")
    claim = Claim.objects.get(resource_id=host.resource_id)
    return [*written, claim.schema, claim.uuid == host.uuid, claim.serial == host.serial_number]


def test_a_batch_leaves_exactly_what_one_wish_after_the_other_leaves(catalog):
    lines = [row(f"SN{number:05}", str(uuid4()), metadata="a=1") for number in range(3)]
    bulk_import(lines[0], onboard=True)  # a single row goes by ask()
    bulk_import(*lines[1:], onboard=True)
    alone, *together = Host.objects.order_by("serial_number")
    assert [left_behind(host) for host in together] == [left_behind(alone)] * 2


def test_a_row_that_the_database_refuses_leaves_the_rest_of_its_batch_whole(catalog, beta):
    taken = {number: uuid4() for number in (0, 7, 8, 19)}
    with schema_context(beta.schema_name):
        for uuid in taken.values():
            Host(uuid=uuid).ask(state=HostState.REGISTERED)
    failed = refused(*(row(f"SN{number:05}", str(taken.get(number, uuid4()))) for number in range(20)))
    assert [bad["UUID"] for bad in failed] == [str(uuid) for uuid in taken.values()]
    assert Host.objects.filter(instance__desired_state=InstanceState.RUNNING).count() == 16
    assert Claim.objects.filter(resource_id__in=Host.objects.values("resource_id")).count() == 16


def test_rows_are_looked_up_together(catalog, django_assert_max_num_queries):
    """Of 200 rows none costs a query of its own, neither when they are made nor when they are there."""
    lines = [row(f"SN{number:05}") for number in range(200)]
    for most in (35, 12):
        with django_assert_max_num_queries(most):
            bulk_import(*lines)


def check(path: Path) -> str:
    return said_by("bulk_check", "check", str(path))


def test_the_check_passes_a_good_file(public):
    assert check(write(row(), row("SN00002"))).startswith("CSV validation successful")


def test_the_check_writes_all_rows_with_their_problems(public):
    with pytest.raises(CommandError, match="Pre-flight check failed: 1 of 2 rows, see preflight_error_"):
        check(write(row(), row("SN00001", "42")))
    rows = error_file("preflight")
    assert [told[ERROR] for told in rows] == [
        "",
        "Duplicate Serial number : Row 1;Invalid UUID: it is 8-4-4-4-12 hexadecimal digits;",
    ]


@pytest.mark.parametrize("arguments", [["bulk_check"], ["bulk_check", "paint"], ["bulk_import", "--colour", "red"]])
def test_a_wrong_command_line_exits_with_one(public, arguments):
    with pytest.raises(SystemExit) as left:
        execute_from_command_line(["manage.py", *arguments])
    assert left.value.code == 1


def test_a_template_is_made_with_its_folders_and_one_that_is_there_is_kept(public):
    path = Path("new/folder/hosts.csv")
    said_by("bulk_check", "generate", str(path))
    assert path.read_text() == HEADER + "\n"
    said_by("bulk_check", "generate", "--long", str(path))
    assert path.read_text() == HEADER + "\n"


def test_exporting_and_importing_again_changes_nothing(catalog):
    Site(name="Berlin").save()
    Site(name="-5 Street").save()
    berlin = Site.objects.filter(name="Berlin").first()
    uuid = str(uuid4())
    bulk_import(
        row(uuid=uuid, site=str(berlin), metadata="a=1&b="),
        row("SN00002", site="-5 Street", os="locked", secure="true", user="operator"),
        row("SN00003", os="Debian 12", site=""),
    )
    Host.objects.get(uuid=uuid).observe(serial_number="not a serial number, says the BIOS")
    Host(serial_number="SN00009").ask(state=HostState.REGISTERED)
    for config in CustomConfig.objects.all():
        Customization.objects.create(instance=Instance.objects.get(host__uuid=uuid), custom_config=config)
    said = said_by("bulk_export", "out.csv", project="acme")
    assert said == "3 hosts are in out.csv; 1 hosts without an instance, or on their way out, were left out\n"
    written = Event.objects.count()
    assert "3 already registered" in bulk_import(file=Path("out.csv"))
    assert Event.objects.count() == written
    cells = {line["Serial"]: line for line in csv.DictReader(Path("out.csv").read_text().splitlines())}
    assert cells[""]["UUID"] == uuid and cells[""]["Site"] == str(berlin) and cells[""]["Metadata"] == "a=1&b="
    assert {*cells[""]["CloudInitMeta"].split("&")} == {"ntp", "ntp-extra"}
    assert cells["SN00002"]["Site"] == "'-5 Street" and cells["SN00002"]["Secure"] == "true"
    assert cells["SN00002"]["RemoteUser"] == "operator" and cells["SN00003"]["RemoteUser"] == ""
    assert cells["SN00003"]["OSProfile"] == "debian-12"


def test_an_export_never_overwrites_a_file(catalog):
    bulk_import(row())
    Path("out.csv").write_text("mine")
    with pytest.raises(CommandError, match=r"File creation error: out.csv: File exists"):
        said_by("bulk_export", "out.csv", project="acme")
    assert Path("out.csv").read_text() == "mine"

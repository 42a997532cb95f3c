"""Importing hosts on pages: a file is tried first, then imported in earnest, and what fails comes back as a file."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from openpyxl import load_workbook

from inventory.bulk.sheet import LONG, SHORT
from inventory.models import Host, HostState, OperatingSystem, Site
from tenants import roles
from tenants.models import BulkImport, Event, Role, User
from tests.conftest import settle

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def catalog(acme):
    image = {"sha256": "0" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    OperatingSystem(name="Debian", profile_name="debian-12", **image).save()
    Site(name="Berlin").save()


def person(acme, role: Role) -> Client:
    user = User.objects.create_user(f"person-{role}")
    roles.grant(role, user, acme)
    client = Client(enforce_csrf_checks=False)
    client.force_login(user)
    return client


@pytest.fixture
def writer(acme):
    return person(acme, Role.WRITE)


def upload(client, *rows: str, content: bytes | None = None, **form):
    lines = [",".join(SHORT), *rows]
    file = SimpleUploadedFile("hosts.csv", "\n".join(lines).encode() if content is None else content)
    return client.post("/p/acme/imports/", {"file": file, **form})


def test_a_file_is_tried_first_and_imported_when_somebody_says_so(writer):
    Host(serial_number="SN00003").ask(state=HostState.REGISTERED)
    tried = upload(
        writer, "SN00001,,debian-12,Berlin,,,,", "SN00002,,debian-12,Nowhere,,,,", "SN00003,,,,,,,", OSProfile="Debian"
    )
    settle()
    page = writer.get(tried.url).text
    assert Host.objects.count() == 1
    for said in (
        "Preview: nothing is made yet",
        "Import 2 hosts",
        "Invalid Site: there is none",
        "SN00002",
        "completed",
    ):
        assert said in page
    Site(name="Nowhere").save()  # what was missing when it was tried
    imported = writer.post(f"{tried.url}run/")
    assert imported.status_code == 302
    settle()
    page = writer.get(imported.url).text
    assert "Imported: 2 imported, 1 completed" in page and "Preview" not in page
    assert {host.serial_number for host in Host.objects.filter(instance__os__name="Debian")} == {
        "SN00001", "SN00002", "SN00003",
    }  # fmt: skip
    host = Host.objects.get(serial_number="SN00001")
    assert Event.objects.get(resource_id=str(host), verb="created").who == "person-im-rw"
    assert f"/p/acme/hosts/{host}/" in page


def test_the_progress_is_a_part_of_the_page_that_says_when_nothing_more_will_come(writer):
    tried = upload(writer, "SN00001,,debian-12,,,,,")
    part = writer.get(f"{tried.url}progress/")
    assert "0 of 1 rows" in part.text and "X-Live" not in part and "<html" not in part.text
    settle()
    assert writer.get(f"{tried.url}progress/")["X-Live"] == "done"


def test_what_is_wrong_with_a_line_as_such_is_wrong_in_earnest_too(writer):
    """Although the first of the two is there by the time that it is imported."""
    tried = upload(writer, "SN00001,,debian-12,,,,,", "SN00001,,debian-12,,,,,")
    settle()
    imported = writer.post(f"{tried.url}run/")
    settle()
    last = BulkImport.objects.order_by("-pk").first()
    assert (last.imported, last.failed) == (1, 1)
    assert writer.get(imported.url + "?outcome=failed").text.count("Duplicate Serial number : Row 1") == 1


def test_the_rows_that_failed_come_back_as_a_file_that_can_be_mended(writer):
    tried = upload(writer, "SN00001,,debian-12,,,,,", "SN00002,,debian-12,=cmd,,,,")
    settle()
    answer = writer.get(f"{tried.url}errors.csv")
    assert answer["Content-Disposition"] == 'attachment; filename="import_error_hosts.csv"'
    header, row = csv.reader(io.StringIO(b"".join(answer).decode()))
    told = dict(zip(header, row, strict=True))
    assert header == [*LONG] and told["Serial"] == "SN00002" and told["Site"] == "'=cmd"
    assert told["Error - do not fill"].startswith("Invalid Site: there is none")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"Name,Colour\nx,red\n", "there is no column &#x27;Name&#x27;"),
        (b"\xff\xfeS\x00", "is UTF-16"),
        (b"PK\x03\x04broken", "as an Excel workbook"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words_and_nothing_is_made(writer, content, said):
    refused = upload(writer, content=content)
    assert refused.status_code == 400 and said in refused.text
    assert not BulkImport.objects.exists()


def test_too_many_at_once_are_refused_and_one_can_be_stopped(writer):
    tried = [upload(writer, "SN00001,,debian-12,,,,,") for _ in range(5)]
    assert "aren&#x27;t done yet" in upload(writer, "SN00001,,debian-12,,,,,").text
    assert writer.post(f"{tried[0].url}run/").status_code == 429
    assert writer.post(f"{tried[0].url}stop/").url == "/p/acme/imports/"
    assert BulkImport.objects.count() == 4


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_template_is_a_file_with_the_header_that_can_be_filled_in(writer, kind):
    answer = writer.get(f"/p/acme/imports/template.{kind}")
    if kind == "csv":
        assert answer.text == ",".join(SHORT) + "\n"
        return
    book = load_workbook(io.BytesIO(answer.content))
    assert [cell.value for cell in book.active[1]] == [*LONG]
    book.active["A2"], book.active["C2"] = "00012345", "debian-12"
    filled = io.BytesIO()
    book.save(filled)
    upload(writer, content=filled.getvalue())
    settle()
    assert BulkImport.objects.get().imported == 1


def test_a_template_of_another_kind_is_not_there(writer):
    assert writer.get("/p/acme/imports/template.exe").status_code == 404


def test_whoever_may_only_read_sees_imports_and_can_start_none(acme, writer):
    tried = upload(writer, "SN00001,,debian-12,,,,,")
    settle()
    reader = person(acme, Role.READ)
    assert "Preview</button>" not in reader.get("/p/acme/imports/").text
    page = reader.get(tried.url).text
    assert "SN00001" in page and "<button" not in page.partition("Upload another file")[0].partition("Rows that")[2]
    assert upload(reader, "SN00002,,debian-12,,,,,").status_code == 403
    assert [reader.post(f"{tried.url}{verb}/").status_code for verb in ("run", "stop")] == [403, 403]
    assert BulkImport.objects.count() == 1


def test_an_upload_needs_the_forms_own_mark(acme):
    strict = Client(enforce_csrf_checks=True)
    user = User.objects.create_user("strict")
    roles.grant(Role.WRITE, user, acme)
    strict.force_login(user)
    assert upload(strict, "SN00001,,debian-12,,,,,").status_code == 403
    assert not BulkImport.objects.exists()

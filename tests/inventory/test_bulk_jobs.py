"""Bulk imports over the API: a file goes up, the loop imports it, and what became of each row comes back."""

import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from inventory.models import Host, HostState, InstanceState, OperatingSystem, Site
from tenants import expired
from tenants.models import BulkImport, BulkRow, Event, Ring
from tests.conftest import client_of, settle
from workers import engine, models, tasks
from workers.reconcilers import bulk_import

pytestmark = pytest.mark.django_db

HEADER = "Serial,UUID,OSProfile,Site,Secure,RemoteUser,Metadata,Error - do not fill"


@pytest.fixture
def catalog(acme):
    image = {"sha256": "0" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    OperatingSystem(name="debian-12", profile_name="debian-12", **image).save()
    Site(name="Berlin").save()
    return acme


def upload(api, *lines, content: bytes | None = None, name="hosts.csv", **fields):
    content = "\n".join([HEADER, *lines]).encode() if content is None else content
    file = SimpleUploadedFile(name, content)
    return api.post(f"{api.base}/bulk-imports", {"file": file, **fields}, format="multipart")


def row(number: int, site="Berlin") -> str:
    return f"SN{number:05},,debian-12,{site},,,,"


def read(api, bulk: dict) -> dict:
    return api.get(f"{api.base}/bulk-imports/{bulk['resourceId']}").json()


def rows(api, bulk: dict, **query) -> list[dict]:
    answer = api.get(f"{api.base}/bulk-imports/{bulk['resourceId']}/rows", query)
    assert answer.status_code == 200 and answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in b"".join(answer).splitlines()]


def test_a_file_is_imported_and_every_row_tells_what_became_of_it(api, catalog):
    Host(serial_number="SN00004").ask(state=HostState.REGISTERED)
    answer = upload(api, row(1), row(2, site="Nowhere"), row(1), row(4), onboard="true")
    assert answer.status_code == 200, answer.content
    bulk = answer.json()
    assert (bulk["name"], bulk["total"], bulk["done"], bulk["status"]) == ("hosts.csv", 4, 0, "Waiting")
    assert rows(api, bulk) == []
    settle()
    done = read(api, bulk)
    assert done["currentState"] == done["desiredState"] == "BULK_IMPORT_STATE_DONE" and done["finishedAt"]
    assert done["status"] == "Imported: 1 imported, 1 completed, 2 failed"
    assert [done[name] for name in ("done", "imported", "completed", "alreadyRegistered", "failed")] == [4, 1, 1, 0, 2]
    one, two, three, four = rows(api, bulk)
    host = Host.objects.get(serial_number="SN00001")
    assert one == {
        "row": 1, "outcome": "imported", "hostID": host.resource_id, "problems": [],
        "cells": dict(zip(HEADER.split(","), row(1).split(","), strict=True)),
    }  # fmt: skip
    assert two["problems"] == ["Invalid Site: there is none with the name or id 'Nowhere'"] and two["hostID"] == ""
    assert three["problems"] == ["Duplicate Serial number : Row 1"] and four["outcome"] == "completed"
    assert [bad["row"] for bad in rows(api, bulk, outcome="failed", after=2)] == [3]
    assert host.desired_state == HostState.ONBOARDED and host.instance.desired_state == InstanceState.RUNNING
    assert Event.objects.get(resource_id=host.resource_id, verb="created").who == api.who
    assert api.get(f"{api.base}/bulk-imports").json()["bulkImports"] == [done]


def test_what_the_form_says_stands_in_every_row_and_a_trial_changes_nothing(api, catalog):
    Site(name="Munich").save()
    bulk = upload(api, row(1, site=""), row(2), site="Munich", metadata="a=1", dryRun="true").json()
    settle()
    assert read(api, bulk)["status"] == "Tried: 2 imported" and not Host.objects.exists()
    assert [told["hostID"] for told in rows(api, bulk)] == ["", ""]
    upload(api, row(1, site=""), row(2), site="Munich", metadata="a=1")
    settle()
    assert [host.site.name for host in Host.objects.all()] == ["Munich"] * 2
    assert [host.metadata for host in Host.objects.all()] == [[{"key": "a", "value": "1"}]] * 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "file: The submitted file is empty."),
        (b"SN00001\n", "hosts.csv: there is no column 'SN00001'"),
        (b"Serial,Site\nSN00001,M\xfcnchen\n", "File read/write error: hosts.csv is not UTF-8"),
        (b'Serial,Site\nSN00001,"Ber"lin\n', "File read/write error: hosts.csv, line 2: "),
        (b"PK\x03\x04....", "File read/write error: hosts.csv can't be read as an Excel workbook"),
        (b"Serial,Error - do not fill\nSN00001,wrong\n", "Error not empty: row 1 of hosts.csv"),
        (b"Serial\n" + b"x" * 20_000_000, "The body has more than 20,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_when_it_comes(api, catalog, content, said):
    answer = upload(api, content=content)
    assert answer.status_code in (400, 413) and answer.json()["message"].startswith(said)
    assert not BulkImport.objects.exists() and not BulkRow.objects.exists()


def test_what_is_no_upload_is_refused(api, catalog):
    for answer, status in [
        (api.post(f"{api.base}/bulk-imports", {}, format="multipart"), 400),
        (api.post(f"{api.base}/bulk-imports", {"file": "text"}, format="multipart"), 400),
        (upload(api, row(1), onboard="maybe"), 400),
        (api.post(f"{api.base}/bulk-imports", {}, format="json"), 415),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (status, "InvalidArgument")
    assert not BulkImport.objects.exists()


def test_readers_see_and_only_writers_import(api, catalog):
    bulk = upload(api, row(1)).json()
    reader = client_of(catalog, "im-r")
    assert read(reader, bulk)["total"] == 1 and upload(reader, row(2)).status_code == 403
    assert reader.delete(f"{api.base}/bulk-imports/{bulk['resourceId']}").status_code == 403


def test_only_so_many_imports_of_a_project_wait(api, catalog):
    answers = [upload(api, row(number)) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    settle()
    assert upload(api, row(6)).status_code == 200


def step(bulk: dict) -> str:
    """One turn of a worker. Returns what the import says of itself."""
    tasks.hear()
    engine.run(claimed(bulk))
    return BulkImport.objects.get(resource_id=bulk["resourceId"]).status


def claimed(bulk: dict) -> models.Work:
    pk = BulkImport.objects.get(resource_id=bulk["resourceId"]).pk
    return models.claim_this(connection.schema_name, "BulkImports", pk, timedelta(seconds=60))


def test_others_have_their_turn_between_steps_and_what_is_done_is_told_meanwhile(api, catalog, monkeypatch):
    monkeypatch.setattr(bulk_import, "STEP", 2)
    bulk = upload(api, *map(row, range(5))).json()
    assert step(bulk) == "2 of 5 rows" and Host.objects.count() == 2
    assert [told["row"] for told in rows(api, bulk)] == [1, 2]
    assert step(bulk) == "4 of 5 rows" and step(bulk) == "Imported: 5 imported"


def test_a_worker_whose_lease_is_lost_in_a_step_has_imported_nothing_of_it(api, catalog, monkeypatch):
    monkeypatch.setattr(bulk_import, "STEP", 2)
    bulk = upload(api, *map(row, range(4))).json()
    step(bulk)
    late = claimed(bulk)
    models.Work.objects.filter(pk=late.pk).update(epoch=late.epoch + 1)  # as the worker who took it over does
    engine.run(late)
    assert Host.objects.count() == 2 and read(api, bulk)["done"] == 2
    models.Work.objects.update(leased_until=None)
    assert step(bulk) == "Imported: 4 imported" and Host.objects.count() == 4


def test_deleting_an_import_stops_it_and_leaves_the_hosts(api, catalog, monkeypatch):
    monkeypatch.setattr(bulk_import, "STEP", 2)
    bulk = upload(api, *map(row, range(4))).json()
    step(bulk)
    assert api.delete(f"{api.base}/bulk-imports/{bulk['resourceId']}").status_code == 200
    settle()
    assert Host.objects.count() == 2 and not BulkRow.objects.exists()
    assert not models.Work.objects.filter(reconciler="BulkImports").exists()


def test_an_import_whose_ring_was_lost_is_found_by_the_audit_in_its_own_tenant(api, catalog):
    bulk = upload(api, row(1)).json()
    Ring.objects.all().delete()
    assert tasks._audit("public") == 0 and tasks._audit(connection.schema_name) == 1
    assert step(bulk) == "Imported: 1 imported"


def test_an_import_is_kept_for_thirty_days_after_its_end(api, catalog):
    upload(api, row(1))
    settle()
    unfinished = upload(api, row(2)).json()
    for days, left in ((29, 2), (31, 1)):
        for finished in BulkImport.objects.exclude(finished_at=None):
            finished.observe(finished_at=timezone.now() - timedelta(days=days))
        expired.clean()
        expired.clean()
        assert BulkImport.objects.count() == BulkRow.objects.count() == left
    assert BulkImport.objects.get().resource_id == unfinished["resourceId"]

"""Files of others that machines get from here: resumed, checked before use, or taken from a folder."""

import hashlib
import http.client
import http.server
import os
import socket
import threading
from ipaddress import ip_network

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from inventory.models import Indicator
from provisioning import mirror, outward, plans
from provisioning.models import Mirrored
from tenants.errors import Duplicate
from tests.conftest import settle
from tests.southbound import Node, registered, wanted

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Vendor(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; `breaks` says after how many bytes it hangs up, `answers` with which code."""

    breaks: int | None = None
    answers = 200
    moved = ""
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Range", ""))
        if self.moved:
            self.send_response(302)
            self.send_header("Location", self.moved)
            return self.end_headers()
        if self.answers != 200:
            return self.send_error(self.answers)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.breaks])

    def log_message(self, *_):
        pass


@pytest.fixture
def vendor(public, settings, tmp_path):
    settings.EIM_ARTIFACTS = tmp_path / "artifacts"
    settings.EIM_IMAGE_NETWORKS = [ip_network("127.0.0.1")]
    kind = type("ThisVendor", (Vendor,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kind.url = f"http://127.0.0.1:{server.server_port}/images/debian%2012.raw.gz?x=1"
    yield kind
    server.shutdown()
    server.server_close()


def test_a_file_is_downloaded_and_served(vendor):
    row = mirror.ask(vendor.url, SHA256)
    settle()
    row.refresh_from_db()
    assert (row.current_digest, row.download_status, row.size_bytes) == (SHA256, "Downloaded", len(CONTENT))
    path = mirror.path_of(SHA256)
    assert path == f"tink-stack/mirror/{SHA256}/debian_12.raw.gz"
    assert b"".join(Client().get(f"/{path}").streaming_content) == CONTENT
    mirror.ask(vendor.url, SHA256)
    settle()
    assert vendor.asked == [""]


def test_a_download_that_breaks_off_goes_on_where_it_was(vendor):
    vendor.breaks = 1_000_000
    row = mirror.ask(vendor.url, SHA256)
    with pytest.raises((OSError, http.client.HTTPException)):
        mirror.fetch(row)
    assert mirror.path_of(SHA256) is None
    assert Client().get(f"/tink-stack/mirror/{SHA256}/debian_12.raw.gz.partial").status_code == 404
    vendor.breaks = None
    assert mirror.fetch(row).finished
    assert vendor.asked == ["", "bytes=1000000-"] and mirror.file_of(row).read_bytes() == CONTENT


def test_a_file_with_another_digest_is_never_served(vendor):
    row = mirror.ask(vendor.url, "f" * 64)
    settle()
    row.refresh_from_db()
    assert f"has sha256 {SHA256}, expected {'f' * 64}: it isn't used" in row.download_status
    assert row.download_status_indicator == Indicator.ERROR and mirror.path_of("f" * 64) is None
    assert not [*mirror.file_of(row).parent.iterdir()]


def test_a_refusal_of_the_server_is_told(vendor):
    vendor.answers = 404
    row = mirror.ask(vendor.url, SHA256)
    settle()
    row.refresh_from_db()
    assert "the server answers 404" in row.download_status


def test_nothing_is_downloaded_from_where_only_we_reach(vendor, names):
    """Whether the address says so, its name leads there, its server sends us there, or the name leads there by now."""
    names["near.example"] = ["203.0.113.7", "127.0.0.2"]
    with socket.create_server(("127.0.0.2", 0)) as ours:
        port = ours.getsockname()[1]
        vendor.moved = f"http://127.0.0.2:{port}/x"
        outward.check("rebound.example")
        names["rebound.example"] = ["127.0.0.2"]
        for url in (vendor.moved, f"http://near.example:{port}/x", vendor.url, f"http://rebound.example:{port}/x"):
            row = mirror.ask(url, SHA256)
            with pytest.raises(mirror.NotWhatItShouldBe, match=r"127\.0\.0\.2.*a loopback address: name a server"):
                mirror.fetch(row)
            row.delete()
        assert vendor.asked == [""]


def test_without_a_network_files_come_from_a_folder(vendor, settings, tmp_path):
    settings.EIM_AIRGAP = tmp_path / "stick"
    settings.EIM_AIRGAP.mkdir()
    row = mirror.ask(vendor.url, SHA256)
    settle()
    row.refresh_from_db()
    assert "(EIM_AIRGAP) has no debian_12.raw.gz: put it there, ask again" in row.download_status
    (settings.EIM_AIRGAP / "debian_12.raw.gz").write_bytes(CONTENT)
    mirror.ask(vendor.url, SHA256)
    settle()
    assert mirror.path_of(SHA256) and vendor.asked == []


def test_a_download_needs_room(vendor, monkeypatch):
    monkeypatch.setattr(mirror, "SPARE_BYTES", 2**60)
    row = mirror.ask(vendor.url, SHA256)
    settle()
    row.refresh_from_db()
    assert "MiB free, the file has 2 MiB: make room" in row.download_status


def test_what_is_no_address_and_what_is_there_from_elsewhere_is_refused(vendor):
    mirror.ask(vendor.url, SHA256)
    with pytest.raises(Duplicate, match="has this sha256, from http"):
        mirror.ask("http://elsewhere.example/x", SHA256)
    for url, sha256 in (("ftp://x.example/y", "a" * 64), ("file:///etc/passwd", "b" * 64), (vendor.url, "nothex")):
        with pytest.raises(ValidationError):
            mirror.ask(url, sha256)


def test_a_forgotten_file_goes(vendor, django_capture_on_commit_callbacks):
    row = mirror.ask(vendor.url, SHA256)
    settle()
    with django_capture_on_commit_callbacks(execute=True):
        mirror.forget(Mirrored.objects.get(pk=row.pk))
    assert mirror.path_of(SHA256) is None and not mirror.file_of(row).exists()


def test_machines_get_a_mirrored_image_from_here(there, settings, tmp_path):
    settings.EIM_ARTIFACTS = tmp_path
    instance = wanted(registered(Node("")))
    sha256 = instance.os.sha256
    file = tmp_path / "mirror" / sha256 / "debian.raw.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"image")
    row = Mirrored(url="https://vendor.example/debian.raw.gz", sha256=sha256)
    row.ask(digest=sha256)
    row.observe(digest=sha256)
    instance.host.observe(pxe_mac="52:54:00:12:34:56")
    plan = plans.plan_for(instance)
    [url] = [environment["IMG_URL"] for environment in plan.environments if "IMG_URL" in environment]
    assert url.endswith(f"/tink-stack/mirror/{sha256}/debian.raw.gz")

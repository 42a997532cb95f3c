"""The OS resource manager: profiles from files and a registry become operating systems of every tenant, and follow."""

import bz2
import gc
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django_tenants.utils import schema_context

from inventory import profiles
from inventory.models import OperatingSystem
from inventory.models.os import version_key
from tests.conftest import settle
from workers import catalogue, registry, tasks
from workers.models import OsProfile
from workers.registry import Unfit

PROFILE = """
appVersion: apps/v1
metadata: {{release: edge}}
spec:
  name: An image
  type: {type}
  provider: OS_PROVIDER_KIND_INFRA
  architecture: x86_64
  profileName: {name}
  osImageUrl: files/{version}.raw.gz
  osImageVersion: {version}
  osImageSha256: {digest}
  securityFeature: SECURITY_FEATURE_NONE
  description: {description}
{more}"""
OVAL = """<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"><definitions>
<definition><metadata><title>CVE-2024-1 on Ubuntu (High)</title><reference source="CVE" ref_id="CVE-2024-1"/>
<description>A flaw.
vim - an editor
libx11 - a library</description></metadata></definition>
<definition><metadata><title>USN-1: medium</title><reference source="USN" ref_id="USN-1"/>
<reference source="CVE" ref_id="CVE-2024-2"/><description>x</description></metadata></definition>
<definition><metadata><title>no reference</title></metadata></definition></definitions></oval_definitions>"""


def text(name="emt", version="3.0.1", *, type="OS_TYPE_IMMUTABLE", description="d", digest="ab" * 32, **more) -> str:
    lines = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return PROFILE.format(name=name, version=version, type=type, description=description, digest=digest, more=lines)


SHIPPED = [*profiles.SHIPPED.glob("*.yaml")]


class Web:
    """A registry and a file server, on a real port."""

    def __init__(self):
        self.artifacts: dict[str, dict[str, str]] = {}  # profile -> tag -> text
        self.files: dict[str, bytes] = {}
        self.broken: dict[str, bytes] = {}  # digest -> what is sent instead
        self.asked: list[tuple[str, str]] = []
        self.token, self.away, self.untitled = "", False, False
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body, headers = web.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """It has nothing to say."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, authorization: str) -> tuple[int, bytes, dict[str, str]]:
        self.asked.append((path, authorization))
        path, query = urlsplit(path).path, urlsplit(path).query
        if self.away:
            return 503, b"", {}
        if path == "/token":
            return 200, json.dumps({"token": self.token}).encode(), {}
        if path == "/elsewhere":
            return 302, b"", {"Location": "http://169.254.169.254/secrets"}
        if path in self.files:
            return 200, self.files[path], {}
        if not path.startswith("/v2/profiles/"):
            return 404, b"", {}
        if self.token and authorization != f"Bearer {self.token}":
            return 401, b"", {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="here"'}
        return self.of_registry(*path.removeprefix("/v2/profiles/").split("/"), query)

    def of_registry(self, name: str, kind: str, what: str, query: str) -> tuple[int, bytes, dict[str, str]]:
        found = self.artifacts.get(name, {})
        if kind == "tags" and found:
            page = int(query.partition("page=")[2] or 0)  # of one tag
            more = {"Link": f'<?page={page + 1}>; rel="next"'} if page + 1 < len(found) else {}
            return 200, json.dumps({"tags": [[*found][page]]}).encode(), more
        if kind == "manifests" and what in found:
            layer = {"digest": self.digest(found[what]), "annotations": {registry.TITLE: f"{name}.yaml"}}
            body = json.dumps({"layers": [layer | ({"annotations": {}} if self.untitled else {})]}).encode()
            return 200, body, {"Docker-Content-Digest": f"sha256:{hashlib.sha256(body).hexdigest()}"}
        for one in found.values():
            if kind == "blobs" and self.digest(one) == what:
                return 200, self.broken.get(what, one.encode()), {}
        return 404, b"", {}

    @staticmethod
    def digest(one: str) -> str:
        return f"sha256:{hashlib.sha256(one.encode()).hexdigest()}"


@pytest.fixture
def web(settings):
    web = Web()
    settings.EIM_OS_PROFILES_LOCAL = True
    settings.EIM_OS_REGISTRY = settings.EIM_OS_FILES = web.url
    settings.EIM_OS_REGISTRY_PREFIX, settings.EIM_OS_REGISTRY_REVISION = "profiles/", "~1.2.3"
    settings.EIM_OS_REGISTRY_PROFILES = ["emt", "ubuntu"]
    yield web
    web.server.shutdown()
    web.server.server_close()


@pytest.fixture
def systems(acme):
    """{"emt 3.0.1": its row}, of those that follow a profile, after a pass that all tenants follow."""

    def look(*profile_names: str) -> dict[str, OperatingSystem]:
        with schema_context("public"):
            catalogue.sync()
        settle()
        rows = OperatingSystem.objects.filter(from_profile=True, profile_name__in=profile_names)
        return {f"{row.profile_name} {row.image_id}": row for row in rows}

    return look


def problems() -> str:
    return "\n".join(OsProfile.objects.exclude(problem="").values_list("problem", flat=True))


def test_every_tenant_has_what_files_and_the_registry_say_each_once(web, systems, beta):
    web.artifacts["emt"] = {"1.2.2": text(version="too old"), "1.2.3": text(), "1.2.10": text(version="3.0.2")}
    web.artifacts["ubuntu"] = {"1.3.0": text("ubuntu", "another line")}
    found = systems("emt", "ubuntu", "debian-12")
    assert {*found} == {"emt 3.0.1", "emt 3.0.2", "debian-12 12"}
    assert found["emt 3.0.1"].name == "An image"
    assert found["emt 3.0.2"].name == "An image 3.0.2"  # no two have one name
    with schema_context(beta.schema_name):
        assert OperatingSystem.objects.filter(profile_name="emt").count() == 2
    assert settle() == []


def test_a_profile_that_changes_changes_its_operating_system_and_leaves_the_operators_words(web, systems):
    web.artifacts["emt"] = {"1.2.3": text(digest="0" * 64)}
    row = systems("emt")["emt 3.0.1"]
    row.metadata = '{"mine":"yes"}'
    row.save()
    web.artifacts["emt"]["1.2.3"] = text(description="better")
    row = systems("emt")["emt 3.0.1"]
    assert (row.description, row.sha256, row.metadata) == ("better", "ab" * 32, '{"mine":"yes"}')


def test_one_that_is_withdrawn_is_marked_and_comes_back(web, systems):
    web.artifacts["emt"] = {"1.2.3": text(), "1.2.4": text(version="3.0.2")}
    systems("emt")
    withdrawn = web.artifacts["emt"].pop("1.2.4")
    row = systems("emt")["emt 3.0.2"]
    assert (row.retracted, row.description) == (True, "Retracted: d")
    web.away = True
    assert {row.retracted for row in systems("emt").values()} == {False, True}  # nobody said that the other is gone
    web.away = False
    web.artifacts["emt"]["1.2.4"] = withdrawn
    row = systems("emt")["emt 3.0.2"]
    assert (row.retracted, row.description) == (False, "d")


def test_what_people_entered_is_left_alone(web, systems):
    mine = OperatingSystem(
        name="mine", sha256="a" * 64, profile_name="mine", image_id="1", os_type="OS_TYPE_IMMUTABLE",
        os_provider="OS_PROVIDER_KIND_INFRA",
    )  # fmt: skip
    mine.ask()
    systems()
    mine.refresh_from_db()
    assert (mine.retracted, mine.from_profile, mine.description) == (False, False, "")


@pytest.mark.parametrize(("bad", "says"), [
    ("spec: {name: x}", "spec needs"), ("[", "can't be read"), (text(type="OS_TYPE_SOFT"), "OS_TYPE_SOFT"),
    ("[" * 3000, "can't be read"), ("a: &a [x]\nb: *c", "can't be read"), ("\x01", "can't be read"),
])  # fmt: skip
def test_one_bad_profile_keeps_no_other_back(web, systems, bad, says):
    gc.collect()  # or what other tests left is tidied up at the bottom of the deepest, where there is no room for it
    web.artifacts = {"emt": {"1.2.3": bad}, "ubuntu": {"1.2.3": text("ubuntu", "24.10")}}
    assert {*systems("emt", "ubuntu")} == {"ubuntu 24.10"}
    assert says in problems() and "profiles/emt:1.2.3" in problems()


def test_a_profile_that_went_bad_stays_as_it_was(web, systems):
    web.artifacts["emt"] = {"1.2.3": text()}
    systems("emt")
    good = web.artifacts["emt"]["1.2.3"]
    web.broken[web.digest(good)] = b"something else"
    row = systems("emt")["emt 3.0.1"]
    assert not row.retracted and "its digest is sha256:" in problems()
    web.broken.clear()
    web.untitled = True
    assert not systems("emt")["emt 3.0.1"].retracted and registry.TITLE in problems()


def test_a_registry_that_wants_a_token_gets_the_one_that_it_gives(web, systems):
    web.artifacts["emt"], web.token = {"1.2.3": text()}, "t0ken"
    assert {*systems("emt")} == {"emt 3.0.1"}
    [asked] = {path for path, _ in web.asked if path.startswith("/token") and "emt" in path}
    assert asked == "/token?service=here&scope=repository%3Aprofiles%2Femt%3Apull"


def test_packages_and_cves_come_from_where_the_profile_says(web, systems):
    web.files["/p.json"] = b'{"repo": [{"name": "vim",\n "version": "9"}]}'
    web.files["/c.json"] = b'[{"cve_id": "CVE-1", "priority": "high", "affected_packages": ["vim"]}]'
    web.files["/o.bz2"] = bz2.compress(OVAL.encode())
    web.artifacts["emt"] = {"1.2.3": text(osPackageManifestURL="/p.json", osExistingCvesURL="/c.json")}
    web.artifacts["ubuntu"] = {"1.2.3": text(
        "ubuntu", "22.04", type="OS_TYPE_MUTABLE", osExistingCvesURL=f"{web.url}/o.bz2", osFixedCvesURL="/o.bz2",
    )}  # fmt: skip
    found = systems("emt", "ubuntu")
    assert found["emt 3.0.1"].installed_packages == '{"repo":[{"name":"vim","version":"9"}]}'
    assert json.loads(found["emt 3.0.1"].existing_cves)[0]["cve_id"] == "CVE-1"
    assert json.loads(found["ubuntu 22.04"].existing_cves) == [
        {"cve_id": "CVE-2024-1", "priority": "high", "affected_packages": ["vim", "libx11"]}
    ]
    assert [one["cve_id"] for one in json.loads(found["ubuntu 22.04"].fixed_cves)] == ["CVE-2024-2"]
    web.files["/c.json"] = b'[{"cve_id": "CVE-2", "priority": "low"}]'
    del web.files["/p.json"]
    row = systems("emt")["emt 3.0.1"]
    assert "CVE-2" in row.existing_cves and "vim" in row.installed_packages  # the former is new, the latter is kept
    assert "/p.json isn't there (404)" in problems()


def test_without_a_network_they_come_from_a_folder(systems, settings, tmp_path):
    settings.EIM_AIRGAP = settings.EIM_OS_PROFILES = tmp_path
    (tmp_path / "emt.yaml").write_text(text(osPackageManifestURL="/files/p.json", osExistingCvesURL="http://x/c.json"))
    (tmp_path / "p.json").write_bytes(b'{"repo": [{"name": "vim", "version": "9"}]}')
    assert "vim" in systems("emt")["emt 3.0.1"].installed_packages
    assert problems() == f"{tmp_path} (EIM_AIRGAP) has no c.json: put it there"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"repo": []}', b'{"repo": [{"name": "x"}]}', b"[" * 99_999])
def test_what_is_no_package_manifest_is_refused(body):
    with pytest.raises(Unfit):
        registry.packages(body, "it")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'


@pytest.mark.parametrize("body", [b"", b"no bzip2", bz2.compress(b"<a>"), bz2.compress(BOMB.encode())])
def test_what_is_no_oval_document_is_refused(body):
    with pytest.raises(Unfit, match="no OVAL document"):
        registry.cves_of_oval(body, "it", fixed=False)


def test_an_answer_that_is_too_large_packed_or_unpacked_is_refused(web, monkeypatch):
    monkeypatch.setattr(registry, "LARGEST", 1000)
    monkeypatch.setattr(registry, "LARGEST_UNPACKED", 1000)
    web.files["/large"] = b"x" * 1001
    with pytest.raises(Unfit, match="larger than 1000 bytes"):
        registry.get(f"{web.url}/large")
    with pytest.raises(Unfit, match="unpacks to more than"):
        registry.cves_of_oval(bz2.compress(b"<a>" + b" " * 100_000), "it", fixed=True)


@pytest.mark.parametrize("url", [
    "http://127.0.0.1/x", "http://[::1]/x", "http://[::ffff:127.0.0.1]/x", "http://169.254.169.254/latest",
    "http://localhost/x", "http://0.0.0.0/x", "file:///etc/passwd", "http://", "http://[", "ftp://10.0.0.1/x",
])  # fmt: skip
def test_nobody_sends_us_to_our_own_machine_or_its_link(url, settings):
    settings.EIM_OS_PROFILES_LOCAL = False
    with pytest.raises(Unfit):
        registry.get(url)


def test_a_redirect_is_looked_at_like_any_other_address(web, monkeypatch):
    seen = []
    check = registry._check_address
    monkeypatch.setattr(registry, "_check_address", lambda url: seen.append(url) or (
        check(url) if len(seen) == 1 else (_ for _ in ()).throw(Unfit("stopped"))
    ))  # fmt: skip
    with pytest.raises(Unfit, match="stopped"):
        registry.get(f"{web.url}/elsewhere")
    assert seen[1] == "http://169.254.169.254/secrets"


def test_the_command_tells_what_there_is_and_what_is_wrong(web, public):
    web.artifacts["emt"] = {"1.2.3": text()}
    said = StringIO()
    with pytest.raises(CommandError, match="1 of them can't be had"):
        call_command("os_profiles", "sync", stdout=said)
    assert "registry profiles/emt:1.2.3  emt 3.0.1" in said.getvalue()
    assert "profiles/ubuntu/tags/list?n=1000 isn't there (404)" in said.getvalue()


def test_a_pass_is_made_when_it_is_time(public, settings):
    assert catalogue.is_due()
    tasks.os_profiles()
    assert not catalogue.is_due() and OsProfile.objects.count() == len(SHIPPED)
    settings.EIM_OS_PROFILES_SECONDS = 0
    assert catalogue.is_due()


def test_a_folder_that_is_away_withdraws_nothing(systems, settings, tmp_path):
    settings.EIM_OS_PROFILES = tmp_path / "mine"
    settings.EIM_OS_PROFILES.mkdir()
    (tmp_path / "mine/own.yaml").write_text(text("own", "1"))
    assert not systems("own")["own 1"].retracted
    (tmp_path / "mine").rename(tmp_path / "away")
    assert not systems("own")["own 1"].retracted and "There is no folder" in problems()
    (tmp_path / "away").rename(tmp_path / "mine")
    (tmp_path / "mine/own.yaml").unlink()
    assert systems("own")["own 1"].retracted


def test_images_are_ordered_by_their_numbers():
    order = ["unknown", "3.0.20250717-rc1", "3.0.20250717", "3.0.20250717.0732", "3.0.20250717.1200", "3.0.20250718"]
    assert [*map(version_key, order)] == sorted(map(version_key, order))
    assert registry.tags_wanted(["1.2.3", "1.2.10", "1.2.2", "1.3.0", "x"], "~1.2.3") == ["1.2.3", "1.2.10"]


def test_all_profiles_that_are_shipped_are_sound(acme):
    profiles.follow(profiles.in_folders((profiles.SHIPPED,)))
    assert OperatingSystem.objects.filter(from_profile=True).count() == len(SHIPPED)

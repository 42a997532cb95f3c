"""Bulk import over the REST API: our own server behind a door that counts, and that fails as servers far away do."""

import csv
import re
import socket
import ssl
import threading
from contextlib import suppress
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from eim_project import tls
from inventory.bulk.server import issuer_of
from inventory.bulk.sheet import ERROR, LONG
from inventory.models import (
    CustomConfig,
    Host,
    HostState,
    Instance,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    Region,
    Site,
)
from tenants.models import Event, Grant, Role, User
from tests.conftest import token_with

# What the archived system's importers call, and so what every server has.
ARCHIVED = re.compile(
    r"GET (compute/os|regions/region/sites|localAccounts|customConfigs|compute/hosts)"
    r"|POST compute/(hosts/register|instances)|(PATCH|DELETE) compute/hosts/host-[0-9a-f]{8}"
    r"|PATCH compute/hosts/host-[0-9a-f]{8}/(onboard|register)"
)


class Door:
    """Everything that is asked comes through here. `answer` may take the server's place: (status, headers, body)."""

    def __init__(self, project):
        self.application, self.base = get_wsgi_application(), f"/v1/projects/{project.name}/"
        self.calls, self.inside, self.most_inside = [], 0, 0
        self.lock = threading.Lock()
        self.answer = lambda call, token: None

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if not path.startswith(self.base):
            return self.application(environ, start_response)
        call = f"{environ['REQUEST_METHOD']} {path.removeprefix(self.base)}"
        with self.lock:
            self.calls.append(call)
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
        try:
            if instead := self.answer(call, environ.get("HTTP_AUTHORIZATION", "")):
                status, headers, body = instead
                start_response(status, [("Content-Type", "application/json"), *headers])
                return [body]
            return [b"".join(self.application(environ, start_response))]
        finally:
            with self.lock:
                self.inside -= 1


class WebServer(ThreadedWSGIServer):
    """Its threads' connections to the database are closed when server_close() returns."""

    daemon_threads = False

    def __init__(self, door):
        super().__init__(("127.0.0.1", 0), Quiet)
        self.set_app(door)
        self.accepted = []

    def get_request(self):
        accepted = super().get_request()
        self.accepted.append(accepted[0])
        return accepted

    def hang_up(self):
        for connection in self.accepted:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def door(there):
    door = Door(there)
    server = WebServer(door)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    door.url = f"http://127.0.0.1:{server.server_port}"
    yield door
    server.shutdown()
    thread.join(10)
    server.hang_up()
    server.server_close()


@pytest.fixture
def catalog(there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEORCH_TOKEN", token_with(f"{there.uuid}_im-rw"))
    region = Region(name="Europe")
    region.save()
    for name in ("Berlin", "Berlin Mitte"):
        Site(name=name, region=region).save()
    image = {"sha256": "0" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    for name in ("debian-12", "debian-12-extra"):
        OperatingSystem(name=name, profile_name=name, **image).save()
    for name in ("operator", "operator-two"):
        LocalAccount(username=name, ssh_key="ssh-ed25519 AAAA").save()
    for name in ("ntp", "ntp-extra"):
        CustomConfig(name=name, config="#cloud-config\n").save()
    return there


def row(serial, **cells) -> str:
    cells = {"Serial": serial, "OSProfile": "debian-12", **cells}
    return ",".join(cells.get(name, "") for name in LONG)


def import_there(door, *lines, **options) -> str:
    Path("hosts.csv").write_text("\n".join([",".join(LONG), *lines]))
    said = StringIO()
    call_command("bulk_import", "hosts.csv", url=door.url, project=door.base.split("/")[3], stdout=said, **options)
    return said.getvalue()


def failed(door, *lines, **options) -> list[str]:
    """The errors of the rows that fail."""
    with pytest.raises(CommandError, match="Failed to import all hosts"):
        import_there(door, *lines, **options)
    (file,) = Path().glob("import_error_*")
    told = [line[ERROR] for line in csv.DictReader(file.read_text().splitlines())]
    file.unlink()
    return told


def test_rows_become_the_same_as_in_the_database_by_the_archived_systems_routes(door, catalog):
    uuid = str(uuid4())
    full = row(
        "SN00001", UUID=uuid, Site="Berlin", Metadata="city=berlin", RemoteUser="operator", LVMSize="20",
        CloudInitMeta="ntp",
    )  # fmt: skip
    lines = [full, *(row(f"SN0001{number}", Site="Berlin Mitte") for number in range(9)), row("SN00002")]
    assert "11 imported" in import_there(door, *lines, dry_run=True) and not Host.objects.exists()
    assert {call.split()[0] for call in door.calls} == {"GET"}
    assert "11 imported" in import_there(door, *lines, onboard=True)
    host = Host.objects.get(uuid=uuid)
    assert (host.serial_number, host.site.name, host.user_lvm_size) == ("SN00001", "Berlin", 20)
    assert (host.desired_state, host.name) == (HostState.ONBOARDED, host.resource_id)
    assert host.metadata == [{"key": "city", "value": "berlin"}]
    assert host.instance.os.name == "debian-12" and host.instance.local_account.username == "operator"
    assert [config.name for config in host.instance.custom_config.all()] == ["ntp"]
    assert Instance.objects.filter(desired_state=InstanceState.RUNNING).count() == 11
    written = Event.objects.count()
    assert "11 already registered" in import_there(door, *lines)
    assert "11 already registered" in import_there(door, *lines, dry_run=True)
    call_command("bulk_export", "out.csv", project=catalog.name, stdout=StringIO())
    assert "11 already registered" in import_there(door, *Path("out.csv").read_text().splitlines()[1:])
    assert Event.objects.count() == written
    assert [call for call in door.calls if not ARCHIVED.fullmatch(call)] == []
    assert door.most_inside <= 8


def test_what_a_host_lacks_is_added_and_what_differs_is_told(door, catalog):
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    Host(serial_number="SN00002").ask(state=HostState.REGISTERED)
    said = import_there(door, row("SN00001", Site="Berlin", LVMSize="20"), row("SN00002"), onboard=True)
    assert "2 completed" in said
    one, two = Host.objects.order_by("serial_number")
    assert (one.desired_state, one.site.name, one.user_lvm_size) == (HostState.ONBOARDED, "Berlin", 20)
    assert two.desired_state == HostState.ONBOARDED and Instance.objects.count() == 2
    told = failed(door, row("SN00001", OSProfile="debian-12-extra", Site="Berlin Mitte", RemoteUser="operator"))
    for difference in ("its operating system is os-", f"its site is {one.site_id}", "its local account is none"):
        assert difference in told[0]
    assert told[0].startswith(f"Host already registered with mismatching details: {one.resource_id}: ")


def test_names_are_exact_and_bad_rows_do_not_hinder_good_ones(door, catalog):
    told = failed(
        door, row("SN00001"), row("SN00002", OSProfile="debian"), row("SN00003", Site="Ber*"), row("SN00004", UUID="4")
    )
    assert told == [
        "Invalid OS profile: there is none with the name or id 'debian';",
        "Invalid Site: there is none with the name or id 'Ber*';",
        "Invalid UUID: it is 8-4-4-4-12 hexadecimal digits;",
    ]
    assert Host.objects.get().serial_number == "SN00001"


def test_a_row_that_fails_half_way_is_taken_back(door, catalog):
    door.answer = lambda call, _: call == "POST compute/instances" and ("500 Oh", [], b'{"message":"out of order"}')
    assert failed(door, row("SN00001", Site="Berlin")) == ["Failed to create instance: out of order;"]
    assert not Host.objects.exists()
    door.answer = lambda call, _: (
        re.match("POST compute/instances|DELETE", call) and ("500 Oh", [], b'{"message":"out of order"}')
    )
    told = failed(door, row("SN00001", Site="Berlin"))[0]
    assert f"{Host.objects.get()} was registered all the same and can't be taken back (out of order)" in told
    door.answer = lambda call, _: None
    assert "1 completed" in import_there(door, row("SN00001", Site="Berlin"))


def test_a_busy_server_is_given_the_time_that_it_asks_for(door, catalog):
    busy = iter([("429 Busy", [("Retry-After", "1")], b"{}"), ("503 Busy", [("Retry-After", "0")], b"{}")])
    door.answer = lambda call, _: call.startswith("POST") and next(busy, None)
    lines = [row(f"SN0001{number}") for number in range(10)]
    assert "10 imported" in import_there(door, *lines, parallel=2)
    assert door.most_inside <= 2 and Host.objects.count() == 10
    door.answer = lambda call, _: ("429 Busy", [("Retry-After", "86400")], b"{}")
    with pytest.raises(CommandError, match="HTTP request error: GET compute/os: the server is too busy"):
        import_there(door, *lines)


@pytest.fixture
def ada(there):
    ada = User.objects.create_user("ada-imports", password="lovelace")
    Grant.objects.create(user=ada, project=there, role=Role.WRITE)
    yield ada
    ada.delete()


def test_a_user_signs_in_and_again_when_the_token_is_not_taken_any_more(door, catalog, ada, monkeypatch):
    monkeypatch.delenv("EDGEORCH_TOKEN")
    monkeypatch.setenv("EDGEORCH_USER", "ada-imports")
    monkeypatch.setenv("EDGEORCH_PASSWORD", "lovelace")
    seen = []

    def first_token_ends(call, token):
        seen.append(token)
        if call.startswith("POST") and token == seen[0]:
            return "401 Unauthorized", [], b'{"code":"Unauthenticated","message":"expired"}'
        return None

    door.answer = first_token_ends
    assert "10 imported" in import_there(door, *(row(f"SN0001{number}") for number in range(10)))
    assert len({*seen}) == 2
    monkeypatch.setenv("EDGEORCH_PASSWORD", "byron")
    with pytest.raises(CommandError, match="Failed to authenticate with server: "):
        import_there(door, row("SN00002"))


def test_a_token_file_is_read_again_when_its_token_is_refused(door, catalog, monkeypatch):
    good = token_with(f"{catalog.uuid}_im-rw")
    file = Path("token")
    file.write_text("old\n")

    def refresh(call, token):
        file.write_text(good)

    door.answer = refresh
    assert "1 imported" in import_there(door, row("SN00001"), token_file=file)
    file.write_text("old")
    door.answer = lambda call, token: None
    with pytest.raises(CommandError, match="Failed to authenticate with server: it refuses the token"):
        import_there(door, row("SN00002"), token_file=file)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("api.example.org", "Malformed server URL: api.example.org should be like https"),
        ("ftp://api.example.org", "Malformed server URL: "),
        ("https://:443", "Malformed server URL: "),
        ("https://api.example.org:port", "Malformed server URL: "),
        ("http://api.example.org", "would send the token unencrypted"),
    ],
)
def test_a_url_that_is_none_is_refused_before_anything_is_sent(door, catalog, url, said):
    door.url = url
    with pytest.raises(CommandError, match=said):
        import_there(door, row("SN00001"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("200 OK", [], b"<html>welcome"), "HTTP request error: GET compute/os is answered 200"),
        (("200 OK", [], b"{}"), "HTTP request error: GET compute/os answers no OperatingSystemResources"),
        (("302 Found", [("Location", "https://elsewhere.example.org")], b""), "is answered 302"),
        (("403 No", [], b'{"message":"You have no access"}'), "Failed to authenticate with server: You have no access"),
    ],
)
def test_a_server_that_is_not_one_of_ours_ends_the_import_with_one_line(door, catalog, answer, said):
    door.answer = lambda call, _: answer
    with pytest.raises(CommandError) as refusal:
        import_there(door, row("SN00001"))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_server_that_never_answers_or_has_an_unknown_certificate_is_named_at_once(door, catalog, tmp_path):
    tls.ensure(tmp_path / "tls", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls/server.crt", tmp_path / "tls/server.key")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(60)
        door.url = f"https://127.0.0.1:{stranger.getsockname()[1]}"

        def shake_hands():
            with suppress(OSError), stranger.accept()[0] as caller:
                context.wrap_socket(caller, server_side=True)

        stranger_thread = threading.Thread(target=shake_hands)
        stranger_thread.start()
        with pytest.raises(CommandError, match=f"{door.url[8:]}: SSLError: .*REQUESTS_CA_BUNDLE"):
            import_there(door, row("SN00001"))
        stranger_thread.join(60)
    with pytest.raises(CommandError, match=f"{door.url[8:]}: NewConnectionError: .*refused"):
        import_there(door, row("SN00001"))


def test_tokens_come_from_where_the_archived_system_has_them():
    assert issuer_of("https://api.example.org:8443/") == "https://keycloak.example.org:8443"
    assert issuer_of("http://127.0.0.1:8000") == "http://127.0.0.1:8000"

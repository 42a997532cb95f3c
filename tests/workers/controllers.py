"""Management controllers for tests: the real Redfish emulator of sushy-tools, MPS and RPS, and some that misbehave.

All are real HTTP servers on threads of this process.
"""

import json
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from sushy_tools.emulator import main as sushy_tools
from sushy_tools.emulator.resources.systems import fakedriver
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, *_args):
        """Nothing: tests that fail would drown in it."""


class RealMachine(Protocol):
    """One that the emulator bridges to."""

    def switch(self, command: str) -> None: ...

    def is_on(self) -> bool: ...


class Emulator:
    """sushy-tools with its fake driver. Its machines follow at once; what they are told is kept."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.told: dict[str, list[str]] = defaultdict(list)
        self.is_deaf = False
        self.really: dict[str, RealMachine] = {}

    def add(self, uuid: UUID, power: str = "Off") -> None:
        system = {"uuid": str(uuid), "name": str(uuid), "power_state": power, "nics": []}
        sushy_tools.app.systems._systems[str(uuid)] = system

    def power(self, uuid: UUID) -> str:
        return sushy_tools.app.systems.get_power_state(str(uuid))

    def switch(self, uuid: UUID, power: str) -> None:
        """As somebody with a finger would."""
        sushy_tools.app.systems._update(str(uuid), power_state=power, pending_power=None)


@contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    app = sushy_tools.app
    app.config.update(
        SUSHY_EMULATOR_FAKE_DRIVER=True, SUSHY_EMULATOR_STATE_DIR=str(folder), SUSHY_EMULATOR_FAKE_SYSTEMS=[]
    )
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    made = Emulator(server.port)
    set_it, get_it = fakedriver.FakeDriver.set_power_state, fakedriver.FakeDriver.get_power_state

    def set_power_state(driver, identity, state):
        made.told[identity].append(state)
        if identity in made.really:
            made.really[identity].switch(state)
        elif not made.is_deaf:
            set_it(driver, identity, "ForceRestart" if state == "PowerCycle" else state)

    def get_power_state(driver, identity):
        if identity in made.really:
            return "On" if made.really[identity].is_on() else "Off"
        return get_it(driver, identity)

    fakedriver.FakeDriver.set_power_state = set_power_state
    fakedriver.FakeDriver.get_power_state = get_power_state
    fakedriver.random = _AtOnce
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join(10)
    fakedriver.FakeDriver.set_power_state, fakedriver.FakeDriver.get_power_state = set_it, get_it


class _AtOnce:
    """In place of `random`: its machines would follow after 1 to 11 seconds."""

    @staticmethod
    def randint(_least: int, _most: int) -> int:
        return 0


# Any HTTP -------------------------------------------------------------------------------------------------------------

Answer = tuple[int, Any]


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, str, Any], Answer | None], port: int = 0) -> Iterator[str]:
    """A server that answers what `answer(handler, "METHOD /path", body)` says; None if it has answered by itself."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            said = answer(self, f"{self.command} {self.path}", body)
            if said is None:
                self.close_connection = True
                return
            status, content = said
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PATCH = serve

        def log_message(self, *_args):
            """Nothing."""

    with _server(Handler, port=port) as server:
        yield f"http://127.0.0.1:{server.server_port}"


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client_address):
        """Whoever calls hangs up: that is what is tested."""


@contextmanager
def _server(handler: type, tls: tuple[Path, Path] | None = None, port: int = 0) -> Iterator[ThreadingHTTPServer]:
    server = _Server(("127.0.0.1", port), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@contextmanager
def redfish(power: Any = "On", *, uuid: UUID | None = None, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The least of a controller, for what the emulator can't be brought to."""
    system = {
        "@odata.id": "/redfish/v1/Systems/1", "Id": "1", "UUID": str(uuid or ""), "PowerState": power,
        "Actions": {"#ComputerSystem.Reset": {
            "target": "/redfish/v1/Systems/1/reset", "ResetType@Redfish.AllowableValues": ["On", "ForceOff"],
        }},
    }  # fmt: skip
    pages = {
        "/redfish/v1/": {"Id": "Root", "Systems": {"@odata.id": "/redfish/v1/Systems"}},
        "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
        "/redfish/v1/Systems/1": system,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            page = json.dumps(pages[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_args):
            """Nothing."""

    with _server(Handler, tls) as server:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"


# Those that misbehave -------------------------------------------------------------------------------------------------


def html(handler, _request, _body):
    return 200, b"<html><body>Login</body></html>"


def nonsense(handler, _request, _body):
    return 200, b"[" * 100_000


def refuses(handler, _request, _body):
    return 401, {"error": {"message": "no"}}


def endless(handler, _request, _body):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b'{"a":"' + b"x" * 65536)


def dripping(handler, _request, _body):
    """A byte of a header now and then: no read ever times out."""
    while True:
        handler.wfile.write(b"H")
        time.sleep(0.05)


def packed(handler, _request, _body):
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", "3")
    handler.end_headers()
    handler.wfile.write(b"abc")


def elsewhere(handler, _request, _body):
    return 200, {"Id": "Root", "Systems": {"@odata.id": "http://169.254.169.254/latest"}}


@contextmanager
def silent() -> Iterator[str]:
    """It takes calls and says nothing, until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


# MPS and RPS ----------------------------------------------------------------------------------------------------------


class Toolkit:
    """Both servers at one address, for as many machines as ask; a machine follows at once."""

    FOLLOWS = {2: 2, 8: 8, 4: 4, 7: 7, 10: 2, 5: 2, 12: 12, 14: 2}

    def __init__(self) -> None:
        self.url = ""
        self.power: dict[str, int] = {}
        self.actions: list[int] = []
        self.says = "SUCCESS"
        self.features = {"KVM": True, "SOL": True}
        self.calls: list[tuple[str, str]] = []  # (tenant, request)
        self.made: dict[tuple[str, str, str], dict] = {}  # (tenant, kind, name) -> body
        self.is_away = False

    def provision(self, guid: UUID, power: int = 2) -> None:
        self.power[str(guid)] = power

    def answer(self, handler, request: str, body: Any) -> Answer:
        tenant = handler.headers["ActiveProjectId"]
        self.calls.append((tenant, request))
        if self.is_away:
            return 503, b"away"
        method, path = request.split(" ")
        head, _, name = path.partition("?")[0].removeprefix("/api/v1/").rpartition("/")
        if head == "admin" or head.startswith("admin/"):
            return self._admin(method, tenant, head, name, body)
        if path == "/api/v1/ciracert":
            return 200, b"-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n"
        if name not in self.power:
            return 404, {"error": "Device not found/connected"}
        if head == "amt/power/state":
            return 200, {"powerstate": self.power[name]}
        if head == "amt/power/action":
            self.actions.append(body["action"])
            if self.says == "SUCCESS":
                self.power[name] = self.FOLLOWS[body["action"]]
        if head == "amt/features":
            return 200, self.features
        if head == "amt/deactivate":
            del self.power[name]
            return 200, {"status": "SUCCESS"}
        return 200, {"Body": {"ReturnValue": 0, "ReturnValueStr": self.says}}

    def _admin(self, method: str, tenant: str, head: str, name: str, body: Any) -> Answer:
        kind = head.removeprefix("admin").strip("/") or name
        mine = {made: what for (of, what_kind, made), what in self.made.items() if (of, what_kind) == (tenant, kind)}
        if head == "admin" and method == "POST":
            called = body.get("profileName") or body["configName"]
            if called in mine:
                return 400, {"error": "Unique key violation", "message": f"{called} already exists"}
            self.made[tenant, kind, called] = body
            return 201, body | {"tenantId": tenant}
        if head == "admin":
            return 200, {"data": [*mine.values()], "totalCount": len(mine)}
        if name not in mine:
            return 404, {"error": "NOT FOUND"}
        if method == "DELETE":
            del self.made[tenant, kind, name]
            return 204, b""
        return 200, mine[name] | {"tenantId": tenant}


@contextmanager
def toolkit(port: int = 0) -> Iterator[Toolkit]:
    made = Toolkit()
    with serving(made.answer, port) as made.url:
        yield made

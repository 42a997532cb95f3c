"""A Kubernetes API server for Tinkerbell's resources, over real HTTP: what the official client needs of one.

It keeps resource versions, answers 409 for what is there and for stale writes, 410 for versions that it has forgotten,
422 for what its schemas don't take, and streams watches. Its rules are those of Kubernetes' API conventions.
"""

import copy
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

from tests.provisioning.tinkerbell_crds import SCHEMAS

ROOT = "/apis/tinkerbell.org/v1alpha1/namespaces/"


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message, "metadata": {},
        }  # fmt: skip


class Cluster:
    """{(namespace, plural, name): object}, and what happened, as far as it isn't forgotten."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[tuple[str, str, str], dict] = {}
        self.history: list[tuple[int, str, tuple[str, str, str], dict]] = []
        self.version, self.oldest, self.watches = 0, 0, 0
        self.refusing: list[Refusal] = []  # the next requests get these
        self.closing = 0  # watches that were begun before this many are ended

    # What the tests do ------------------------------------------------------------------------------------------------
    def of(self, plural: str) -> dict[str, dict]:
        with self.changed:
            return {key[2]: copy.deepcopy(found) for key, found in self.objects.items() if key[1] == plural}

    def set_status(self, name: str, status: dict) -> None:
        """As Tinkerbell's controller or server would."""
        with self.changed:
            key = next(key for key in self.objects if key[1:] == ("workflows", name))
            self._put(key, self.objects[key] | {"status": status}, "MODIFIED")

    def forget(self) -> None:
        """Compact: watches of older versions are answered 410."""
        with self.changed:
            self.oldest, self.history = self.version, []

    def end_watches(self) -> None:
        with self.changed:
            self.closing = self.watches
            self.changed.notify_all()

    # What the API does ------------------------------------------------------------------------------------------------
    def create(self, namespace: str, plural: str, body: dict) -> dict:
        key = (namespace, plural, body["metadata"]["name"])
        with self.changed:
            if key in self.objects:
                raise Refusal(409, "AlreadyExists", f'{plural}.tinkerbell.org "{key[2]}" already exists')
            return self._put(key, body, "ADDED")

    def replace(self, key: tuple[str, str, str], body: dict) -> dict:
        with self.changed:
            there = self.get(key)
            said = body["metadata"].get("resourceVersion")
            if said and said != there["metadata"]["resourceVersion"]:
                raise Refusal(409, "Conflict", "the object has been modified; please apply your changes to it again")
            return self._put(key, body, "MODIFIED")

    def get(self, key: tuple[str, str, str]) -> dict:
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{key[1]}.tinkerbell.org "{key[2]}" not found')
        return self.objects[key]

    def delete(self, key: tuple[str, str, str]) -> dict:
        with self.changed:
            gone = self.get(key)
            del self.objects[key]
            self._tell(key, gone, "DELETED")
            return gone

    def _put(self, key, body: dict, verb: str) -> dict:
        wrong = next(iter(Draft202012Validator(SCHEMAS[key[1]]).iter_errors(body)), None)
        if wrong:
            raise Refusal(422, "Invalid", f"{key[1]} {key[2]!r} is invalid: {wrong.json_path}: {wrong.message}")
        self.objects[key] = copy.deepcopy(body)
        return self._tell(key, self.objects[key], verb)

    def _tell(self, key, found: dict, verb: str) -> dict:
        self.version += 1
        found["metadata"] = found["metadata"] | {"resourceVersion": str(self.version)}
        self.history.append((self.version, verb, key, copy.deepcopy(found)))
        self.changed.notify_all()
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_):
        pass

    def answer(self, code: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handled(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        namespace, plural, *name = url.path.removeprefix(ROOT).split("/")
        try:
            if self.cluster.refusing:
                raise self.cluster.refusing.pop(0)
            if plural not in SCHEMAS or len(name) > 1:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            if name:
                verb = {"GET": self.cluster.get, "DELETE": self.cluster.delete}.get(self.command)
                key = (namespace, plural, name[0])
                self.answer(200, verb(key) if verb else self.cluster.replace(key, body))
            elif self.command == "POST":
                self.answer(201, self.cluster.create(namespace, plural, body))
            elif self.query.get("watch") in ("1", "true", "True"):
                self.watch(namespace, plural)
            else:
                self.answer(200, self.listed(namespace, plural))
        except Refusal as refusal:
            self.answer(refusal.code, refusal.status)

    do_GET = do_POST = do_PUT = do_DELETE = handled

    def selected(self, found: dict) -> bool:
        wanted = dict(pair.split("=", 1) for pair in self.query.get("labelSelector", "").split(",") if pair)
        return wanted.items() <= (found["metadata"].get("labels") or {}).items()

    def listed(self, namespace: str, plural: str) -> dict:
        with self.cluster.changed:
            items = [found for key, found in self.cluster.objects.items() if key[:2] == (namespace, plural)]
            version = str(self.cluster.version)
            return {"metadata": {"resourceVersion": version}, "items": [one for one in items if self.selected(one)]}

    def watch(self, namespace: str, plural: str) -> None:
        """Chunks, a line of JSON each, until the time is over or the server ends it."""
        cluster, at = self.cluster, int(self.query["resourceVersion"])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        with cluster.changed:
            cluster.watches += 1
            mine = cluster.watches
            while cluster.closing < mine:
                if at < cluster.oldest:
                    gone = Refusal(410, "Expired", f"too old resource version: {at} ({cluster.oldest})")
                    self.chunk({"type": "ERROR", "object": gone.status})
                    break
                for version, verb, key, found in cluster.history:
                    if version > at and key[:2] == (namespace, plural) and self.selected(found):
                        self.chunk({"type": verb, "object": found})
                at = cluster.version
                cluster.changed.wait(10)
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, event: dict) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()


@contextmanager
def serving():
    """(the cluster, its address)."""
    cluster = Cluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThis", (Handler,), {"cluster": cluster}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield cluster, f"http://127.0.0.1:{server.server_port}"
    cluster.end_watches()
    server.shutdown()
    server.server_close()
    thread.join(10)

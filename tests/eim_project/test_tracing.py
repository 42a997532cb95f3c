"""Traces reach a collector that speaks OTLP over HTTP: whose they are is in them, and no secret."""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="requirements-otel.txt isn't installed"
)

# A process like any of ours: one request that changes something, and the message that it sends to the loop.
PROGRAM = """
import json, sys
import django; django.setup()
from django.test import Client
from celery import current_app
from opentelemetry import trace
from tenants import tokens
from tenants.models import Grant, Project, User
project, password = sys.argv[1:]
ann = User.objects.create_user("ann-of-traces", password=password)
Grant.objects.create(user=ann, role="im-rw", project=Project.objects.get(name=project))
token = tokens.for_person(ann, "system-client")
headers = {"authorization": f"Bearer {token}", "x-request-id": "request-0001"}
path = f"/v1/projects/{project}/regions?code=hunter3"
answer = Client(SERVER_NAME="localhost").post(path, {"name": "north"}, "application/json", headers=headers)
assert answer.status_code == 200, answer.content
with current_app.connection_for_read() as broker:
    while message := broker.default_channel.basic_get("wake"):  # others may have rung before
        parent = message.headers.get("traceparent")
print(json.dumps([answer.json()["resourceId"], token, parent]))
ann.delete()
trace.get_tracer_provider().force_flush()
"""


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Tests tell by their assertions."""


@pytest.fixture
def collector():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.bodies = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(*command: str, **variables: str) -> subprocess.CompletedProcess:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"]).geturl()
    environment = {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "eim_project.settings", **variables}
    return subprocess.run(
        [sys.executable, *command], cwd=settings.BASE_DIR, env=os.environ | environment,
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_a_change_is_one_trace_with_its_tenant_and_its_message_to_the_loop(collector, committed):
    done = run(
        "-c", PROGRAM, committed.name, "hunter2-hunter2",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resource_id, token, parent = json.loads(done.stdout)
    assert {path for path, _ in collector.bodies} == {"/v1/traces"}
    spans = [
        span for _, body in collector.bodies
        for of_resource in trace_service.ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_resource.scope_spans for span in of_scope.spans
    ]  # fmt: skip
    by_name = {span.name: span for span in spans}
    request = next(span for name, span in by_name.items() if name.startswith("POST"))
    told = {attribute.key: attribute.value.string_value for attribute in request.attributes}
    assert told["eim.tenant"] == committed.schema_name and told["eim.request_id"] == "request-0001"
    mine = [span for span in spans if span.trace_id == request.trace_id]
    statements = [span for span in mine if span.name in ("INSERT", "SELECT")]
    assert statements and all("request-0001" in str(span.attributes) for span in statements)
    assert parent.split("-")[1] == request.trace_id.hex()
    sent = b"".join(body for _, body in collector.bodies)
    for secret in ("hunter2", "hunter3", token, settings.SECRET_KEY):
        assert secret.encode() not in sent
    assert resource_id


def test_without_the_packages_nothing_starts_and_the_way_out_is_named():
    blocked = "import sys; sys.modules['opentelemetry.sdk'] = None; import django; django.setup()"
    done = run("-c", blocked, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
    assert done.returncode == 2
    assert "pip install -r requirements-otel.txt" in done.stderr.splitlines()[-1]

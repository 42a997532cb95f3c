"""The real layout, started without containers, and everything of the demo through its nginx. Run by make layout."""

import json
import re
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import grpc
import pytest
from django.conf import settings as django_settings

from edge import fleet
from eim_project.demo import Api, make_catalog, stage
from tests.layout.layout import LONGEST, PASSWORD, running, speaks, until

pytestmark = [pytest.mark.layout, pytest.mark.timeout(900)]
NODES, PROJECT = 6, "berlin"


@pytest.fixture(scope="module")
def layout():
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def context(layout):
    return ssl.create_default_context(cafile=layout.ca)


def call(layout, context, method, path, token="", body=None):
    """Status, headers and body of what nginx answers."""
    data, headers = None, {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        data = json.dumps(body).encode() if token else urllib.parse.urlencode(body).encode()
        headers["Content-Type"] = "application/json" if token else "application/x-www-form-urlencoded"
    request = urllib.request.Request(layout.url + path, data, headers, method=method)  # noqa: S310  ours
    try:
        with urllib.request.urlopen(request, timeout=LONGEST, context=context) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()


@pytest.fixture(scope="module")
def token(layout, context):
    form = {"grant_type": "password", "client_id": "system-client", "username": "admin", "password": PASSWORD}
    status, _, body = call(layout, context, "POST", "/realms/master/protocol/openid-connect/token", body=form)
    assert status == 200, body
    return json.loads(body)["access_token"]


@pytest.fixture(scope="module")
def project(layout, context, token):
    """Made over REST by one of the workers."""
    for path in (f"/v1/orgs/{PROJECT}", f"/v1/projects/{PROJECT}?org={PROJECT}"):
        status, _, body = call(layout, context, "PUT", path, token, {})
        assert status == 200, body
    status = f"/v1/projects/{PROJECT}/status"
    until(lambda: "CREATE is complete" in call(layout, context, "GET", status, token)[2], f"{PROJECT} is made")
    return f"/v1/projects/{PROJECT}"


class Operator(threading.Thread):
    """Makes a region and reads it back, again and again; keeps what wasn't answered as it should be."""

    def __init__(self, ask, project):
        super().__init__(daemon=True)
        self.ask, self.project, self.made, self.wrong, self.enough = ask, project, {}, [], threading.Event()

    def run(self):
        while not self.enough.wait(0.5):
            name = f"region {uuid4()}"
            status, _, body = self.ask("POST", f"{self.project}/regions", body={"name": name})
            if status != 200:
                self.wrong.append((status, body))
                continue
            self.made[name] = json.loads(body)["resourceId"]
            status, _, body = self.ask("GET", f"{self.project}/regions/{self.made[name]}")
            if status != 200 or json.loads(body)["name"] != name:
                self.wrong.append((status, body))


def test_the_servers_are_as_they_must_be_and_the_role_is_no_superuser(layout):
    found = json.loads(layout.manage("doctor", "--json"))
    assert [one for one in found if one["level"] == "fail"] == []
    assert [one["level"] for one in found if one["name"] == "database"] == ["ok", "ok"]  # it answers, and is in order


def test_every_process_is_shut_in_as_in_its_container(layout):
    """Or the tests here wouldn't show that read-only containers work."""
    for name, process in layout.running.items():
        seen_by_it = ["nsenter", "--mount", f"--target={process.pid}", "touch"]
        for place, status in {"/": 1, django_settings.BASE_DIR: 1, layout.data.parent: 1, layout.data: 0}.items():
            tried = subprocess.run([*seen_by_it, f"{place}/tried"], capture_output=True, text=True)
            assert tried.returncode == status and ("Read-only" in tried.stderr) == bool(status), (name, place)
        held = re.findall(r"^Cap(?:Prm|Eff|Bnd):\s+0+$", Path(f"/proc/{process.pid}/status").read_text(), re.M)
        assert len(held) == 3, name


def test_rows_become_running_machines_while_one_process_after_the_other_is_restarted(
    layout, context, token, project, settings, monkeypatch, tmp_path
):
    def ask(method, path, body=None):
        return call(layout, context, method, path, token, body)

    settings.EIM_ARTIFACTS = layout.data / "artifacts"
    monkeypatch.setenv("SSL_CERT_FILE", str(layout.ca))
    rows, told = tmp_path / "hosts.csv", tmp_path / "status.json"
    with rows.open("w") as file:
        fleet.write_csv(range(1, NODES + 1), file)
    api = Api(SimpleNamespace(http=layout.url), token, PROJECT)
    make_catalog(api, rows)
    trust = {"SSL_CERT_FILE": str(layout.ca), "REQUESTS_CA_BUNDLE": str(layout.ca), "EDGEORCH_TOKEN": token}
    remote = ("bulk_import", str(rows), "--project", PROJECT, "--onboard", "--url", layout.url)
    assert f"{NODES} imported" in layout.manage(*remote, **trust)

    knows = ["--url", layout.url, "--ca", str(layout.ca), "--disks", str(tmp_path / "disks")]
    machines = subprocess.Popen(
        [sys.executable, "-m", "edge.fleet", "--nodes", str(NODES), "--json-status", str(told), *knows],
        cwd=django_settings.BASE_DIR,
    )

    def all_run():
        assert machines.poll() is None
        hosts = api.all("compute/hosts", "hosts")
        heard = json.loads(told.read_text())["running"]  # as they say themselves
        return len(hosts) == heard == NODES and all(stage(host) == "running" for host in hosts)

    operators = [Operator(ask, project) for _ in range(2)]
    for operator in operators:
        operator.start()
    try:
        until(lambda: told.exists() and "Provisioning" in told.read_text(), "a machine is being installed")
        layout.restart("web-1")
        layout.restart("southbound-1")
        layout.restart("reconcilers-1", signal.SIGKILL)
        layout.restart("southbound-2", signal.SIGKILL)
        layout.restart("web-2")
        until(all_run, "all machines run", 2 * LONGEST, lambda: (told.read_text(), api.all("compute/hosts", "hosts")))
    finally:
        machines.kill()
        machines.wait()
        for operator in operators:
            operator.enough.set()
        for operator in operators:
            operator.join(LONGEST)
    assert [operator.wrong for operator in operators] == [[], []]
    made = {name: made for operator in operators for name, made in operator.made.items()}
    there = {region["name"]: region["resourceId"] for region in api.all("regions", "regions")}
    assert len(made) > 10 and {name: there.get(name) for name in made} == made


def test_people_sign_in_and_see_the_projects_pages(layout, context, project):
    browser = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(cookies := CookieJar()), urllib.request.HTTPSHandler(context=context)
    )

    def get(path, **form):
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(layout.url + path, data, {"Referer": layout.url + path})  # noqa: S310  ours
        with browser.open(request, timeout=LONGEST) as answer:
            return answer.url, answer.read().decode()

    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', get("/login/")[1])[1]
    where = f"/p/{PROJECT}/admin/"
    at, page = get("/login/", username="admin", password=PASSWORD, csrfmiddlewaretoken=hidden, next=where)
    assert at == layout.url + where and "Hosts" in page
    assert cookies and all(cookie.secure for cookie in cookies)
    sheet = re.search(r'href="(/static/[^"]+\.css)"', page)[1]
    assert "{" in get(sheet)[1]


def test_nginx_speaks_http_2_and_lets_no_stranger_see_what_is_for_operators(layout, context):
    assert speaks(layout.https, layout.ca, "h2") and speaks(layout.https, layout.ca, "http/1.1")
    for path in ("/metrics", "/readyz"):
        assert call(layout, context, "GET", path)[0] == 404
    assert call(layout, context, "GET", "/livez")[0] == 200


def test_each_process_tells_metrics_of_its_own_and_they_only_grow(layout, context, token, project):
    def told_by(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LONGEST) as answer:
            return answer.read().decode()

    def served(port):
        counted = re.findall(r"^\w+_requests_total_by_method_total\{.*\} (\S+)", told_by(port), re.M)
        return sum(map(float, counted))

    before = [served(port) for port in layout.web]
    for _ in range(10):
        assert call(layout, context, "GET", f"{project}/compute/hosts", token)[0] == 200
    after = [served(port) for port in layout.web]
    assert sum(after) - sum(before) >= 10 and all(late > early for early, late in zip(before, after, strict=True))
    trust = grpc.ssl_channel_credentials(layout.ca.read_bytes())
    with grpc.secure_channel(layout.url.removeprefix("https://"), trust) as channel:
        beat = channel.unary_unary("/hostmgr_southbound_proto.Hostmgr/UpdateInstanceStateStatusByHostGUID")

        def each_was_asked():
            with pytest.raises(grpc.RpcError):  # nobody is let in without a token, and each counts that
                beat(b"", timeout=LONGEST)
            return all('code="UNAUTHENTICATED"' in told_by(port) for port in layout.metrics)

        until(each_was_asked, "nginx has passed a call to each southbound process")
    hosts = re.findall(rf'^edge_hosts\{{.*project="{PROJECT}".*\}} (\S+)', told_by(layout.exporter), re.M)
    assert sum(map(float, hosts)) == NODES

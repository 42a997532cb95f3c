"""A real Prometheus (Debian's) reads the exporter and our rules, and an alert fires."""

import json
import re
import socket
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.simple_server import make_server

import pytest
import yaml
from django.db import connections
from django_tenants.utils import schema_context
from prometheus_client import generate_latest
from prometheus_client.exposition import ThreadingWSGIServer

from exporter.collectors import registry
from exporter.management.commands.exporter import Quiet, served
from inventory.models import Host, HostState, Indicator, Status

DATA = Path(__file__).parents[2] / "exporter/data"
pytestmark = pytest.mark.debian


def test_promtool_finds_nothing_wrong_with_the_metrics(acme, settings):
    settings.EXPORTER_KEEPS = 0
    type(acme).objects.filter(pk=acme.pk).update(host_metrics=True)
    Host(serial_number="SN00001").ask(state=HostState.REGISTERED)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(registry()), capture_output=True, check=False
    )
    # The archived exporter's labels, which whoever reads them knows by these names.
    wrong = [line for line in checked.stderr.decode().splitlines() if "camelCase" not in line]
    assert not wrong and "edge_hosts" not in checked.stderr.decode()


def test_promtool_finds_nothing_wrong_with_the_rules():
    subprocess.run(["promtool", "check", "rules", DATA / "alerts.yaml"], check=True, capture_output=True)


def test_what_the_dashboard_and_the_alerts_ask_for_is_told(acme, client, settings):
    """Every metric that is named there is one of ours, or django-prometheus' own."""
    settings.EXPORTER_KEEPS = 0
    told = generate_latest(registry()).decode() + client.get("/metrics").content.decode()
    known = {*re.findall(r"^# TYPE (\S+)", told, re.M)}
    asked = (DATA / "dashboard.json").read_text() + (DATA / "alerts.yaml").read_text()
    for metric in {*re.findall(r"\b(?:edge|eim|django)_[a-z_]+", asked)}:
        assert known & {metric, metric.removesuffix("_total"), metric.removesuffix("_bucket")}, metric


@pytest.fixture
def prometheus(tmp_path, unused_port):
    """A running one, with our rules without their patience; its address."""
    rules = re.sub(r"for: \w+", "for: 0s", (DATA / "alerts.yaml").read_text())
    (tmp_path / "alerts.yaml").write_text(rules)
    config = yaml.safe_load((DATA / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{unused_port}"]}]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address={address}", "--log.level=error"],
    )  # fmt: skip
    yield f"http://{address}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_alert_fires_for_a_host_that_is_lost(prometheus, unused_port, committed, settings):
    settings.EXPORTER_KEEPS = 0
    asker = ThreadPoolExecutor(1)
    server = make_server("127.0.0.1", unused_port, served(asker), ThreadingWSGIServer, Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with schema_context(committed.schema_name):
            host = Host(serial_number="SN00001")
            host.ask(state=HostState.REGISTERED)
            host.observe(host_status=Status("No Connection", Indicator.ERROR))
        alert = firing(prometheus, "EdgeHostsLost", committed.name)
        assert alert["annotations"]["summary"] == f"1 hosts of {committed.name} are not heard any more"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        asker.submit(connections.close_all).result(10)  # so that the test database can be dropped
        asker.shutdown()


def firing(prometheus: str, name: str, project: str) -> dict:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{prometheus}/api/v1/alerts", timeout=5) as answer:  # noqa: S310
                alerts = json.load(answer)["data"]["alerts"]
        except OSError:
            alerts = []
        for alert in alerts:
            labels = alert["labels"]
            if (labels["alertname"], labels.get("project"), alert["state"]) == (name, project, "firing"):
                return alert
        threading.Event().wait(0.3)
    raise AssertionError(f"{name} doesn't fire: {alerts}")

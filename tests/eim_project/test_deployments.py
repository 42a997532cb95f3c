"""What docker/ and deploy/ say about us is so: settings, roles, commands, files and paths that they name exist."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command, get_commands

from eim_project import run, tls
from eim_project.settings import environment
from workers.server import doors

ROOT = Path(__file__).parents[2]
COMPOSE, KUBERNETES, UNITS = ROOT / "docker/compose.yaml", ROOT / "deploy/kubernetes", ROOT / "deploy/systemd"
THEIRS = {  # of the images that we stand on
    "PATH", "PYTHONDONTWRITEBYTECODE", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD",
    "GF_ANALYTICS_REPORTING_ENABLED",
}  # fmt: skip
BY_HAND = {"flower", "tinkerbell"}  # roles that not everybody needs


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text()))


def nodes(tree: Any) -> Iterator[dict]:
    """All mappings in a document."""
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(below)


MANIFESTS = {file: documents(file) for file in sorted(KUBERNETES.glob("*.yaml"))}
LAYOUTS = {
    "compose": COMPOSE.read_text(),
    "kubernetes": "\n".join(file.read_text() for file in KUBERNETES.glob("*.yaml")),
    "systemd": "\n".join(file.read_text() for file in UNITS.glob("*.service")),
    "image": (ROOT / "docker/Dockerfile").read_text(),
}


def variables() -> Iterator[tuple[str, str]]:
    """Where, and which."""
    for file in (ROOT / "docker/example.env", KUBERNETES / "settings.env", UNITS / "eim.env"):
        yield from ((file.name, name) for name in re.findall(r"^(\w+)=", file.read_text(), re.M))
    for file in (ROOT / "docker/nginx.conf.template", COMPOSE):
        yield from ((file.name, name) for name in re.findall(r"\$\{(\w+)", file.read_text()))
    yield from (("Dockerfile", name) for line in re.findall(r"^ENV (.*)", LAYOUTS["image"], re.M)
                for name in re.findall(r"(\w+)=", line))  # fmt: skip
    for node in nodes(documents(COMPOSE)):
        if isinstance(node.get("environment"), dict):
            yield from (("compose", name) for name in node["environment"])
    for file, tree in MANIFESTS.items():
        yield from ((file.name, one["name"]) for node in nodes(tree) for one in node.get("env", []))


def commands(text: str) -> str:
    """As words with one blank between them, however YAML or a unit writes them; without comments."""
    return " ".join(re.sub(r"^\s*#.*|[\[\],\"']|^\s*- ", " ", text, flags=re.M).split())


def test_every_variable_that_a_deployment_sets_is_a_setting():
    named = [*variables()]
    assert len({where for where, _ in named}) > 6
    assert [(where, name) for where, name in named if name not in environment.settings and name not in THEIRS] == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_role_and_command_of_a_deployment_exists(layout):
    words = commands(LAYOUTS[layout])
    assert {*re.findall(r"-m eim_project\.run (\w+)", words)} <= run.ROLES.keys()
    assert {*re.findall(r"manage\.py (\w+)", words)} <= get_commands().keys()


@pytest.mark.parametrize("layout", ["compose", "kubernetes", "systemd"])
def test_every_role_runs_in_every_deployment(layout):
    words = commands(LAYOUTS[layout])
    assert {*re.findall(r"-m eim_project\.run (\w+)", words)} == run.ROLES.keys() - BY_HAND
    assert "manage.py prepare" in words


def test_what_a_deployment_takes_from_our_files_is_there():
    mounted = re.findall(r"- (\.\S+?):/", COMPOSE.read_text())
    taken = documents(KUBERNETES / "kustomization.yaml")[0]
    taken = [*taken["resources"], *(one["path"] for one in taken["patches"]), *(
        name.rpartition("=")[2] for made in taken["configMapGenerator"] for name in made.get("files", made.get("envs"))
    )]  # fmt: skip
    assert mounted and [name for name in mounted if not (COMPOSE.parent / name).exists()] == []
    assert [name for name in taken if not (KUBERNETES / name).exists()] == []
    assert (KUBERNETES / "dh.pem").read_text() == tls.DH_PARAMETERS


def test_prometheus_calls_the_jobs_as_the_alerts_do():
    jobs = {job["job_name"] for job in documents(ROOT / "docker/prometheus.yaml")[0]["scrape_configs"]}
    asked = {*re.findall(r'job="(\w+)"', (ROOT / "exporter/data/alerts.yaml").read_text())}
    assert asked and asked <= jobs


def test_nginx_passes_on_as_grpc_what_the_southbound_server_serves_and_nothing_of_the_web():
    template = (ROOT / "docker/nginx.conf.template").read_text()
    is_grpc = re.compile(re.search(r"location ~ (\S+) \{\s+grpc_pass", template)[1])
    methods = doors().methods.keys() | {"/grpc.health.v1.Health/Check"}
    assert [path for path in methods if not is_grpc.match(path)] == []
    routes = (ROOT / "tests/tenants/doors.txt").read_text().splitlines()
    web = {f"/{line.split()[1]}" for line in routes if line.strip() and not line.startswith("#")}
    assert len(web) > 100 and [path for path in web if is_grpc.match(re.sub(r"<[^>]*>", "Some.Name", path))] == []


def test_where_nginx_has_no_image_a_command_fills_its_template_in_from_the_settings(settings):
    said = io.StringIO()
    call_command("nginx", stdout=said)
    site = said.getvalue()
    assert "${" not in site and f"root {settings.EIM_ARTIFACTS};" in site
    assert "upstream eim_web {\n    zone eim_web 64k;\n    server 127.0.0.1:8001 max_fails=0; server" in site


def test_a_role_becomes_its_program_with_what_is_said_after_it():
    def said(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "eim_project.run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    assert run.command("southbound", "[::1]:7") == ["manage.py", "southbound", "--address", "[::1]:7"]
    became = said("exporter", "--address", "127.0.0.1:7", "--no-such-option")
    assert became.returncode == 2 and "exporter: error: unrecognized arguments: --no-such-option" in became.stderr
    refused = said("beat", "--address", "127.0.0.1:7")
    assert refused.returncode == 2 and "beat listens nowhere" in refused.stderr

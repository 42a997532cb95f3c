"""From the first release to this one, and from the last one while it runs: all is served as before, nothing is lost.

What the first release left is first_release.tar.xz; first_release.py tells how it was made.
"""

import json
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from eim_project import embedded
from tests.eim_project.test_backup import another_database
from tests.eim_project.waiting import wait_until
from tests.upgrade.first_release import COLLECTIONS, FILE, ROOT, worktree

pytestmark = pytest.mark.timeout(900)  # each begins a dozen processes, one after the other
# The last commit that landed before these changes; each landing may move it on.
PREVIOUS = "c5ff5c621bf92dc3dc3738c7429ee96e627cadae"
COUNTED = ["tenants_project", "tenants_event", "tenants_edgecredential", "tenants_claim", "provisioning_workflow"]
PATIENCE = 240  # seconds for a command, on a machine that has much else to do


class Deployment:
    """A database and a data folder that versions share, and what is started on them."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self.data = url, data
        self.environment = os.environ | {"DATABASE_URL": url, "EIM_DATA": str(data), "EIM_LOG_LEVEL": "WARNING"}

    def manage(self, *words: str, tree: Path = settings.BASE_DIR) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=tree, env=self.environment,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def work(self, tree: Path) -> None:
        """What is to be done, by the version in this tree."""
        done = subprocess.run(
            [sys.executable, "-c", WORK], cwd=tree, capture_output=True, text=True, timeout=PATIENCE,
            env=self.environment | {"DJANGO_SETTINGS_MODULE": "eim_project.settings"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        with psycopg.connect(self.url, options="-c search_path=public") as there:
            assert there.execute("SELECT count(*) FROM tenants_ring").fetchone() == (0,)

    def count(self) -> dict[str, int]:
        """Rows: of shared tables, and of each tenant's hosts and instances."""
        with psycopg.connect(self.url, options="-c search_path=public") as there:
            schemas = dict(there.execute("SELECT name, schema_name FROM tenants_project").fetchall())
            tables = COUNTED + [
                f"{schema}.inventory_{noun}" for schema in schemas.values() for noun in ("host", "instance", "site")
            ]
            return {table: there.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}

    def schema_of(self, project: str) -> str:
        with psycopg.connect(self.url, options="-c search_path=public") as there:
            return there.execute(
                "SELECT schema_name FROM tenants_project WHERE name = %s", [project]
            ).fetchone()[0]  # fmt: skip

    @contextmanager
    def web(self, tree: Path = settings.BASE_DIR, token: str = "") -> Iterator["Web"]:
        """The web server of the version in this tree; without a token its own command makes one."""
        port = embedded.free_port()
        arguments = ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--worker-class", "gthread", "--preload"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "eim_project.wsgi", *arguments], cwd=tree, env=self.environment
        )
        try:
            served = Web(f"http://127.0.0.1:{port}", token or self.manage("issue_token", tree=tree).strip())
            wait_until(lambda: served.answers() or process.poll() is not None, PATIENCE)
            assert process.poll() is None
            yield served
        finally:
            process.terminate()
            process.wait(30)


class Web:
    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.address}/healthz", timeout=10).status == 200  # noqa: S310
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None) -> dict:
        asked = urllib.request.Request(  # noqa: S310
            f"{self.address}/v1/projects/{path}", json.dumps(body).encode() if body else None,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}, method=method,
        )  # fmt: skip
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{method} {path}: {refusal} {refusal.read().decode()[:500]}") from refusal


@pytest.fixture
def first_release(tmp_path) -> Iterator[tuple[Deployment, dict]]:
    """Restored, not migrated yet; and what its API answered."""
    with tarfile.open(FILE) as tar:
        tar.extractall(tmp_path, filter="data")
    served = json.loads((tmp_path / "served.json").read_text())
    with another_database(f"upgrade_{os.getpid()}") as url:
        deployment = Deployment(url, tmp_path / "data")
        deployment.manage("restore", str(tmp_path / "first.backup"))
        yield deployment, served


def differences(before, after, where: str = "") -> list[str]:
    """What isn't as it was. A field that there wasn't before is none.

    The first release told the state of a link as a text, where the archived system has an object.
    """
    if where.endswith(".linkState"):
        after = after["type"]
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for key in before for line in differences(before[key], after.get(key), f"{where}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for at, pair in enumerate(zip(before, after, strict=True))
            for line in differences(*pair, f"{where}[{at}]")
        ]
    return [] if before == after else [f"{where}: {before!r} became {after!r}"]


def test_what_the_first_release_left_is_served_and_counted_the_same(first_release):
    deployment, served = first_release
    before = deployment.count()
    assert before["provisioning_workflow"] >= 3 and before["tenants_project"] == 2
    deployment.manage("migrate_fleet")
    assert deployment.count() == before
    with deployment.web() as web:
        for project in ("demo", "berlin"):
            for path in COLLECTIONS:
                after = web.ask("GET", f"{project}/{path}?pageSize=100")
                assert differences(served[project][path], after, f"{project}/{path}") == []


# What the loop of a version does, without the clock and the broker.
WORK = """
import django; django.setup()
from workers import engine, models, tasks
tasks.wake()
for queue in models.Queue.values:
    while work := models.claim(queue, engine.lease()):
        engine.run(work)
"""


def test_the_last_version_goes_on_serving_while_tenants_are_migrated(first_release):
    """Reads, writes and the loop, by both at once, some tenants being migrated and others not yet."""
    deployment, _ = first_release
    with previous() as tree:
        deployment.manage("migrate_fleet", tree=tree)
        with deployment.web(tree) as old:
            use(old, "demo", "before")
            deployment.manage("migrate_fleet", "--schema", deployment.schema_of("berlin"))
            use(old, "demo", "not yet")
            use(old, "berlin", "migrated")
            with deployment.web(token=old.token) as new:
                use(new, "berlin", "by the new one")
                use(old, "berlin", "by the old one again")
                deployment.manage("migrate_fleet")
                for name, web in {"old": old, "new": new}.items():
                    for project in ("demo", "berlin"):
                        use(web, project, f"at the end {name}")
                deployment.work(tree)
                deployment.work(settings.BASE_DIR)
                wrote = {"before", "not yet", "at the end old", "at the end new"}
                names = {region["name"] for region in new.ask("GET", "demo/regions?pageSize=100")["regions"]}
                assert wrote <= names


def use(web: Web, project: str, name: str) -> None:
    """All that is read by lists; a row that is made, one that is changed, and one that is made and deleted."""
    for path in COLLECTIONS:
        assert web.ask("GET", f"{project}/{path}?pageSize=100")["totalElements"] >= 0
    region = web.ask("POST", f"{project}/regions", {"name": name})
    site = web.ask("POST", f"{project}/sites", {"name": name, "regionId": region["resourceId"]})
    [host, *_] = web.ask("GET", f"{project}/compute/hosts?pageSize=1")["hosts"]
    changed = web.ask("PATCH", f"{project}/compute/hosts/{host['resourceId']}", {"name": name})
    assert changed["name"] == name
    assert web.ask("GET", f"{project}/compute/hosts/{host['resourceId']}")["name"] == name
    web.ask("DELETE", f"{project}/sites/{site['resourceId']}")


@contextmanager
def previous() -> Iterator[Path]:
    """The sources of the version before this one."""
    if git("cat-file", "-e", f"{PREVIOUS}^{{commit}}").returncode:
        if git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            pytest.skip("this clone is shallow, so the last version isn't in it: git fetch --unshallow")
        pytest.fail(f"the last version, {PREVIOUS}, isn't in this repository: see PREVIOUS in {__file__}")
    with worktree(PREVIOUS) as tree:
        yield tree


def git(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)

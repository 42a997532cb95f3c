"""A real browser before a real stack: `manage.py up --demo` with a small fleet, started once for all these tests.

Any page that a test opens may log no error and ask no other host for anything: that is asserted when the test ends.
EIM_BROWSER_STACK names the EIM_DATA of a stack that runs already, for whoever writes tests (with EIM_ADMIN_PASSWORD and
EIM_MPS_URL as it was started with); EIM_SCREENSHOTS=1 writes the pictures of the documents anew.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.walking import into_demo
from tests.eim_project.waiting import wait_until
from tests.services import environment_without
from tests.workers import controllers

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = os.environ.get("EIM_ADMIN_PASSWORD", "correct horse battery")
FLEET = 6
PATIENCE = 30_000  # milliseconds, for whatever a page is waited for
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Stack:
    """Where it is, and a way to do what only a terminal can."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.environment = {**environment, "EIM_DATA": str(data)}
        told = json.loads((data / "stack.json").read_text())
        self.data, self.http, self.flower = data, told["http"], told["flower"]
        self.https, self.grpc, self.ca = told["https"], told["grpc"], told["ca"]

    def manage(self, *command: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=settings.BASE_DIR, env={**self.environment, **environment},
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @cached_property
    def _token(self) -> str:
        return self.manage("issue_token").strip()

    def api(self, path: str, **asked: str) -> dict[str, Any]:
        """What the demo project's API answers."""
        url = f"{self.http}/v1/projects/demo/{path}?{urlencode(asked)}"
        request = Request(url, headers={"Authorization": f"Bearer {self._token}"})  # noqa: S310  our own stack
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def host(self, serial: str) -> dict[str, Any]:
        [found] = self.api("compute/hosts", filter=f'serialNumber="{serial}"')["hosts"]
        return self.api(f"compute/hosts/{found['resourceId']}")


@pytest.fixture(scope="session")
def toolkit() -> Iterator[controllers.Toolkit]:
    """The servers that the stack speaks to machines' AMT through. A stack that runs already was told where they are."""
    told = urlsplit(os.environ.get("EIM_MPS_URL", "")).port
    with controllers.toolkit(told or 0) as toolkit:
        yield toolkit


@pytest.fixture(scope="session")
def stack(tmp_path_factory, toolkit) -> Iterator[Stack]:
    """It runs, and so does its fleet, when the first test begins."""
    if running := os.environ.get("EIM_BROWSER_STACK"):
        yield Stack(Path(running), environment_without())
        return
    with ExitStack() as ending:
        home = Path("/var/lib/eim") if os.geteuid() == 0 else tmp_path_factory.mktemp("browser")
        home.mkdir(exist_ok=True)
        data = Path(ending.enter_context(TemporaryDirectory(dir=home, prefix="browser-", ignore_cleanup_errors=True)))
        names = [f"EIM_{name}_PORT" for name in ("HTTP", "HTTPS", "GRPC", "FLOWER", "EXPORTER")]
        ports = map(str, random.sample(range(20000, 30000), len(names)))  # where no stack of the developer's listens
        own = {"EIM_DATA": str(data), "EIM_ARTIFACTS": str(data / "artifacts"), "EIM_ADMIN_PASSWORD": PASSWORD}
        own |= {"EIM_MPS_URL": toolkit.url, "EIM_RPS_URL": toolkit.url}
        environment = {**environment_without(), **own, **dict(zip(names, ports, strict=True))}
        said = data / "said.log"
        with said.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--demo", "--fleet", str(FLEET)], cwd=settings.BASE_DIR,
                env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        ending.callback(_end, process)
        wait_until(lambda: process.poll() is not None or "demo: " in said.read_text(), seconds=400)
        assert f"demo: {FLEET}/{FLEET} Running" in said.read_text(), said.read_text()[-3000:]
        yield Stack(data, environment)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's. Without one these tests are skipped on a laptop, and fail where they count."""
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """Somebody with a browser of their own, who is watched: what its pages complain of, and whom they ask."""

    def __init__(self, browser: Browser, stack: Stack) -> None:
        self.context: BrowserContext = browser.new_context(
            viewport=WIDE, base_url=stack.http, locale="en-GB", timezone_id="Europe/Berlin"
        )
        self.context.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.expected: list[str] = []  # parts of complaints that a test provokes
        self._host = urlsplit(stack.http).hostname
        self.context.on("page", self._watch)

    def page(self) -> Page:
        return self.context.new_page()

    def signed_in(self, name: str, password: str) -> Page:
        """As everybody does it: from the start page, by the form."""
        page = self.page()
        page.goto("/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Projects").wait_for()
        return page

    def assert_content(self) -> None:
        assert [one for one in self.complaints if not any(part in one for part in self.expected)] == []

    def _watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self._asked(page, request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.location.get('url')}: {message.text}")

    def _asked(self, page: Page, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob", "about") and urlsplit(url).hostname != self._host:
            self.complaints.append(f"{page.url} asked another host for {url}")


@pytest.fixture
def visitor(browser, stack) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, as many as a story has people."""
    made: list[Visitor] = []

    def make() -> Visitor:
        made.append(Visitor(browser, stack))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
    for one in made:
        one.assert_content()


@pytest.fixture
def admin(visitor) -> Page:
    """The administrator, at the start page."""
    return visitor().signed_in("admin", PASSWORD)


@pytest.fixture(scope="session")
def people(stack) -> dict[str, str]:
    """{name: role in the demo project}. Their password is everybody's."""
    names = {"olga": "im-rw", "rita": "im-r"}
    known = stack.manage("list_users")
    for name, role in names.items():
        if name not in known.split():
            stack.manage("create_user", name, EIM_PASSWORD=PASSWORD)
            stack.manage("grant", role, "--user", name, "--project", "demo")
    return names


@pytest.fixture
def olga(visitor, people) -> Page:
    """Who may write in the demo project, at its overview."""
    return into_demo(visitor().signed_in("olga", PASSWORD))


@pytest.fixture
def fresh() -> str:
    """A word that nothing is called by yet."""
    return uuid4().hex[:8]

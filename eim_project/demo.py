"""The main job on show: rows of a CSV file become running machines, while you watch."""

import asyncio
import csv
import gzip
import hashlib
import json
import random
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eim_project.processes import Program, StackError
from eim_project.stack import PROJECT, Outcome, Stack
from eim_project.supervisor import Supervisor
from eim_project.terminal import Terminal

PROFILE = "debian-12-demo"
IMAGE = f"images/{PROFILE}.raw.gz"
IMAGE_BYTES = 8 * 2**20  # before gzip, half of it
EXAMPLE, EXAMPLE_NODES = settings.BASE_DIR / "examples/hosts.csv", 20
LONGEST = 900  # seconds until we give up on the fleet
LOOK_EVERY = 0.7  # seconds
PAGE = 100  # hosts, the API's most
TABLE_ROWS = 40  # of the fleet, at the end

COORDINATES = {  # of the example's cities, in degrees times ten million: for the console's map
    "Berlin": {"siteLat": 525200000, "siteLng": 134050000},
    "Hamburg": {"siteLat": 535400000, "siteLng": 99800000},
    "Munich": {"siteLat": 481300000, "siteLng": 116000000},
}
STAGES = {
    "registered": "white",
    "onboarded": "cyan",
    "provisioning": "yellow",
    "rebooting": "magenta",
    "running": "green",
    "failed": "red",
}


class Demo:
    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.home = settings.EIM_DATA / "fleet"
        self.told = self.home / "status.json"  # by the fleet

    async def __call__(self, stack: Stack, supervisor: Supervisor, terminal: Terminal) -> Outcome:
        hosts_csv = await self._hosts_csv(stack, supervisor)
        api = Api(stack, (await supervisor.output_of(stack.manage("token", "issue_token"))).strip())
        await asyncio.to_thread(make_catalog, api, hosts_csv)
        imported = await supervisor.output_of(
            stack.manage("import", "bulk_import", str(hosts_csv), "--project", PROJECT, "--onboard")
        )
        terminal.say("demo", imported.strip().splitlines()[-1])
        await supervisor.start(self._simulated_nodes(stack))
        fleet = await self._watch(api, Fleet(serials_of(hosts_csv)), terminal)
        seconds = time.monotonic() - terminal.started
        running = min(fleet.count()["running"], self._heard())
        return Outcome(running == self.nodes, f"demo: {running}/{self.nodes} Running in {seconds:.0f} s")

    async def _hosts_csv(self, stack: Stack, supervisor: Supervisor) -> Path:
        """The example that comes with us, or one as long as the fleet."""
        if self.nodes == EXAMPLE_NODES:
            return EXAMPLE
        fleet = ["-m", "edge.fleet", "--csv", "--nodes", str(self.nodes)]
        hosts_csv = settings.EIM_DATA / f"hosts-{self.nodes}.csv"
        hosts_csv.write_text(await supervisor.output_of(stack.python("csv", *fleet)))
        return hosts_csv

    def _simulated_nodes(self, stack: Stack) -> Program:
        """The fleet has a URL, a CA file and a folder for what its nodes keep; of everything else it knows nothing."""
        self.home.mkdir(exist_ok=True)
        self.told.unlink(missing_ok=True)
        knows = ["--url", stack.https, "--ca", stack.ca, "--disks", str(self.home / "disks")]
        return Program(
            "fleet",
            [sys.executable, "-m", "edge.fleet", "--nodes", str(self.nodes), *knows, "--json-status", str(self.told)],
            {"PYTHONPATH": str(settings.BASE_DIR), "PYTHONUNBUFFERED": "1"},
            apart=True,
            cwd=self.home,
        )

    def _heard(self) -> int:
        """How many nodes say themselves that their heartbeats are accepted: the API also remembers an earlier fleet."""
        return json.loads(self.told.read_text())["running"] if self.told.exists() else 0

    async def _watch(self, api: "Api", fleet: "Fleet", terminal: Terminal) -> "Fleet":
        """Look at the API until all nodes run or the time is up."""
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
        board = Live(fleet.board(), console=console, refresh_per_second=4) if console.is_terminal else None
        show_before, told = terminal.show, ""
        deadline = time.monotonic() + LONGEST
        if board:
            board.start()
            terminal.show = lambda line: console.print(Text.from_ansi(line))
        try:
            while min(fleet.count()["running"], self._heard()) < self.nodes and time.monotonic() < deadline:
                fleet.look_at(await asyncio.to_thread(api.all, "compute/hosts", "hosts"))
                if board:
                    board.update(fleet.board())
                elif (now := fleet.line()) != told:
                    terminal.say("demo", told := now)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            if board:
                board.stop()
            terminal.show = show_before
        console.print(fleet.table())
        return fleet


# What we see ---------------------------------------------------------------------------------------------------------


@dataclass
class Fleet:
    serials: set[str]
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)  # serial -> host as the API has it
    events: deque[str] = field(default_factory=lambda: deque(maxlen=8))

    def look_at(self, hosts: list[dict[str, Any]]) -> None:
        for host in hosts:
            serial = host["serialNumber"]
            if serial not in self.serials:
                continue
            if (now := story(host)) != (story(self.hosts[serial]) if serial in self.hosts else ""):
                self.events.append(f"{time.strftime('%H:%M:%S')}  {host['resourceId']}  {serial}  {now}")
            self.hosts[serial] = host

    def count(self) -> Counter[str]:
        return Counter(stage(host) for host in self.hosts.values())

    def line(self) -> str:
        counted = self.count()
        return ", ".join(f"{counted[name]} {name}" for name in STAGES if counted[name]) or "nothing registered yet"

    def steps(self) -> str:
        """Where those that are being provisioned are."""
        at = Counter(story(host).partition(": ")[2] for host in self.hosts.values() if stage(host) == "provisioning")
        return ", ".join(f"{step} ({count})" for step, count in sorted(at.items()) if step)

    def board(self) -> Group:
        counted, rows = self.count(), Table.grid(padding=(0, 2))
        for name, colour in STAGES.items():
            bar = ProgressBar(len(self.serials), counted[name], width=40, complete_style=colour, finished_style=colour)
            rows.add_row(
                Text(name, colour), bar, f"{counted[name]:>4}", Text(self.steps() if name == "provisioning" else "")
            )
        return Group(Text(), rows, Text(), *(Text(event, "dim") for event in self.events), Text())

    def table(self) -> Table:
        table = Table(title="The fleet", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for heading in ("id", "serial", "site", "operating system", "status", "hardware"):
            table.add_column(heading, no_wrap=True)
        for _, host in sorted(self.hosts.items())[:TABLE_ROWS]:
            instance = host.get("instance") or {}
            table.add_row(
                *(host["resourceId"], host["serialNumber"], (host.get("site") or {}).get("name", "")),
                (instance.get("os") or {}).get("name", ""),
                " / ".join(dict.fromkeys([host["hostStatus"], instance.get("instanceStatus", "no instance")])),
                f"{host['cpuCores']} cores, {int(host['memoryBytes'] or 0) / 2**30:.0f} GiB",
                style=STAGES[stage(host)],
            )
        if len(self.hosts) > TABLE_ROWS:
            table.caption = f"and {len(self.hosts) - TABLE_ROWS} more"
        return table


def stage(host: dict[str, Any]) -> str:
    instance = host.get("instance") or {}
    provisioning = instance.get("provisioningStatus", "")
    if instance.get("currentState") == "INSTANCE_STATE_RUNNING":
        return "running" if host["hostStatus"] == instance["instanceStatus"] == "Running" else "rebooting"
    if "Failed" in provisioning:
        return "failed"
    if provisioning.startswith("Provisioning In Progress"):
        return "provisioning"
    return "onboarded" if host["currentState"] == "HOST_STATE_ONBOARDED" else "registered"


def story(host: dict[str, Any]) -> str:
    now = stage(host)
    return host["instance"]["provisioningStatus"] if now in ("provisioning", "failed") else now


# What we ask ---------------------------------------------------------------------------------------------------------


class Api:
    """The REST API of one project, as any client sees it."""

    def __init__(self, stack: Stack, token: str, project: str = PROJECT) -> None:
        self.base = f"{stack.http}/v1/projects/{project}"
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._call("POST", path, json.dumps(body).encode())

    def all(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}?pageSize={PAGE}&offset={len(found)}")
            found += page[key]
            if not page["hasNext"]:
                return found

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.base}/{path}", body, self.headers, method=method)  # noqa: S310  ours
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise StackError(
                f"the API refuses {method} {path}: {error.code} {error.read().decode(errors='replace')}"
            ) from error


# What the CSV file takes for granted ---------------------------------------------------------------------------------


def serials_of(hosts_csv: Path) -> set[str]:
    with hosts_csv.open(newline="") as file:
        return {row["Serial"] for row in csv.DictReader(file)}


def make_catalog(api: Api, hosts_csv: Path) -> None:
    """The regions, sites and operating system that the rows name, where they aren't there already."""
    with hosts_csv.open(newline="") as file:
        sites = sorted({row["Site"] for row in csv.DictReader(file) if row["Site"]})
    regions = {region["name"]: region["resourceId"] for region in api.all("regions", "regions")}
    present = {site["name"] for site in api.all("sites", "sites")}
    for site in sites:
        city = site.split()[0]
        if city not in regions:
            regions[city] = api.post("regions", name=city)["resourceId"]
        if site not in present:
            api.post("sites", name=site, regionId=regions[city], **COORDINATES.get(city, {}))
    profiles = {system["profileName"] for system in api.all("compute/os", "OperatingSystemResources")}
    if PROFILE not in profiles:
        api.post(
            "compute/os",
            name="Debian 12 demo",
            profileName=PROFILE,
            architecture="x86_64",
            imageUrl=f"tink-stack/{IMAGE}",
            imageId="1",
            sha256=hashlib.sha256(make_image().read_bytes()).hexdigest(),
            osType="OS_TYPE_MUTABLE",
            osProvider="OS_PROVIDER_KIND_INFRA",
            securityFeature="SECURITY_FEATURE_NONE",
        )


def make_image() -> Path:
    """A disk image that nothing boots, but whose every byte is streamed and checked. Always the same bytes."""
    image = settings.EIM_ARTIFACTS / IMAGE
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        noise = random.Random(PROFILE).randbytes(IMAGE_BYTES // 2)
        fresh = image.with_suffix(".partial")
        fresh.write_bytes(gzip.compress(noise + bytes(IMAGE_BYTES - len(noise)), mtime=0))
        fresh.rename(image)
    return image

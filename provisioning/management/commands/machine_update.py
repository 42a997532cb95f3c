"""`manage.py machine_update`: install a machine (QEMU's), have an operator update it, and see that it really has been."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from django.conf import settings

from provisioning import qemu
from provisioning.apt_repository import Repository
from provisioning.dkam import image, tools
from provisioning.management.commands import machine
from provisioning.management.commands.machine import LOOK_EVERY_SECONDS, Api, Failed, Installation

WINDOW_SECONDS = 3600
PACKAGE = "edge-proof"
ARGUMENT = "edge.proof=2"  # of the kernel


class Command(machine.Command):
    help = "Boot a QEMU machine, wait until its agent reports, and update it in a maintenance window."

    def add_arguments(self, parser):
        parser.add_argument("what", choices=UPDATES, help="packages by apt")
        super().add_arguments(parser)

    def handle(self, **options):
        self.chosen = UPDATES[options.pop("what")]
        super().handle(**options)

    @property
    def kind(self):
        return self.chosen


class Updated(Installation):
    """A machine that is updated once it runs."""

    def watch(self, api: Api, host_id: str, machine: qemu.Machine) -> dict[str, Any]:
        host = super().watch(api, host_id, machine)
        self.instance = host["instance"]["resourceId"]
        self.mark("Running: now it is updated")
        now = int(time.time())
        api.call("POST", "schedules/single", name="now", scheduleStatus="SCHEDULE_STATUS_OS_UPDATE", targetHostId=host_id,
                 startSeconds=now + 2, endSeconds=now + WINDOW_SECONDS)  # fmt: skip
        self.update(api, machine)
        return api.call("GET", f"compute/hosts/{host_id}")

    def update(self, api: Api, machine: qemu.Machine) -> None:
        raise NotImplementedError

    def follow(self, api: Api, machine: qemu.Machine, **policy: Any) -> dict[str, Any]:
        """Have the instance follow a new policy; the run that comes of it, once it has ended."""
        before = {run["resourceId"] for run in self.runs(api)}
        made = api.call("POST", "os-update-policies", name="proof", updatePolicy="UPDATE_POLICY_TARGET", **policy)
        api.call("PATCH", f"compute/instances/{self.instance}", osUpdatePolicyID=made["resourceId"])
        while True:
            self.listen(machine)
            for run in self.runs(api):
                if run["resourceId"] not in before:
                    self.note(f"API: {run['name']}: {run['status']}")
                    if run["endTime"] < time.time() + WINDOW_SECONDS:
                        return run
            if not machine.is_on():
                raise Failed("QEMU ended by itself")
            if time.monotonic() > self.deadline:
                raise Failed(f"not updated in time; the API says: {api.call('GET', self.path)['updateStatus']}")
            time.sleep(LOOK_EVERY_SECONDS)

    @property
    def path(self) -> str:
        return f"compute/instances/{self.instance}"

    def runs(self, api: Api) -> list[dict[str, Any]]:
        found = api.call("GET", "os-update-runs?pageSize=100")["osUpdateRuns"]
        return [run for run in found if run["instance"]["resourceId"] == self.instance]


class AptUpdate(Updated):
    """A package is installed from a repository of our own; then its second version, with a reboot, in the window."""

    def update(self, api: Api, machine: qemu.Machine) -> None:
        folder = settings.EIM_DATA / "machine" / "repository"
        tools.remove(folder)
        repository = Repository(folder)
        with served(folder) as port:
            source = Repository.source(f"http://{qemu.HOST_AS_SEEN_BY_GUEST}:{port}")
            for version, more in {"1.0": {}, "2.0": {"updateKernelCommand": ARGUMENT}}.items():
                repository.publish(PACKAGE, version)
                run = self.follow(api, machine, updatePackages=PACKAGE, updateSources=[source], **more)
                told = json.loads(run["statusDetails"])["update_log"]
                found = [entry["version"] for entry in told if entry["package_name"] == PACKAGE]
                on_disk = self.on_disk(machine)
                if found != [version] or on_disk != version:
                    raise Failed(f"{PACKAGE} {version} was to be installed: {run['status']}, {told}; on disk: {on_disk}")
                self.mark(f"{PACKAGE} {version} is on its disk")

    def on_disk(self, machine: qemu.Machine) -> str:
        """The package's version as the disk has it, past all that agent and server say."""
        disk = machine.folder / "disk.raw"
        asked = f"cat /usr/share/{PACKAGE}/version"
        for _ in range(60):  # the machine writes its files out within half a minute
            if found := tools.run("debugfs", "-c", "-R", asked, f"{disk}?offset={image.ROOT_START}").strip():
                return found
            time.sleep(1)
        return ""


UPDATES = {"apt": AptUpdate}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """What machines fetch is in their own words."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The port of this machine's loopback on which a folder can be had by HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()

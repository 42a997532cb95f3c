"""`manage.py machine_update`: install a machine (QEMU's), have an operator update it, and see that it really was."""

import hashlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from django.conf import settings

from provisioning import qemu
from provisioning.apt_repository import Repository
from provisioning.dkam import image, slots, tools
from provisioning.dkam.store import Store
from provisioning.management.commands import machine
from provisioning.management.commands.machine import LOOK_EVERY_SECONDS, Api, Failed, Installation

WINDOW_SECONDS = 3600
PACKAGE = "edge-proof"
ARGUMENT = "edge.proof=2"  # of the kernel


class Command(machine.Command):
    help = "Boot a QEMU machine, wait until its agent reports, and update it in a maintenance window."
    patience = 1800

    def add_arguments(self, parser):
        parser.add_argument("what", choices=UPDATES, help="packages by apt; a new image; one that doesn't come up")
        super().add_arguments(parser)

    def handle(self, **options):
        self.chosen = UPDATES[options.pop("what")]
        if issubclass(self.chosen, ImageUpdate):
            options["firmware"] = "uefi"
        super().handle(**options)

    @property
    def kind(self):
        return self.chosen


class Updated(Installation):
    """A machine that is updated once it runs."""

    has_window = False

    def watch(self, api: Api, host_id: str, machine: qemu.Machine) -> dict[str, Any]:
        host = super().watch(api, host_id, machine)
        self.instance = host["instance"]["resourceId"]
        self.host_id = host_id
        self.mark("Running: now it is updated")
        self.update(api, machine)
        return super().watch(api, host_id, machine)

    def update(self, api: Api, machine: qemu.Machine) -> None:
        raise NotImplementedError

    def follow(self, api: Api, machine: qemu.Machine, **policy: Any) -> dict[str, Any]:
        """Have the instance follow a new policy; the run that comes of it, once it has ended."""
        before = {run["resourceId"] for run in self.runs(api)}
        made = api.call("POST", "os-update-policies", name="proof", updatePolicy="UPDATE_POLICY_TARGET", **policy)
        api.call("PATCH", f"compute/instances/{self.instance}", osUpdatePolicyID=made["resourceId"])
        if not self.has_window:
            self.open_window(api)
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
                raise Failed(f"not updated in time; the API says: {self.shown(api)['updateStatus']}")
            time.sleep(LOOK_EVERY_SECONDS)

    def open_window(self, api: Api) -> None:
        """Only when there is a policy: in a window without one, a machine would get all packages that are newer."""
        now = int(time.time())
        window = {"startSeconds": now + 5, "endSeconds": now + WINDOW_SECONDS, "targetHostId": self.host_id}
        api.call("POST", "schedules/single", name="now", scheduleStatus="SCHEDULE_STATUS_OS_UPDATE", **window)
        self.has_window = True

    def shown(self, api: Api) -> dict[str, Any]:
        return api.call("GET", f"compute/instances/{self.instance}")

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
                found = [entry["version"] for entry in told if entry.get("package_name") == PACKAGE]
                on_disk = self.on_disk(machine, version)
                if found != [version] or on_disk != version:
                    raise Failed(f"{PACKAGE} {version} was wanted: {run['status']}, {told}; on the disk: {on_disk}")
                self.mark(f"{PACKAGE} {version} is on its disk")

    @staticmethod
    def on_disk(machine: qemu.Machine, wanted: str) -> str:
        """The package's version as the disk has it, past all that agent and server say."""
        disk = machine.folder / "disk.raw"
        asked = ("debugfs", "-c", "-R", f"cat /usr/share/{PACKAGE}/version", f"{disk}?offset={image.ROOT_START}")
        found = ""
        for _ in range(90):  # the machine writes its files out within half a minute
            if (found := tools.run(*asked).strip()) == wanted:
                break
            time.sleep(1)
        return found


class ImageUpdate(Updated):
    """An immutable machine gets another image, which stays, for its agent reaches the server."""

    image_step = "slots"

    @staticmethod
    def change(root: Path) -> None:
        """What is different in the new image."""
        (root / "etc/edge-release").write_text("2\n")

    def build(self) -> dict[str, Any]:
        first = super().build()
        self.second = another_image(type(self).__name__.lower(), self.change)
        self.mark("built a second one")
        return first

    def system(self, image: dict[str, Any]) -> dict[str, str]:
        return super().system(image) | {
            "imageUrl": image.get("url") or f"tink-stack/slots/{image['digest']}/{image['name']}",
            "name": f"Debian 12 immutable {image['sha256'][:8]}",
            "profileName": f"debian-immutable-12-{image['sha256'][:8]}",
            "imageId": image["sha256"][:16],
            "osType": "OS_TYPE_IMMUTABLE",
        }

    def update(self, api: Api, machine: qemu.Machine) -> None:
        before = self.shown(api)["os"]["resourceId"]
        wanted = api.call("POST", "compute/os", **self.system(self.second))["resourceId"]
        run = self.follow(api, machine, targetOsId=wanted)
        runs = self.shown(api)["os"]["resourceId"]
        self.check(run, runs, before, wanted)
        self.mark(f"{run['status']}; it runs {runs}")

    def check(self, run: dict[str, Any], runs: str, before: str, wanted: str) -> None:
        if run["status"] != "Update completed" or runs != wanted:
            raise Failed(f"the new image was to run: {run['status']}, {run['statusDetails']}")


class BrokenImage(ImageUpdate):
    """One whose digest is right and that has no init: its kernel panics, and the machine goes back by itself."""

    @staticmethod
    def change(root: Path) -> None:
        (root / "usr/sbin/init").unlink()

    def check(self, run: dict[str, Any], runs: str, before: str, wanted: str) -> None:
        [told] = json.loads(run["statusDetails"])["update_log"]
        if run["status"] != "Update failed" or told["status"] != "rolledback" or runs != before:
            raise Failed(f"it was to roll back, and to say so: {run['status']}, {told}")


UPDATES = {"apt": AptUpdate, "image": ImageUpdate, "broken-image": BrokenImage}


def another_image(name: str, change: Callable[[Path], None]) -> dict[str, Any]:
    """Built like the first, with a difference and no signature, and put where operators put images of their own."""
    store, images = Store(settings.EIM_ARTIFACTS), settings.EIM_ARTIFACTS / "images"
    packages = {step: store.current(step) for step in ("image-packages", "microos-packages")}
    images.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.EIM_ARTIFACTS) as scratch:
        slots.make(
            packages["image-packages"] / "root.tar", packages["microos-packages"] / "packages.tar", settings.BASE_DIR,
            (), Path(scratch), change,
        )  # fmt: skip
        made = images / f"{name}.raw.gz"
        shutil.move(Path(scratch, slots.NAME), made)
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"url": f"tink-stack/images/{made.name}", "name": made.name, "sha256": digest, "digest": digest}


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

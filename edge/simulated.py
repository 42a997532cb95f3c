"""One simulated machine: a firmware, a disk and a network card that exist only here, and real talk with the server."""

import asyncio
import http.client
import logging
import re
import time
import urllib.error
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Event

import grpc

from edge import factory, link, onboard, worker
from edge.agent.node import AGENT_VARIABLES, CLIENT_ID, CLIENT_SECRET, Agent, Told, variables
from edge.agents import Clock, Fault, Node
from edge.disk import Disk
from edge.errors import ActionFailed, EdgeError, NotRegistered, WorkflowFailed

log = logging.getLogger(__name__)

RETRY_MINUTES = 10.0  # how long image2disk tries to reach its image

serve = cache(link.Server)  # one TLS context for all machines of one server


class NoIdentity(EdgeError):
    """The installed system doesn't know who it is."""


class NoBootableDisk(EdgeError):
    """The server said "boot your own disk", and there is nothing on it."""


def kernel_arguments(script: str, machine: onboard.Identity) -> dict[str, str] | None:
    """What an iPXE script hands to the kernel it boots; None when it boots no kernel but the machine's own disk."""
    known = {"uuid": machine.uuid, "serial": machine.serial, "ip": machine.ip}
    known |= dict.fromkeys(("mac", "mac:hex", "net0/mac"), machine.mac)

    def expand(text: str) -> str:
        return re.sub(r"\$\{([^}]*)\}", lambda found: known.get(found[1], ""), text)

    for line in script.splitlines():
        match line.split():
            case ["set", name, *words]:
                known[name] = expand(" ".join(words))
            case ["kernel", *words]:
                pairs = (word.partition("=") for word in expand(" ".join(words)).split())
                return {name: value for name, equals, value in pairs if equals}
    return None


class Machine:
    """Machine `number`: it boots, is let in, works through its workflow, reboots, and reports until switched off."""

    def __init__(
        self,
        number: int,
        server: link.Server,
        disks: Path,
        image_pool: Executor,
        stopping: Event,
        *,
        heartbeat: timedelta,
        gives_up: bool = False,
        clock: Clock | None = None,
        faults: Iterable[Fault] = (),
        loads_images: bool = True,
        watch: Callable[["Machine"], None] = lambda machine: None,
    ) -> None:
        """clock: what wakes its four agents once it is installed; without one it has the node agent of real machines,

        and that alone. loads_images: or it only says that it has written one.
        """
        self.number, self.server, self.image_pool, self.stopping = number, server, image_pool, stopping
        self.clock, self.faults, self.loads_images = clock, {*faults}, loads_images
        self.identity = factory.identity(number)
        self.generation: worker.Generation = "old" if number % 2 == 0 else "new"
        self.disk = Disk(disks / self.identity.serial)
        self.heartbeat, self.gives_up, self.watch = heartbeat, gives_up, watch
        self.boots_own_disk = False  # the firmware's boot order; the network comes first in a new machine
        self.installer: tuple[link.Server, link.Token] | None = None  # what the micro-OS knew, until switched off
        self.phase, self.detail = "Off", ""
        self.started = time.monotonic()
        self.timeline: dict[str, float] = {}  # phase -> seconds after switching on, when it was first entered
        self.told: set[Told] = set()

    @property
    def running(self) -> bool:
        return self.phase == "Running"

    @property
    def ended(self) -> bool:
        return self.phase in ("Failed", "Not registered")

    def enter(self, phase: str, detail: str = "") -> None:
        self.timeline.setdefault(phase, round(time.monotonic() - self.started, 2))
        self.phase, self.detail = phase, detail
        self.watch(self)

    async def live(self) -> None:
        """From switching on until switched off. With `gives_up` a failure is the end, else it is tried again."""
        self.started = time.monotonic()
        for pause in link.pauses(5.0, 1.5, longest=60.0):
            try:
                await self.boot()
            except NotRegistered as reason:
                self.enter("Not registered", str(reason))
                return
            except EdgeError as reason:
                self.enter("Failed", str(reason))
                if self.gives_up:
                    return
                await asyncio.sleep(pause)
                self.boots_own_disk = False  # somebody looks after it and lets it boot from the network again

    async def boot(self) -> None:
        while True:
            self.enter("Booting")
            arguments = None if self.boots_own_disk else await self.netboot()
            if arguments is None:
                await self.run_installed_system()
            else:
                await self.run_micro_os(arguments)

    async def netboot(self) -> dict[str, str] | None:
        """Ask the server what to boot, as iPXE does, until it answers."""
        who = {"mac": self.identity.mac, "uuid": self.identity.uuid, "serial": self.identity.serial}
        for pause in link.pauses(1.0, 1.5, longest=10.0):
            try:
                script = await self.server.fetch("/tink-stack/boot.ipxe", query=who)
            except (OSError, http.client.HTTPException) as fault:
                self.enter("Booting", f"no boot script: {fault}")
                await asyncio.sleep(pause)
            else:
                break
        return kernel_arguments(script, self.identity)

    async def run_micro_os(self, arguments: dict[str, str]) -> None:
        """Onboarding, then workflows until one of them asks for the reboot."""
        server = serve(arguments["eim_url"], self.server.ca_file, arguments["grpc_authority"])
        self.enter("Onboarding")
        credentials = await self.discover(server)
        token = link.Token(server, credentials.client_id, credentials.client_secret)
        self.installer = (server, token)
        self.enter("Onboarded")
        while True:
            try:
                await worker.run_workflow(
                    server, token, arguments["worker_id"], self.generation, self.actions(), watch=self.watch_action
                )
            except WorkflowFailed as failure:
                if self.gives_up:
                    raise
                self.enter("Failed", str(failure))  # and wait for the workflow to be made anew
            else:
                self.enter("Rebooting")
                return

    async def discover(self, server: link.Server) -> onboard.Credentials:
        for pause in link.pauses(1.0, 1.5, longest=10.0):
            try:
                return await onboard.discover(server, self.announced(), lambda: self.enter("Registered"))
            except grpc.aio.AioRpcError as fault:
                self.enter("Onboarding", link.reason(fault))
                await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    def announced(self) -> onboard.Identity:
        wrong = Fault.WRONG_SERIAL in self.faults
        return replace(self.identity, serial=f"WRONG{self.number:05d}") if wrong else self.identity

    def watch_action(self, action: str, state: worker.State, message: str) -> None:
        if state == "RUNNING":
            self.enter("Provisioning", action)

    async def run_installed_system(self) -> None:
        """Cloud-init, then the agent, with nothing but what is on the disk."""
        if not self.disk.has_system:
            raise NoBootableDisk(f"{self.identity.serial} was told to boot its own disk, which is empty")
        self.disk.first_boot()
        self.enter("Starting")
        server, token, guid = self.installed_identity()
        if self.clock:
            self.clock.add(Node(self.number, guid, server, token, factory.hardware(self.number), self.faults))
            await asyncio.Future()  # until it is switched off
        agent = Agent(
            server,
            token,
            guid,
            lambda: factory.hardware(self.number),
            heartbeat=self.heartbeat,
            watch=self.watch_agent,
        )
        await agent.run()

    def installed_identity(self) -> tuple[link.Server, link.Token, str]:
        """Where to report, with what token, and as whom: what cloud-init wrote to the disk."""
        known = variables(self.disk.read(AGENT_VARIABLES))
        if {"EIM_URL", "GRPC_AUTHORITY", "GUID"} <= known.keys():
            server = serve(known["EIM_URL"], self.server.ca_file, known["GRPC_AUTHORITY"])
            token = link.Token(server, self.disk.read(CLIENT_ID), self.disk.read(CLIENT_SECRET))
            return server, token, known["GUID"]
        if self.installer is None:
            raise NoIdentity(f"cloud-init of {self.identity.serial} wrote no agent variables that we can read")
        log.warning(
            "cloud-init of %s wrote no agent variables that we can read: kept from onboarding", self.identity.serial
        )
        return *self.installer, self.identity.uuid

    def watch_agent(self, told: Told, trouble: str) -> None:
        if trouble:
            self.enter(self.phase, f"{told}: {trouble}")
            return
        self.told.add(told)
        if self.told >= {"heartbeat", "hardware"}:  # whatever else was told in between
            self.enter("Running")

    # What the workflow may ask for. Coroutines, because all but one take no time; the one has a pool of its own.

    def actions(self) -> dict[str, worker.Action]:
        return {
            "securebootflag": self.check_secure_boot,
            "erase_non_removable_disks": self.erase,
            "image2disk": self.write_image,
            "qemu_nbd_image2disk": self.write_image,
            "writefile": self.write_file,
            "cexec": self.run_in_system,
            "fde_dmv": self.run_in_system,
            "kernelupgrd": self.run_in_system,
            "efibootset": self.boot_own_disk_first,
            worker.REBOOT: self.reboot,
        }

    async def check_secure_boot(self, environment: dict[str, str]) -> None:
        wanted = environment.get("SECURITY_FEATURE_FLAG", "")
        if "SECURE_BOOT" in wanted:
            raise ActionFailed(f"secure boot is disabled in this machine's firmware, {wanted} needs it")

    async def erase(self, environment: dict[str, str]) -> None:
        self.disk.erase()

    async def write_image(self, environment: dict[str, str]) -> None:
        if not self.loads_images:
            return self.disk.pretend_image()
        await asyncio.get_running_loop().run_in_executor(self.image_pool, self.stream_image, environment)

    def stream_image(self, environment: dict[str, str]) -> None:
        """Try for some minutes: servers restart while machines install."""
        minutes = float(environment.get("RETRY_DURATION_MINUTES") or RETRY_MINUTES)
        end = time.monotonic() + 60 * minutes
        for pause in link.pauses(0.5, 1.5, longest=10.0):
            try:
                return self.disk.write_image(environment, self.stopping)
            except (OSError, http.client.HTTPException) as fault:
                hopeless = isinstance(fault, urllib.error.HTTPError) and fault.code < 500
                if hopeless or time.monotonic() + pause > end or self.stopping.wait(pause):
                    raise ActionFailed(f"{environment['IMG_URL']} can't be loaded: {fault}") from fault

    async def write_file(self, environment: dict[str, str]) -> None:
        self.need_system()
        self.disk.write_file(environment["DEST_PATH"], environment.get("CONTENTS", ""))

    async def run_in_system(self, environment: dict[str, str]) -> None:
        self.need_system()

    async def boot_own_disk_first(self, environment: dict[str, str]) -> None:
        self.boots_own_disk = True

    async def reboot(self, environment: dict[str, str]) -> None:
        """The reboot itself is what the machine does when its workflow returns."""

    def need_system(self) -> None:
        if not self.disk.has_system:
            raise ActionFailed("there is no system on the disk")

"""`manage.py machine`: install a machine (QEMU's) from an empty disk over the network, and see it report by the API."""

import hashlib
import json
import os
import re
import secrets
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from provisioning import pxe, qemu
from provisioning.dkam import build, signing, tools
from provisioning.dkam.errors import BuildFailed
from provisioning.dkam.store import Store
from provisioning.lan import Lan

PROJECT = "demo"
LAST_WORDS = 40  # lines of the console that are shown when it went wrong
LOOK_EVERY_SECONDS = 0.5
STACK_STARTS_WITHIN_SECONDS = 180
BOOTS = ("ipxe", "usb", "dvd", "http", "https")
TROUBLES = ("power-cut", "wrong-digest")
NEEDS_A_LAN = ("http", "https")
ENCRYPTED = "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION"

# What the machine says on its console -> what is told of it. Each is told once.
ON_THE_CONSOLE = {
    r"micro-OS [\d.]+ started": "the micro-OS has started",
    r"micro-OS [\d.]+ address (\S+)": "it has the address {}",
    r"micro-OS [\d.]+ discovered uuid=\S+ serial=(\S+)": "it found its serial number {}",
    r"micro-OS ([\d.]+) onboarded as (\S+)": "onboarded, {} s after its kernel started, as {}",
    r"micro-OS [\d.]+ action (\S+) SUCCESS": "done: {}",
    r"micro-OS [\d.]+ rebooting": "rebooting",
    r"micro-OS [\d.]+ (.*trying again.*)": "{}",
    r"micro-OS [\d.]+ (edge.microos ended.*)": "{}",
    r"TPM2 token unlocks volume": "its TPM unlocks its disk",
    r"cloud-init\[\d+\]: .* running 'init-local'": "the installed system has started",
    r"login:": "the installed system is up",
    r"(heartbeat|hardware) accepted": "its agent's {} is accepted",
}


class Failed(Exception):
    """The machine isn't where it should be; str() says why."""


class Command(BaseCommand):
    help = "Boot a QEMU machine with an empty disk from this server, and wait until its agent reports."
    requires_system_checks = []
    patience = 900  # seconds, of a machine with two cores where nothing is built yet

    @property
    def kind(self) -> "type[Installation]":
        return Installation

    def add_arguments(self, parser):
        parser.add_argument("--disk", choices=qemu.DISKS, default="virtio")
        parser.add_argument("--nic", choices=qemu.NICS, default="virtio")
        parser.add_argument("--firmware", choices=["bios", "uefi"], default="bios")
        parser.add_argument(
            "--boot",
            choices=BOOTS,
            default="ipxe",
            help="from its card's iPXE (the default), or with UEFI: a USB stick, a virtual DVD, or, as root, from a "
            "network of its own: UEFI HTTP or HTTPS boot",
        )
        parser.add_argument(
            "--secure-boot",
            action="store_true",
            help="enrol our keys first, and enforce them; encrypt for the TPM, and start once more",
        )
        parser.add_argument("--second-disk", action="store_true", help="with somebody else's data, not to be touched")
        parser.add_argument("--log-in", action="store_true", help="don't register it: log in on its serial console")
        parser.add_argument("--trouble", choices=TROUBLES, help="what goes wrong on the way")
        parser.add_argument(
            "--timeout", type=float, default=self.patience, metavar="SECONDS", help="for all of it (%(default)s)"
        )

    def handle(self, **options):
        if options["firmware"] == "bios" and (options["secure_boot"] or options["boot"] != "ipxe"):
            raise CommandError(f"a BIOS can't: add --firmware uefi to --boot {options['boot']}")
        hardware = qemu.Hardware(
            uuid=str(uuid4()),
            serial=f"QEMU{secrets.token_hex(4).upper()}",
            mac=f"52:54:00:{':'.join(f'{byte:02x}' for byte in secrets.token_bytes(3))}",
            ssh_port=qemu.free_port(),
            second_disk="OTHERS0001" if options["second_disk"] else "",
            tpm=options["secure_boot"],
            **{name: options[name] for name in ("disk", "nic", "firmware", "secure_boot")},
        )
        folder = settings.EIM_DATA / "machine"
        try:
            tools.require_all()
            tools.require(*self.kind.programs)
            with ExitStack() as around:
                lan = around.enter_context(Lan(folder / "lan")) if options["boot"] in NEEDS_A_LAN else None
                place = Place(lan.server if lan else qemu.HOST_AS_SEEN_BY_GUEST, lan)
                stack = around.enter_context(running_stack(place, self.stdout.write))
                kind = WrongDigest if options["trouble"] == "wrong-digest" else self.kind
                installation = kind(stack, hardware, options["timeout"], self.stdout.write)
                installation.logs_in, installation.loses_power = options["log_in"], options["trouble"] == "power-cut"
                seconds = installation.run(place, options["boot"], folder)
        except (BuildFailed, Failed) as failure:
            raise CommandError(f"machine: {failure}") from failure
        self.stdout.write(f"machine: {installation.outcome} in {seconds:.0f} s")


@dataclass(frozen=True)
class Place:
    """Where a machine and the server see each other: in QEMU's user networking, or in a LAN."""

    server: str
    lan: Lan | None


def boot_from(place: Place, way: str, stack: dict[str, Any], folder: Path) -> qemu.Boot:
    """Prepare the way, and say where the machine is to boot from."""
    served = f"http://{place.server}:{port_of(stack['http'])}/tink-stack"
    media = Store(settings.EIM_ARTIFACTS).current("media")
    match way:
        case "usb" | "dvd" if media:
            return qemu.Boot(**{way: media / "eim.iso"})
        case "http" | "https" if place.lan:
            url = served if way == "http" else f"https://{place.server}:{port_of(stack['https'])}/tink-stack"
            place.lan.give_addresses(pxe.HTTP_BOOT.format(url=url))
            authority = folder / "authority.esl"
            der = ssl.PEM_cert_to_DER_cert(Path(stack["ca"]).read_text())
            authority.write_bytes(signing.signature_list([der], uuid4()))
            return qemu.Boot(lan=place.lan, https_authorities=authority)
    return qemu.Boot(url=f"{served}/boot.ipxe")


class Installation:
    """One machine's way from an empty disk to Running, as an operator with the API and its console sees it."""

    outcome = "Running"
    logs_in = loses_power = False
    image_step = "image"  # of the build
    programs: tuple[str, ...] = ()  # that it needs besides those of each machine

    def __init__(self, stack: dict[str, Any], hardware: qemu.Hardware, timeout: float, say: Any) -> None:
        self.stack, self.hardware, self.say = stack, hardware, say
        self.began = time.monotonic()
        self.deadline = self.began + timeout
        self.told: set[str] = set()
        self.heard = 0  # characters of the console
        self.marks: list[tuple[float, str]] = []

    def run(self, place: Place, way: str, folder: Path) -> float:
        """Seconds from switching on until the API says Running."""
        image = self.build()
        api = Api(self.stack)
        host_id = "" if self.logs_in else self.register(api)
        if host_id:
            self.order(api, host_id, image)
        boot = boot_from(place, way, self.stack, folder)
        if self.hardware.secure_boot:
            self.enrol(folder)
        with qemu.Machine(self.hardware, boot, folder, fresh=not self.hardware.secure_boot) as machine:
            switched_on = time.monotonic()
            self.mark("switched on")
            try:
                if self.logs_in:
                    host_id = self.log_in(api, machine)
                    self.order(api, host_id, image)
                host = self.watch(api, host_id, machine)
                seconds = time.monotonic() - switched_on
                if self.hardware.second_disk and not machine.is_untouched():
                    raise Failed("the second disk, which was not to be installed on, was written to")
                if self.hardware.tpm:
                    self.start_again(machine)
            except Failed:
                self.say("\n".join(["", f"The console's last {LAST_WORDS} lines:", *machine.last_words(LAST_WORDS)]))
                raise
        self.summary(host)
        return seconds

    def log_in(self, api: "Api", machine: qemu.Machine) -> str:
        """Be who stands before the machine, and mistypes the password at first; the id of the host that there is then.

        Who it is may onboard machines of the project, and nothing else.
        """
        person, password = f"onboarder-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        manage(self.stack, "create_user", person, EIM_PASSWORD=password)
        manage(self.stack, "grant", "en-ob", "--user", person, "--project", PROJECT)
        for typed in ("wrong", password):
            for question, answer in (("username: ", person), ("password: ", typed)):
                self.hear(machine, question)
                with machine.keyboard() as keys:
                    keys.sendall(f"{answer}\r".encode())
            self.hear(machine, "the token service refused" if typed == "wrong" else "onboarded by")
        for host in api.call("GET", "compute/hosts?filter=" + urllib.parse.quote(f'uuid = "{self.hardware.uuid}"'))[
            "hosts"
        ]:
            return host["resourceId"]
        raise Failed("there is no host of who logged in")

    def hear(self, machine: qemu.Machine, words: str) -> None:
        """Wait until these are on the console, and forget what was there up to them."""
        while True:
            text = machine.console.read_text(errors="replace")
            if (at := text.find(words, self.heard)) >= 0:
                self.heard = at + len(words)
                return
            self.listen(machine)
            if time.monotonic() > self.deadline:
                raise Failed(f"the console doesn't say {words!r}")
            time.sleep(LOOK_EVERY_SECONDS)

    def start_again(self, machine: qemu.Machine) -> None:
        """A later start than the first, which was still the installation's: the power is cut, and comes back."""
        machine.cut_power()
        self.told.clear()
        self.heard = len(machine.console.read_text(errors="replace"))
        self.mark("power cut, and back")
        machine.switch_on()
        self.hear(machine, "heartbeat accepted")
        self.mark("it has started again by itself")

    def enrol(self, folder: Path) -> None:
        """Give our certificates to the firmware, as at a real machine by a stick; from then on it enforces them."""
        media = Store(settings.EIM_ARTIFACTS).current("media")
        assert media  # just built
        with qemu.Machine(self.hardware, qemu.Boot(usb=media / "secure-boot-enroll.iso", once=True), folder) as machine:
            if not machine.until_off(max(1.0, self.deadline - time.monotonic())):
                raise Failed("the firmware didn't take our certificates: " + " ".join(machine.last_words(3)))
        self.mark("its firmware has our certificates")

    def build(self) -> dict[str, Any]:
        """Facts about the disk image, once the build workers have made all that today's sources give."""
        self.mark("building what machines boot")
        timeout = max(1.0, self.deadline - time.monotonic())
        steps = ("media", "ipxe", self.image_step)
        artifacts = json.loads(manage(self.stack, "build_artifacts", *steps, f"--timeout={timeout:.0f}", say=self.say))
        self.mark("built")
        [image] = build.BY_NAME[self.image_step].serves
        return {"name": image, **artifacts[image]}

    def register(self, api: "Api") -> str:
        it = self.hardware
        host = api.call("POST", "compute/hosts/register", uuid=it.uuid, serialNumber=it.serial, autoOnboard=True)
        return host["resourceId"]

    def order(self, api: "Api", host_id: str, image: dict[str, Any]) -> None:
        """Its place, the disk to install on if there are two, and what is to run on it."""
        region = api.find_or_make("regions", "regions", "name", name="Berlin")
        site = api.find_or_make("sites", "sites", "name", name="Berlin Lab", regionId=region)
        system = api.find_or_make("compute/os", "OperatingSystemResources", "name", **self.system(image))
        it = self.hardware
        named = [{"key": "install-disk", "value": qemu.serial(it).lower()}] if it.second_disk else []
        api.call("PATCH", f"compute/hosts/{host_id}", name=f"qemu-{it.disk}-{it.nic}", siteId=site, metadata=named)
        api.call("POST", "compute/instances", hostID=host_id, osID=system, kind="INSTANCE_KIND_METAL",
                 **self.besides(api))  # fmt: skip
        self.mark(f"ordered for {host_id}: {it.serial}, disk {it.disk}, network card {it.nic}, {it.firmware}")

    def besides(self, _api: "Api") -> dict[str, Any]:
        """What else its instance is made with."""
        return {"securityFeature": ENCRYPTED} if self.hardware.secure_boot else {}

    def system(self, image: dict[str, Any]) -> dict[str, str]:
        """The operating system that this image is of, as an operator enters it."""
        return {
            "imageUrl": f"tink-stack/images/{image['digest']}/{image['name']}",
            "name": f"Debian 12 {image['sha256'][:8]}",
            "profileName": f"debian-12-{image['sha256'][:8]}",
            "imageId": image["digest"],
            "sha256": image["sha256"],
            "architecture": "x86_64",
            "osType": "OS_TYPE_MUTABLE",
            "osProvider": "OS_PROVIDER_KIND_INFRA",
            "securityFeature": ENCRYPTED if self.hardware.secure_boot else "SECURITY_FEATURE_NONE",
        }

    def watch(self, api: "Api", host_id: str, machine: qemu.Machine) -> dict[str, Any]:
        """Tell what happens until the host runs and all its hardware is known; the host as the API shows it then."""
        while True:
            self.listen(machine)
            host = api.call("GET", f"compute/hosts/{host_id}")
            instance = host.get("instance") or {}
            self.note(f"API: host {host['hostStatus']}, instance {instance.get('instanceStatus')}")
            provisioning = instance.get("provisioningStatus", "")
            self.note(f"API: {provisioning}")
            if self.is_there(host):
                return host
            if self.loses_power and re.search(r"\d of \d+ MiB", machine.console.read_text(errors="replace")):
                self.loses_power = False
                machine.cut_power()
                self.mark("power cut while the image is streamed, and back")
                machine.switch_on()
            if "Failed" in provisioning:
                raise Failed(provisioning)
            if not machine.is_on():
                raise Failed("QEMU ended by itself")
            if time.monotonic() > self.deadline:
                raise Failed(f"not Running in time; the API says: {host['hostStatus']}, {provisioning}")
            time.sleep(LOOK_EVERY_SECONDS)

    def is_there(self, host: dict[str, Any]) -> bool:
        return is_running(host)

    def listen(self, machine: qemu.Machine) -> None:
        for line in machine.new_lines():
            for pattern, text in ON_THE_CONSOLE.items():
                if found := re.search(pattern, line):
                    self.note(text.format(*found.groups()))

    def note(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.mark(text)

    def mark(self, text: str) -> None:
        now = time.monotonic() - self.began
        self.marks.append((now, text))
        self.say(f"{now:7.1f} s  {text}")

    def summary(self, host: dict[str, Any]) -> None:
        if not is_running(host):
            return
        disks = ", ".join(f"{disk.get('deviceName')} {_size(disk['capacityBytes'])}" for disk in host["hostStorages"])
        nics = ", ".join(f"{nic.get('deviceName')} {nic.get('macAddr')}" for nic in host["hostNics"])
        self.say("")
        self.say(f"  CPU     {host['cpuModel']}, {host['cpuCores']} cores, {host['cpuThreads']} threads")
        self.say(f"  memory  {_size(host['memoryBytes'])}\n  disks   {disks}\n  NICs    {nics}")
        longest = sorted(((later - at, text) for (at, text), (later, _) in pairwise(self.marks)), reverse=True)[:3]
        self.say("  longest " + "; ".join(f"{seconds:.0f} s after “{text}”" for seconds, text in longest) + "\n")


class WrongDigest(Installation):
    """Of an image that isn't what the operator says it is: refused, with the reason on the instance."""

    outcome = "Refused"

    def build(self) -> dict[str, Any]:
        return super().build() | {"sha256": hashlib.sha256(b"another image").hexdigest()}

    def is_there(self, host: dict[str, Any]) -> bool:
        told = (host.get("instance") or {}).get("provisioningStatus", "")
        return "nothing bootable was written" in told


def is_running(host: dict[str, Any]) -> bool:
    instance = host.get("instance") or {}
    known = all(host.get(part) for part in ("cpuCores", "memoryBytes", "hostStorages", "hostNics"))
    reports = host["hostStatus"] == instance.get("instanceStatus") == "Running"
    return known and reports and instance["currentState"] == "INSTANCE_STATE_RUNNING"


def _size(number: str | int) -> str:
    return f"{int(number) / 2**30:.1f} GiB"


class Api:
    """The REST API of the project, as any client sees it."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self.base = f"{stack['http']}/v1/projects/{PROJECT}"
        token = manage(stack, "issue_token").strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def find_or_make(self, path: str, key: str, same: str, **body: Any) -> str:
        """The id of the resource that has the same value under one name; made if there is none."""
        found, wanted = 0, body[same]
        while True:
            page = self.call("GET", f"{path}?pageSize=100&offset={found}")
            for resource in page[key]:
                if resource[same] == wanted:
                    return resource["resourceId"]
            found += len(page[key])
            if not page["hasNext"]:
                return self.call("POST", path, **body)["resourceId"]

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.base}/{path}", data, self.headers, method=method)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise Failed(f"{method} {path}: {refusal.code} {refusal.read().decode(errors='replace')}") from refusal
        except urllib.error.URLError as fault:
            raise Failed(f"{self.base} doesn't answer: {fault.reason}") from fault


# The stack that it talks to -------------------------------------------------------------------------------------------


@contextmanager
def running_stack(place: Place, say: Any) -> Iterator[dict[str, Any]]:
    """The stack that runs in this data folder, or one started for this run and ended after it."""
    if stack := stack_of_today():
        check_reachable(stack, place)
        yield stack
        return
    log = settings.EIM_DATA / "machine" / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {"EIM_PUBLIC_HOST": place.server} | ({"EIM_BIND": "0.0.0.0"} if place.lan else {})
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=settings.BASE_DIR, env=own_environment(**environment),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        say("starting the stack")
        yield wait_for_stack(process, log)
    finally:
        process.terminate()
        process.wait()


def wait_for_stack(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + STACK_STARTS_WITHIN_SECONDS
    while not (stack := stack_of_today()):
        if process.poll() is not None or time.monotonic() > deadline:
            words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            raise Failed(f"the stack doesn't start: {(words or ['it said nothing'])[-1]} (more in {log})")
        time.sleep(0.2)
    return stack


def stack_of_today() -> dict[str, Any] | None:
    """Where everything is, if a healthy stack wrote it down and still answers."""
    try:
        stack = json.loads((settings.EIM_DATA / "stack.json").read_text())
        urllib.request.urlopen(f"{stack['http']}/healthz", timeout=10).close()  # noqa: S310 - ours
    except (FileNotFoundError, urllib.error.URLError):
        return None
    return stack


def check_reachable(stack: dict[str, Any], place: Place) -> None:
    if stack["public_host"] != place.server:
        raise Failed("the running stack tells machines another address: end it (make down) and try again")


def manage(stack: dict[str, Any], command: str, *arguments: str, say: Any = None, **environment: str) -> str:
    """Run one of our commands as a part of the stack; its output. What it tells on the way goes to `say`."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", command, *arguments], cwd=settings.BASE_DIR, text=True,
        env=own_environment(
            DATABASE_URL=stack["database_url"], REDIS_URL=stack["redis_url"], EIM_PUBLIC_HOST=stack["public_host"],
            **environment,
        ),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    told = []
    for line in process.stderr or ():
        told.append(line.strip())
        if say:
            say(f"           {line.rstrip()}")
    output = process.stdout.read() if process.stdout else ""
    if process.wait() != 0:
        raise Failed(f"{command}: {(told or ['it said nothing'])[-1]}")
    return output


def own_environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}


def port_of(url: str) -> int:
    return urllib.parse.urlsplit(url).port or 80

"""A network-booted machine's way to its operating system: who am I, let me in, do the workflow, reboot."""

import asyncio
import logging
import os
import shlex
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from edge.errors import EdgeError, WorkflowFailed
from edge.link import HTTP_SECONDS, Server, Token, pauses
from edge.microos import disks, efi
from edge.microos.actions import ACTIONS, foresee
from edge.onboard import Identity, discover
from edge.worker import run_workflow

CA_FILE = "/etc/eim/ca.crt"
DMI = Path("/sys/class/dmi/id")
NO_SERIAL = "N/A"
LONGEST_PAUSE_SECONDS = 60.0


def kernel_arguments(command_line: str) -> dict[str, str]:
    """name=value pairs of the kernel's command line; a word without a value is left out."""
    return dict(word.split("=", 1) for word in shlex.split(command_line) if "=" in word)


def identify(mac: str, server_url: str, enrolment: str = "", dmi: Path = DMI) -> Identity:
    """What the firmware says about this machine, and the address it reaches the server from."""
    serial = (dmi / "product_serial").read_text().strip() or NO_SERIAL
    uuid = (dmi / "product_uuid").read_text().strip().lower()
    return Identity(uuid=uuid, serial=serial, mac=mac, ip=_address_towards(server_url), enrolment=enrolment)


async def install(server: Server, mac: str, enrolment: str) -> None:
    """Returns when the machine has to reboot."""
    machine = identify(mac, server.url, enrolment)
    say(f"discovered uuid={machine.uuid} serial={machine.serial} mac={machine.mac} ip={machine.ip}")
    installed = await asyncio.to_thread(boots_from_disk, server, machine)
    if installed and efi.boot_disk_next(disks.wait_for_fixed_disks()[0]):
        say("this machine is installed: its disk is started")
        return
    credentials = await discover(server, machine, lambda: say("registered, waiting to be let in"))
    say(f"onboarded as {credentials.client_id}")
    token = Token(server, credentials.client_id, credentials.client_secret)
    await token.metadata()
    say("token received")
    while True:
        try:
            await run_workflow(server, token, mac, "new", ACTIONS, foresee=foresee, watch=_tell)
            return
        except WorkflowFailed as failure:  # the operator decides; a new workflow is picked up without a reboot
            say(f"workflow failed: {failure}; waiting for a new one")


def boots_from_disk(server: Server, machine: Identity) -> bool:
    """Whether this machine is installed: it was started from a stick, or from firmware that asks nobody what to boot.

    The server decides that in one place, the script for iPXE; `exit` in its last line means the disk.
    """
    asked = urllib.parse.urlencode({"uuid": machine.uuid, "serial": machine.serial})
    trust = ssl.create_default_context(cafile=server.ca_file)
    url = f"{server.url}/tink-stack/boot.ipxe?{asked}"
    with urllib.request.urlopen(url, timeout=HTTP_SECONDS, context=trust) as script:  # noqa: S310 - the server's
        return script.read().split()[-1:] == [b"exit"]


async def install_however_long_it_takes(server: Server, mac: str, enrolment: str = "") -> None:
    for pause in pauses(2.0, 2.0, longest=LONGEST_PAUSE_SECONDS):
        try:
            await install(server, mac, enrolment)
            return
        except (EdgeError, grpc.aio.AioRpcError, OSError) as fault:
            say(f"{_sentence(fault)}; trying again in {pause:.0f} s")
            await asyncio.sleep(pause)


def say(text: str) -> None:
    print(f"micro-OS {time.monotonic():.2f} {text}", flush=True)


def _tell(action: str, state: str, message: str) -> None:
    say(f"action {action} {state}{': ' if message else ''}{message}")


def _sentence(fault: Exception) -> str:
    if isinstance(fault, grpc.aio.AioRpcError):
        return f"the server can't be reached or refused ({fault.code().name}: {fault.details()})"
    return str(fault)


def _address_towards(url: str) -> str:
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent; the kernel picks the address
        probe.connect((parts.hostname, parts.port or 443))
        return probe.getsockname()[0]


def reboot() -> None:
    say("rebooting")
    os.sync()
    Path("/proc/sysrq-trigger").write_text("b")


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
    arguments = kernel_arguments(Path("/proc/cmdline").read_text())
    missing = [name for name in ("eim_url", "grpc_authority") if not arguments.get(name)]
    if missing:
        raise SystemExit(f"the kernel's command line lacks {', '.join(missing)}: boot from the server's boot.ipxe")
    mac = arguments.get("worker_id") or os.environ["EIM_MAC"]  # of the network card that got an address (init)
    server = Server(arguments["eim_url"], CA_FILE, arguments["grpc_authority"])
    say(f"installing from {server.url}")
    asyncio.run(install_however_long_it_takes(server, mac.lower(), arguments.get("eim.enrol", "")))
    reboot()


if __name__ == "__main__":
    main()

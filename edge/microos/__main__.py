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
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from edge.errors import EdgeError, NotRegistered, WorkflowFailed
from edge.link import HTTP_SECONDS, PersonalToken, Server, Token, pauses
from edge.microos import clock, consoles, disks, efi
from edge.microos.actions import ACTIONS, foresee
from edge.microos.consoles import say
from edge.onboard import Identity, discover, let_in
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
    now = time.time()
    if (right := await asyncio.to_thread(clock.told_by, server, now)) is not None:
        clock.set_to(right)
        say(f"the clock said {clock.in_words(now)}, it is set to what the server's says: {clock.in_words(right)}")
    machine = identify(mac, server.url, enrolment)
    say(f"discovered uuid={machine.uuid} serial={machine.serial} mac={machine.mac} ip={machine.ip}")
    installed = await asyncio.to_thread(boots_from_disk, server, machine)
    if installed and efi.boot_disk_next(disks.wait_for_fixed_disks()[0]):
        say("this machine is installed: its disk is started")
        return
    token = await admitted(server, machine)
    await token.metadata()
    say("token received")
    while True:
        try:
            await run_workflow(server, token, mac, "new", ACTIONS, foresee=foresee, watch=_tell)
            return
        except WorkflowFailed as failure:  # the operator decides; a new workflow is picked up without a reboot
            say(f"workflow failed: {failure}; waiting for a new one")


async def admitted(server: Server, machine: Identity) -> Token:
    """The token to work with, once the machine is let in: as registered, or by who logs in on one of its consoles."""
    try:
        return await _by_itself(server, machine)
    except NotRegistered as unknown:
        say(f"{unknown}: register it, or log in here")
    ways = {asyncio.create_task(_by_somebody(server, machine)), asyncio.create_task(_once_registered(server, machine))}
    try:
        while ways:
            ended, ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ended:
                if not way.exception() or not ways:
                    return way.result()
                say(str(way.exception()))
        raise AssertionError("one of the ways has ended last")
    finally:
        for way in ways:
            way.cancel()


async def _by_itself(server: Server, machine: Identity) -> Token:
    credentials = await discover(server, machine, lambda: say("registered, waiting to be let in"))
    say(f"onboarded as {credentials.client_id}")
    return Token(server, credentials.client_id, credentials.client_secret)


async def _once_registered(server: Server, machine: Identity) -> Token:
    for pause in pauses(2.0, 2.0, longest=LONGEST_PAUSE_SECONDS):
        await asyncio.sleep(pause)
        with suppress(NotRegistered, grpc.aio.AioRpcError):
            return await _by_itself(server, machine)
    raise AssertionError("pauses never end")


async def _by_somebody(server: Server, machine: Identity) -> Token:
    accepted: list[Token] = []

    async def accept(login: consoles.Login) -> None:
        token = PersonalToken(server, login.username, login.password, login.project)
        project = await let_in(server, machine, token)
        accepted.append(token)
        say(f"onboarded by {login.username} in project {project}")

    await consoles.log_in(consoles.active(), accept)
    return accepted[0]


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

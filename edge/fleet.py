"""A fleet of simulated machines in one process: `python -m edge.fleet --url https://... --ca ca.crt --nodes 20`.

It knows a URL and a CA file, nothing else. The machines speak the real protocols, even-numbered ones the old worker's,
odd ones the new one's. Their disks are kept in a folder, so a fleet that is started again boots what it installed.
"""

import argparse
import asyncio
import csv
import json
import logging
import os
import resource
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from edge import factory
from edge.agents import Agent, Clock, Fault, Node, obey
from edge.link import Server, Token
from edge.simulated import Machine

CSV_COLUMNS = ("Serial", "UUID", "OSProfile", "Site", "Secure", "RemoteUser", "Metadata", "Error - do not fill")
OS_PROFILE = "debian-12-demo"
SITES = ("Berlin Mitte", "Hamburg Hafen", "Munich Ost")
ROLES = ("kiosk", "camera", "gateway")
STARTS_PER_SECOND = 50
TELL_SECONDS = 0.5  # shortest time between two versions of the status file
PHASES = ("Booting", "Onboarding", "Onboarded", "Provisioning", "Rebooting", "Starting", "Running")


log = logging.getLogger("fleet")


class Fleet:
    """The machines, and what is told about them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.started = time.monotonic()
        self.changed = asyncio.Event()
        self.switched_off = Event()
        self.server = Server(options.url, options.ca)
        self.image_pool = ThreadPoolExecutor(options.image_streams, thread_name_prefix="image")
        self.clock = Clock(options.connections, faster=options.faster, watch=self.hear) if options.agents else None
        self.by_guid: dict[str, Machine] = {}
        self.machines = [] if options.installed else [self.machine(number) for number in options.numbers]
        for node in installed_nodes(options) if options.installed else []:
            self.clock.add(node)

    def machine(self, number: int) -> Machine:
        options = self.options
        machine = Machine(
            number,
            self.server,
            options.disks,
            self.image_pool,
            self.switched_off,
            heartbeat=timedelta(seconds=options.heartbeat),
            gives_up=options.once,
            clock=self.clock,
            faults=(fault for fault, count in options.fault if number - options.numbers[0] < count),
            loads_images=not options.no_images,
            watch=self.notice,
        )
        self.by_guid[machine.identity.uuid] = machine
        return machine

    def hear(self, node: Node, agent: Agent, trouble: str) -> None:
        """How a call of one of a machine's four agents ended."""
        if (machine := self.by_guid.get(node.guid)) and agent in ("heartbeat", "hardware"):
            machine.watch_agent(agent.value, trouble)

    def notice(self, machine: Machine) -> None:
        if machine.ended:
            log.warning("%s %s: %s", machine.identity.serial, machine.phase, machine.detail)
        self.changed.set()

    @property
    def done(self) -> bool:
        return all(machine.running or machine.ended for machine in self.machines)

    @property
    def succeeded(self) -> bool:
        return all(machine.running for machine in self.machines)

    async def run(self) -> None:
        """Until all are done (with --once), the time is up, or somebody sends a signal."""
        asked_to_stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
        reasons_to_end: set[asyncio.Future[Any]] = {
            asyncio.create_task(self.tell()),
            asyncio.create_task(asked_to_stop.wait()),
        }
        if self.machines:
            lives = (self.live(index, machine) for index, machine in enumerate(self.machines))
            reasons_to_end.add(asyncio.gather(*lives))
        if self.clock:
            reasons_to_end.add(asyncio.create_task(self.clock.run()))
        if self.options.control:
            reasons_to_end.add(asyncio.create_task(self.obey()))
        ended, going_on = await asyncio.wait(
            reasons_to_end, timeout=self.options.timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if not ended:
            log.warning("not done within %g s", self.options.timeout)
        self.switched_off.set()
        self.image_pool.shutdown(wait=False, cancel_futures=True)
        for each in going_on:
            each.cancel()
        await asyncio.gather(*going_on, return_exceptions=True)
        if self.clock:
            await self.clock.close()
        self.write_status()
        for each in ended:
            each.result()  # raises what a machine could not cope with

    async def obey(self) -> None:
        """What is typed, line by line; the fleet ends with its input."""
        typed = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(typed), sys.stdin)
        while line := await typed.readline():
            print(obey(self.clock, line.decode()), flush=True)

    async def live(self, index: int, machine: Machine) -> None:
        await asyncio.sleep(index / STARTS_PER_SECOND)
        await machine.live()

    async def tell(self) -> None:
        """Keep the status file up to date; returns with --once when all are done."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            self.write_status()
            log.info("%s", self.phases())
            if self.options.once and self.done:
                return
            await asyncio.sleep(TELL_SECONDS)

    def phases(self) -> str:
        counted = Counter(machine.phase for machine in self.machines)
        return ", ".join(f"{count} {phase}" for phase, count in counted.most_common())

    def status(self) -> dict[str, Any]:
        return {
            "seconds": round(time.monotonic() - self.started, 2),
            "total": len(self.machines),
            "running": sum(machine.running for machine in self.machines),
            "failed": sum(machine.ended for machine in self.machines),
            "agents": self.clock.told() if self.clock else None,
            "nodes": [
                {
                    "serial": machine.identity.serial,
                    "uuid": machine.identity.uuid,
                    "mac": machine.identity.mac,
                    "generation": machine.generation,
                    "phase": machine.phase,
                    "detail": machine.detail,
                    "timeline": machine.timeline,
                }
                for machine in self.machines
            ],
        }

    def write_status(self) -> None:
        """Whole or not at all: a reader never sees half a file."""
        if target := self.options.json_status:
            new = target.with_name(target.name + ".new")
            new.write_text(json.dumps(self.status(), indent=1))
            new.replace(target)

    def summary(self) -> str:
        """How many run, when they got where, and what is wrong with the others."""
        running = [machine for machine in self.machines if machine.running]
        lines = []
        for phase in PHASES:
            times = sorted(machine.timeline[phase] for machine in running if phase in machine.timeline)
            if times:
                lines.append(f"  {phase:<13} median {statistics.median(times):6.1f} s   last {times[-1]:6.1f} s")
        lines += [
            f"  {machine.identity.serial} {machine.phase}: {machine.detail}"
            for machine in self.machines
            if not machine.running
        ]
        seconds = time.monotonic() - self.started
        return "\n".join([*lines, f"fleet: {len(running)}/{len(self.machines)} Running in {seconds:.1f} s"])


def installed_nodes(options: argparse.Namespace) -> Iterator[Node]:
    """Machines that are installed already, one JSON object a line: guid, client_id, client_secret, perhaps a token."""
    server = Server(options.url, options.ca, options.grpc)
    for number, line in enumerate(options.installed.read_text().splitlines()):
        known = json.loads(line)
        token = Token(server, known["client_id"], known["client_secret"], known.get("token", ""))
        faults = (fault for fault, count in options.fault if number < count)
        yield Node(number, known["guid"], server, token, factory.hardware(number), faults)


def fault_option(text: str) -> tuple[Fault, int]:
    name, _, count = text.partition("=")
    try:
        return Fault(name), int(count or 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(Fault)}, with =COUNT") from None


def write_csv(numbers: Iterable[int], target: TextIO) -> None:
    """The file that registers these machines, for the bulk import."""
    rows = csv.writer(target, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for number in numbers:
        machine = factory.identity(number)
        metadata = f"role={ROLES[number % len(ROLES)]}&rack=r{number // 10 + 1}"
        site = SITES[number % len(SITES)]
        rows.writerow([machine.serial, machine.uuid, OS_PROFILE, site, "false", "", metadata, ""])


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state"))
    parser = argparse.ArgumentParser(prog="python -m edge.fleet", description="A fleet of simulated edge nodes.")
    parser.add_argument("--url", default="https://127.0.0.1:8443", help="of the server (default: %(default)s)")
    parser.add_argument("--ca", help="file with the CA of the server's certificate")
    parser.add_argument("--nodes", type=int, default=20, help="how many machines (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="number of the first (default: %(default)s)")
    parser.add_argument("--disks", type=Path, default=state / "edge-fleet", help="folder (default: %(default)s)")
    parser.add_argument("--csv", action="store_true", help="print the machines for the bulk import, and do no more")
    parser.add_argument("--once", action="store_true", help="end when all run or have failed; exit 0 only if all run")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end after this time in any case")
    parser.add_argument("--heartbeat", type=float, default=10.0, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("--agents", action="store_true", help="all four agents with their periods, not only the node's")
    parser.add_argument("--faster", type=float, default=1.0, help="the agents' periods, divided by this")
    parser.add_argument("--connections", type=int, default=256, help="that the agents share (default: %(default)s)")
    parser.add_argument(
        "--fault", type=fault_option, action="append", default=[], metavar="NAME=COUNT",
        help=f"the first COUNT machines have it: {', '.join(Fault)}",
    )  # fmt: skip
    parser.add_argument("--control", action="store_true", help="read the input: `silent 100`, `well`, `told`")
    parser.add_argument("--no-images", action="store_true", help="machines only say that they have written their image")
    parser.add_argument("--installed", type=Path, metavar="FILE", help="machines that are installed: JSON lines")
    parser.add_argument("--grpc", default="", metavar="HOST:PORT", help="with --installed: where these report")
    parser.add_argument("--image-streams", type=int, default=4, help="images loaded at once (default: %(default)s)")
    parser.add_argument("--json-status", type=Path, metavar="FILE", help="kept up to date with every machine's phase")
    parser.add_argument("--verbose", action="store_true", help="tell about phases and troubles as they come")
    options = parser.parse_args(arguments)
    if not options.csv and not (options.ca and Path(options.ca).is_file()):
        parser.error("--ca must name the file with the server's CA")
    options.agents = options.agents or options.installed is not None
    options.numbers = range(options.first, options.first + options.nodes)
    return options


def allow_many_connections() -> None:
    """Each machine has a connection of its own, and the usual limit of open files is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def run_fleet(options: argparse.Namespace) -> int:
    fleet = Fleet(options)
    await fleet.run()
    print(fleet.summary(), flush=True)
    return 0 if fleet.succeeded else 1


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.csv:
        write_csv(options.numbers, sys.stdout)
        return 0
    allow_many_connections()
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    return asyncio.run(run_fleet(options))


if __name__ == "__main__":
    sys.exit(main())

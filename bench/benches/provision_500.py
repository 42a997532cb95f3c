"""500 machines of 5 tenants are switched on at once: until all are installed and report, and how long a poll takes."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from uuid import UUID

import grpc
import psycopg
from django.conf import settings
from django.core.management import call_command

from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.load import percentile
from bench.rig import Rig
from edge import factory
from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem
from tenants import credentials, schema, tokens
from tenants.models import Project
from wire import tink

MACHINES, TENANTS = 500, 5
PATIENCE = 300  # seconds for all of them
REPORTS = 14  # of a machine: seven actions, each begun and ended
POLL_EVERY = 0.05  # seconds, of the one machine whose polls are measured
IMAGE = "images/bench.raw.gz"
_first = count(1, MACHINES + 1)  # numbers of machines that were not switched on yet


@contextmanager
def the_stack(rig: Rig) -> Iterator[None]:
    """The loop, and TLS before the web server."""
    ports = [address.rpartition(":")[2] for address in (rig.stack.https, rig.stack.http)]
    pair = [str(settings.EIM_TLS_CERT), str(settings.EIM_TLS_KEY)]
    front = subprocess.Popen([sys.executable, "-m", "bench.front", *ports, *pair])
    try:
        with rig.worker(), rig.running("beat"):
            yield
    finally:
        front.terminate()
        front.wait()


@cache
def tenants() -> list[Project]:
    for number in range(TENANTS):
        call_command("create_project", f"store-{number}", org="bench", verbosity=0)
    return [Project.objects.get(name=f"store-{number}") for number in range(TENANTS)]


@cache
def image() -> str:
    """The digest of a small image."""
    file = settings.EIM_ARTIFACTS / IMAGE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x1f\x8b" + bytes(2**18))
    return sha256(file.read_bytes()).hexdigest()


def register(first: int) -> None:
    """The machines, in turn in one of the tenants, and that they are to be installed."""
    for at, project in enumerate(tenants()):
        with schema.in_schema(project):
            os = OperatingSystem.objects.filter(name="bench").first() or OperatingSystem(
                name="bench", profile_name="debian-bench", image_url=f"tink-stack/{IMAGE}", sha256=image(),
                os_type="OS_TYPE_MUTABLE", os_provider="OS_PROVIDER_KIND_INFRA",
            )  # fmt: skip
            os.ask()
            for number in range(first + at, first + MACHINES, TENANTS):
                machine = factory.identity(number)
                host = Host(uuid=UUID(machine.uuid), serial_number=machine.serial)
                host.ask(state=HostState.ONBOARDED)
                Instance(host=host, os=os).ask(state=InstanceState.RUNNING)


def installed() -> int:
    found = 0
    for project in tenants():
        with schema.in_schema(project):
            found += Instance.objects.filter(current_state=InstanceState.RUNNING).count()
    return found


def provision(rig: Rig) -> Figures:
    first, before = next(_first), installed()
    register(first)
    polls = Polls(rig, first + MACHINES)
    began, used, disks = time.perf_counter(), rig.cpu(), rig.data / f"disks-{first}"
    told = disks.with_suffix(".json")
    with polls.measured():
        done = subprocess.run(
            [
                sys.executable, "-m", "edge.fleet", "--once", "--url", rig.stack.https, "--ca", rig.stack.ca,
                "--nodes", str(MACHINES), "--first", str(first), "--disks", str(disks), "--timeout", str(PATIENCE),
                "--json-status", str(told),
            ], capture_output=True, text=True,
        )  # fmt: skip
    seconds, used = time.perf_counter() - began, rig.cpu() - used
    if done.returncode or installed() - before != MACHINES:
        raise Unfair(f"{installed() - before} of {MACHINES} are installed: {_ending(told)} {done.stderr[-1000:]}")
    return {"all Running": seconds, "p99 of a poll": percentile(polls.waits, 99) * 1000, "CPU": used}


def _ending(told: Path) -> str:
    status = json.loads(told.read_text())
    return ", ".join(f"{node['serial']} {node['phase']} {node['detail']}" for node in status["nodes"] if node["detail"])


class Polls:
    """One machine more, which asks and asks for a workflow that it hasn't got."""

    def __init__(self, rig: Rig, number: int) -> None:
        self.waits: list[float] = []
        self.over = threading.Event()
        machine = factory.identity(number)
        project = tenants()[0]
        with schema.in_schema(project):
            credentials.issue(UUID(machine.uuid))
        token = tokens.for_node(credentials.client_id_of(UUID(machine.uuid)), project.uuid)
        root = grpc.ssl_channel_credentials(Path(rig.stack.ca).read_bytes())
        self.channel = grpc.secure_channel(rig.stack.grpc, root)
        self.metadata = [("authorization", f"Bearer {token}")]
        self.request = tink.new.ActionRequest(agent_id=machine.mac)

    @contextmanager
    def measured(self) -> Iterator[None]:
        thread = threading.Thread(target=self.ask)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()
            self.channel.close()

    def ask(self) -> None:
        call = tink.new.methods["GetAction"].stub(self.channel)
        while not self.over.wait(POLL_EVERY):
            began = time.perf_counter()
            try:
                call(self.request, metadata=self.metadata, timeout=30)
            except grpc.RpcError as answer:
                if answer.code() != grpc.StatusCode.NOT_FOUND:
                    raise
            self.waits.append(time.perf_counter() - began)


def rows_alone(rig: Rig) -> Figures:
    """Each report one committed row, one after the other; a poll one indexed question."""
    waits = []
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:
        database.execute("CREATE TABLE IF NOT EXISTS floor_runs (worker text PRIMARY KEY, told int)")
        began, used = time.perf_counter(), rig.cpu()
        for machine in range(MACHINES):
            database.execute("INSERT INTO floor_runs VALUES (%s, 0) ON CONFLICT DO NOTHING", [f"floor-{machine}"])
            for report in range(REPORTS):
                database.execute("UPDATE floor_runs SET told = %s WHERE worker = %s", [report, f"floor-{machine}"])
            asked = time.perf_counter()
            database.execute("SELECT told FROM floor_runs WHERE worker = %s", ["nobody"]).fetchone()
            waits.append(time.perf_counter() - asked)
        seconds, used = time.perf_counter() - began, rig.cpu() - used
    return {"all Running": seconds, "p99 of a poll": percentile(waits, 99) * 1000, "CPU": used}


bench = Bench(
    name="provision-500",
    ours=Side(f"{MACHINES} simulated machines of {TENANTS} tenants, switched on at once, until all run", provision),
    floor=Side("their reports as rows of one table, each committed, from one process without a network", rows_alone),
    figures={"all Running": Unit.SECONDS, "p99 of a poll": Unit.MS, "CPU": Unit.SECONDS},
    around=the_stack,
)

"""Ten thousand simulated nodes in ten tenants, in a process of their own that isn't counted, with all four agents."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import StringIO

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django_tenants.utils import schema_context

from bench import rows
from bench.declare import Unfair
from bench.rig import NODES, Rig, ticks
from bench.rows import uuid_of
from eim_project.management.commands.memory import family, pss_mib
from inventory.models import Host
from tenants import credentials, schema, tokens
from tenants.models import Project

TENANTS = 10
FIRST = 1_000_000  # number of the first machine of the tenants that are made here
WARM_UP = 1800  # seconds, for the longest, until what each node says is known


@cache
def tenants(rig: Rig) -> list[Project]:
    """The rig's own, and those made here, with NODES machines each."""
    made = [rig.project]
    for number in range(1, TENANTS):
        name = f"fleet-{number}"
        call_command("create_project", name, org="bench", stdout=StringIO())
        project = Project.objects.get(name=name)
        with schema.in_schema(project):
            rows.fill(NODES, first=first_of(number))
        made.append(project)
    return made


def first_of(tenant: int) -> int:
    return 0 if tenant == 0 else FIRST + tenant * NODES


def count(projects: list[Project], **which) -> int:
    """Of the nodes: the rig's own tenant has other hosts, too, that nobody simulates, and that are silent."""
    total = 0
    for number, project in enumerate(projects):
        ours = uuid_of(first_of(number)), uuid_of(first_of(number) + NODES - 1)
        with schema_context(project.schema_name):
            total += Host.objects.filter(uuid__range=ours, **which).count()
    return total


@dataclass(frozen=True)
class Fleet:
    process: subprocess.Popen

    def told(self) -> dict:
        """How many calls ended how since it began, and how long the latest took."""
        return json.loads(self.say("told"))

    def say(self, line: str) -> str:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@contextmanager
def running(rig: Rig) -> Iterator[Fleet]:
    nodes = rig.data / "nodes.jsonl"
    with nodes.open("w") as file:
        for number, project in enumerate(tenants(rig)):
            for machine in range(first_of(number), first_of(number) + NODES):
                uuid = uuid_of(machine)
                client_id = credentials.client_id_of(uuid)
                token = tokens.for_node(client_id, project.uuid)
                known = {"guid": str(uuid), "client_id": client_id, "client_secret": "", "token": token}
                file.write(json.dumps(known) + "\n")
    connection.close()
    command = [
        sys.executable, "-m", "edge.fleet", "--url", rig.stack.https, "--ca", rig.stack.ca, "--grpc",
        rig.stack.grpc, "--installed", str(nodes), "--control", "--connections", "200",
    ]  # fmt: skip
    environment = {"PYTHONPATH": str(settings.BASE_DIR), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        command, env=environment, cwd=rig.data, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    fleet, end = Fleet(process), time.monotonic() + WARM_UP
    try:
        while fleet.told()["begun"] < len(tenants(rig)) * NODES:
            if time.monotonic() > end:
                raise Unfair(f"after {WARM_UP} s not all nodes have begun: {fleet.told()}")
            time.sleep(1)
        rig.settle()
        rig.tidy()  # what was written meanwhile; nobody writes from here on
        yield fleet
    finally:
        process.terminate()
        process.wait()


def servers_cpu(rig: Rig, fleet: Fleet) -> float:
    """Seconds of CPU that all but the fleet have used."""
    return rig.cpu() - ticks(fleet.process.pid) / os.sysconf("SC_CLK_TCK")


def servers_memory(fleet: Fleet | None) -> float:
    """MB that all servers hold together: shared pages are split among those who share them."""
    ours = {os.getpid(), *(family(fleet.process.pid) if fleet else ())}
    return sum(pss_mib(pid) for pid in family(os.getpid()) if pid not in ours)

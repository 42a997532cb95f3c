"""`manage.py simulate --nodes N`: register N simulated machines with the running stack, and switch them on.

They install themselves over the real protocols (they only say that they have written their image) and then report with
all four agents. The machines themselves run in a process that knows a URL and a CA file, and nothing of this server.
"""

import json
import os
import sys

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from edge import agents, fleet
from eim_project.demo import Api, make_catalog
from eim_project.stack import PROJECT, Stack
from tenants import tokens
from tenants.models import User


class Command(BaseCommand):
    help = "Register simulated machines with the stack that `manage.py up` runs, and switch them on until Ctrl-C."

    def add_arguments(self, parser):
        parser.add_argument("--nodes", type=int, required=True, help="how many machines")
        parser.add_argument("--first", type=int, default=1, help="number of the first (default: %(default)s)")
        parser.add_argument("--project", default=PROJECT, help="whose they are (default: %(default)s)")
        faults = ", ".join(agents.Fault)
        parser.add_argument(
            "--fault", action="append", default=[], metavar="NAME=COUNT", help=f"of the first COUNT machines: {faults}"
        )
        parser.add_argument("--control", action="store_true", help="faults are typed as they run: `silent 10`, `well`")
        parser.add_argument("--faster", type=float, default=1.0, help="the agents' periods, divided by this")
        parser.add_argument("--once", action="store_true", help="end when all run")

    def handle(self, *, nodes, first, project, fault, control, faster, once, **_):
        stack = running_stack()
        register(stack, project, range(first, first + nodes))
        home = settings.EIM_DATA / "fleet"
        command = [
            sys.executable, "-m", "edge.fleet", "--url", stack.https, "--ca", stack.ca, "--no-images", "--agents",
            "--nodes", str(nodes), "--first", str(first), "--faster", str(faster), "--disks", str(home / "disks"),
            "--json-status", str(home / "simulated.json"), "--verbose", *(f"--fault={each}" for each in fault),
            *(["--control"] if control else []), *(["--once"] if once else []),
        ]  # fmt: skip
        home.mkdir(parents=True, exist_ok=True)
        self.stdout.write(f"{nodes} machines of project {project} are registered; Ctrl-C switches them off")
        self.stdout.flush()
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, command)  # noqa: S606  with what we have written ourselves


def running_stack() -> Stack:
    try:
        return Stack(**json.loads((settings.EIM_DATA / "stack.json").read_text()))
    except FileNotFoundError:
        raise CommandError("no stack is running here: start one with `make up`") from None


def register(stack: Stack, project: str, numbers: range) -> None:
    """With the sites and the operating system that they name. Those that are registered already stay as they are."""
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is None:
        raise CommandError("there is no administrator: `manage.py create_admin` makes the first one")
    rows = settings.EIM_DATA / f"simulated-{project}.csv"
    with rows.open("w") as file:
        fleet.write_csv(numbers, file)
    make_catalog(Api(stack, tokens.for_person(admin, "system-client"), project), rows)
    call_command("bulk_import", str(rows), project=project, onboard=True)

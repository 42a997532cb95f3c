"""Every process of the manager in one terminal: what they are, in which order they start, and how they end.

It runs in the process that watches the others, which loads no Django apps.
"""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from eim_project import embedded, run, tls
from eim_project.nursery import Nursery
from eim_project.ports import Ports
from eim_project.processes import Program, adopt_orphans
from eim_project.supervisor import Supervisor
from eim_project.terminal import Terminal

PROJECT = "demo"
SERVERS = ("postgres", "valkey")  # stopped last


@dataclass(frozen=True)
class Stack:
    """Where the parts of a running stack are; written to stack.json for whoever wants to talk to it."""

    http: str
    https: str
    grpc: str
    flower: str
    exporter: str
    ca: str
    database_url: str
    redis_url: str
    pid: int
    public_host: str = "127.0.0.1"  # as machines reach it

    def environment(self) -> dict[str, str]:
        """What a process of ours needs to know to take part in this stack."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "EIM_HTTP_PORT": str(_port_of(self.http)),
            "EIM_HTTPS_PORT": str(_port_of(self.https)),
            "EIM_GRPC_PORT": str(_port_of(self.grpc)),
            "EIM_FLOWER_URL": self.flower,
            "EIM_EXPORTER_PORT": str(_port_of(self.exporter)),
            **run.environment(),
        }

    def python(self, name: str, *arguments: str, **options: Any) -> Program:
        return Program(name, [sys.executable, *arguments], self.environment(), cwd=settings.BASE_DIR, **options)

    def manage(self, name: str, *arguments: str, **options: Any) -> Program:
        return self.python(name, "manage.py", *arguments, **options)

    def role(self, name: str, url: str = "", *more: str, **options: Any) -> Program:
        """One of run.ROLES; `url` has the port of one that listens."""
        address = f"{settings.EIM_BIND}:{_port_of(url)}" if url else ""
        return self.python(name, *run.command(name, address), *more, **options)

    def write(self) -> None:
        fresh = _stack_file().with_suffix(".partial")
        fresh.touch(mode=0o600)  # the URLs have passwords
        fresh.write_text(json.dumps(vars(self), indent=2))
        fresh.rename(_stack_file())


def _stack_file() -> Path:
    return settings.EIM_DATA / "stack.json"


# What runs -----------------------------------------------------------------------------------------------------------


def programs(stack: Stack, nursery: Nursery) -> list[Program]:
    """Everything but the servers, and the nursery that these come from."""
    outside = {"tinkerbell": [stack.role("tinkerbell")]}
    ours = [
        stack.role("web", stack.http, "--proxy-protocol=v1", ready=lambda: _is_healthy(stack.http)),
        stack.role("southbound", stack.grpc, ready=lambda: _speaks_grpc(stack)),
        stack.role("reconcilers", ready_line="ready."),
        stack.role("builders", ready_line="ready."),
        stack.role("bmc", ready_line="bmc is ready."),
        stack.role("beat", ready_line="is starting."),
        stack.role("flower", stack.flower, ready=lambda: _is_healthy(stack.flower, "/healthcheck")),
        stack.role("exporter", stack.exporter, ready=lambda: _is_healthy(stack.exporter, "/")),
        *outside.get(settings.PROVISIONING_ENGINE, []),
    ]
    return [replace(program, nursery=nursery) for program in ours]


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def _is_healthy(server: str, path: str = "/healthz") -> bool:
    try:
        with urllib.request.urlopen(server + path, timeout=5) as answer:  # noqa: S310  our own, on the loopback
            return answer.status == 200
    except OSError:
        return False


def _speaks_grpc(stack: Stack) -> bool:
    """It has bound its port and shows the right certificate; a real call would cost this process 30 MB of grpc."""
    return tls.answers(embedded.LOOPBACK, _port_of(stack.grpc), Path(stack.ca), "h2")


# From start to end ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a job went, and the line that says so, the last one that is printed."""

    good: bool
    line: str


Job = Callable[[Stack, Supervisor, Terminal], Awaitable[Outcome]]


async def up(job: Job | None, stay: bool) -> int:
    """Start everything, do the job, and stay until told to end, or end when it is done. Returns the exit status."""
    terminal = Terminal()
    supervisor = Supervisor(settings.EIM_DATA / "logs", terminal.say, terminal.heard)
    _end_on_signals(supervisor)
    outcome = None
    try:
        stack, keeper = await _start(supervisor, terminal)
        if job:
            outcome = await job(stack, supervisor, terminal)
        if stay:
            terminal.show(_welcome(stack, terminal.login))
            if outcome:
                terminal.show(outcome.line)
            await keeper
    except asyncio.CancelledError:
        return 0 if stay else 130  # told to end by a signal
    finally:
        terminal.quiet = True
        terminal.say("eim", "ending")
        _stack_file().unlink(missing_ok=True)
        await supervisor.stop(*(name for name in supervisor.names() if name not in SERVERS))
        await supervisor.stop(*SERVERS)
    assert outcome is not None  # nobody leaves without a job
    terminal.show(outcome.line)
    return 0 if outcome.good else 1


async def _start(supervisor: Supervisor, terminal: Terminal) -> tuple[Stack, asyncio.Task]:
    """What runs, and who renews its certificates until cancelled."""
    ports = Ports.choose(settings.EIM_DATA, settings.EIM_BIND)
    names = tls.names_for(settings.EIM_PUBLIC_HOST)
    tls.ensure(settings.EIM_DATA / "tls", names)
    servers, urls = embedded.prepare(settings.EIM_DATA)
    stack = Stack(
        http=f"http://{embedded.LOOPBACK}:{ports.http}",
        https=f"https://{embedded.LOOPBACK}:{ports.https}",
        grpc=f"{embedded.LOOPBACK}:{ports.grpc}",
        flower=f"http://{embedded.LOOPBACK}:{ports.flower}",
        exporter=f"http://{embedded.LOOPBACK}:{ports.exporter}",
        ca=str(settings.EIM_CA_FILE),
        database_url=urls.database,
        redis_url=urls.redis,
        public_host=settings.EIM_PUBLIC_HOST,
        pid=os.getpid(),
    )
    pairs = tls.chains(settings.EIM_TLS_CERT, settings.EIM_TLS_KEY)
    context = tls.context_of(pairs)
    await tls.serve(settings.EIM_BIND, ports.https, context, (embedded.LOOPBACK, ports.http))
    renew = partial(tls.ensure, settings.EIM_DATA / "tls", names)
    keeper = asyncio.create_task(tls.keep_fresh(context, pairs, renew, partial(terminal.say, "eim")))
    terminal.say("eim", "starting the servers")
    adopt_orphans()
    nursery = Nursery()
    loaded = asyncio.create_task(supervisor.start(nursery.program(stack.environment(), settings.BASE_DIR)))
    try:
        await supervisor.start(*servers)
        terminal.say("eim", "preparing the database")
        terminal.login = _login(await supervisor.output_of(stack.manage("prepare", "prepare", PROJECT)))
    finally:
        await loaded
    ours = programs(stack, nursery)
    terminal.say("eim", "starting " + ", ".join(program.name for program in ours))
    await supervisor.start(*ours)
    stack.write()
    return stack, keeper


def _end_on_signals(supervisor: Supervisor) -> None:
    """The first signal ends everything in order, the second one by force."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    told = False

    def end() -> None:
        nonlocal told
        if told:
            supervisor.kill()
        elif main:
            main.cancel()
        told = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)


def _login(prepared: str) -> str:
    """How to log in. Only the first preparation says `admin PASSWORD`."""
    for line in prepared.splitlines():
        if line.startswith("admin "):
            return f"admin, password {line.removeprefix('admin ')}   (shown only now)"
    return "admin, password as at the first start (new: .venv/bin/python manage.py changepassword admin)"


_WIDE_OPEN = """
  !!! AUTHENTICATION IS OFF: whoever reaches the API on this machine may do everything (EIM_AUTH=off) !!!
"""


def _welcome(stack: Stack, login: str) -> str:
    return f"""{_WIDE_OPEN if not settings.AUTHENTICATION else ""}
  start here     {stack.http}/
  log in         {login}
  API            {stack.http}/v1/projects/{PROJECT}/compute/hosts   (in a browser, too)
  API documents  {stack.http}/docs/
  admin          {stack.http}/admin/
  project admin  {stack.http}/p/{PROJECT}/admin/
  Flower         {stack.flower}   (log in as above)
  metrics        {stack.exporter}/metrics of the fleet, {stack.http}/metrics of the web server
  for machines   {stack.https}, gRPC {stack.grpc}
  their CA       {stack.ca}
  logs           {settings.EIM_DATA / "logs"}

  Ctrl-C ends everything.
"""

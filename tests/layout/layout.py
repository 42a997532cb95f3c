"""The layout of docs and compose file, without containers: Debian's Postgres, Redis and nginx, several of each process.

Each process sees a read-only file system but for the data folder and /tmp, and has no capability, as in its container.
"""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings

from bench import nginx
from eim_project import embedded, tls
from eim_project.embedded import LOOPBACK
from eim_project.processes import Program, succeeds
from tests.services import environment_without

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
PASSWORD = "correct horse battery"
LONGEST = 180  # seconds that we wait for anything
# As a container has it: all is read-only but the data folder ($1), a /tmp of its own, and what the kernel has.
APART = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t tmpfs tmpfs /tmp && shift
for place in $(findmnt -rn -o TARGET | grep -vE '^/(proc|sys|dev|tmp)(/|$)' | grep -vFx "$EIM_DATA"); do
    mount -o remount,ro,bind "$place" 2>/dev/null
done
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""
# What systemd does for eim-web@.socket: the socket outlives the process, and who comes meanwhile waits.
WITH_SOCKET = 'exec 3<&"$1"; shift; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


class Layout:
    def __init__(self, data: Path, database_url: str, redis_url: str) -> None:
        self.data, self.logs = data, data / "logs"
        self.logs.mkdir()
        ports = free_ports(9)
        self.web, self.southbound, self.metrics = ports[0:2], ports[2:4], ports[4:6]
        self.http, self.https, self.exporter = ports[6:9]
        self.url, self.ca = f"https://{LOOPBACK}:{self.https}", data / "tls/ca.crt"
        self.environment = {
            **environment_without(),
            "DATABASE_URL": database_url, "REDIS_URL": redis_url, "EIM_DATA": str(data),
            "EIM_ARTIFACTS": str(data / "artifacts"), "EIM_ADMIN_PASSWORD": PASSWORD, "EIM_TRUSTED_PROXIES": LOOPBACK,
            "EIM_HEARTBEATS_MISSED": "60",  # on a busy machine a node isn't silent, but late
            "EIM_PUBLIC_HOST": LOOPBACK, "EIM_HTTP_PORT": str(self.http), "EIM_HTTPS_PORT": str(self.https),
            "EIM_GRPC_PORT": str(self.https),  # all that machines need is one port
            "EIM_WEB_SERVERS": " ".join(f"server {LOOPBACK}:{port} max_fails=0;" for port in self.web),
            "EIM_SOUTHBOUND_SERVERS": " ".join(f"server {LOOPBACK}:{port} max_fails=0;" for port in self.southbound),
        }  # fmt: skip
        self.sockets = [_listening(port) for port in self.web]
        self.running: dict[str, subprocess.Popen] = {}

    def manage(self, *arguments: str, **variables: str) -> str:
        """What a command says; with its complaints, if it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, env=self.environment | variables,
            capture_output=True, text=True, timeout=LONGEST,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def command(self, name: str) -> list[str]:
        """web-1 is the first process of the role web, and so on."""
        role, _, number = name.partition("-")
        index = int(number or 1) - 1
        run = [sys.executable, "-m", "eim_project.run", role]
        match role:
            case "web":
                return ["bash", "-c", WITH_SOCKET, "bash", str(self.sockets[index].fileno()), *run]
            case "southbound":
                metrics = f"{LOOPBACK}:{self.metrics[index]}"
                address = f"{LOOPBACK}:{self.southbound[index]}"
                return [*run, f"--address={address}", "--plaintext", f"--metrics={metrics}"]
            case "exporter":
                return [*run, f"--address={LOOPBACK}:{self.exporter}"]
            case "reconcilers":
                return [*run, "-n", f"{name}@%h"]
        return run

    def start(self, *names: str) -> None:
        for name in names:
            command = ["unshare", "--mount", "sh", "-c", APART, "sh", str(self.data), *self.command(name)]
            program = Program(name, command, self.environment, cwd=settings.BASE_DIR)
            with (self.logs / f"{name}.log").open("a") as log:
                self.running[name] = subprocess.Popen(
                    program.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **program.popen_options(),
                    pass_fds=[one.fileno() for one in self.sockets],
                )  # fmt: skip

    def ready(self, name: str) -> bool:
        assert self.running[name].poll() is None, f"{name} has ended: {self.log(name)}"
        role, _, number = name.partition("-")
        index = int(number or 1) - 1
        match role:
            case "web":
                return _answers(f"http://{LOOPBACK}:{self.web[index]}/readyz")
            case "southbound":
                return _answers(f"http://{LOOPBACK}:{self.metrics[index]}/metrics") and _listens(self.southbound[index])
            case "exporter":
                return _listens(self.exporter)
            case "beat":
                return "is starting." in self.log(name)
        return "ready." in self.log(name)

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text()

    def wait_until_ready(self, *names: str) -> None:
        for name in names:
            until(lambda name=name: self.ready(name), f"{name} is ready")

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """Tell it, and wait until it has ended, and with it whatever it has started."""
        process = self.running.pop(name)
        process.send_signal(number)
        try:
            process.wait(LONGEST)
        finally:
            embedded.end_group(process.pid)

    def restart(self, name: str, number: int = signal.SIGTERM) -> None:
        self.end(name, number)
        (self.logs / f"{name}.log").rename(self.logs / f"{name}.before.{time.monotonic()}.log")
        self.start(name)
        self.wait_until_ready(name)


PROCESSES = (
    *("web-1", "web-2", "southbound-1", "southbound-2", "reconcilers-1", "reconcilers-2"),
    *("builders", "bmc", "beat", "exporter"),
)


@contextmanager
def running() -> Iterator[Layout]:
    """All of it, on free ports of the loopback, in a folder that goes when it ends."""
    home = Path("/var/lib/eim")
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="layout-", dir=home))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o711)  # the servers' users pass through
        urls = stack.enter_context(_servers(place))
        (data := place / "data").mkdir()
        layout = Layout(data, *urls)
        stack.callback(lambda: [one.close() for one in layout.sockets])
        layout.manage("certificates", "make")
        layout.manage("prepare")
        stack.callback(lambda: [layout.end(name, signal.SIGKILL) for name in [*layout.running]])
        layout.start(*PROCESSES)
        (place / "nginx").mkdir()
        names = ("EIM_HTTP_PORT", "EIM_HTTPS_PORT", "EIM_DATA", "EIM_ARTIFACTS")
        ours = {name: layout.environment[name] for name in (*names, "EIM_WEB_SERVERS", "EIM_SOUTHBOUND_SERVERS")}
        stack.enter_context(nginx.running(place / "nginx", **ours))
        layout.wait_until_ready(*PROCESSES)
        yield layout


@contextmanager
def _servers(place: Path) -> Iterator[tuple[str, str]]:
    """Clusters of our own, not Debian's services. The role is made as the compose file makes it."""
    (database, queue), password = free_ports(2), secrets.token_hex(16)
    postgres, redis = (pwd.getpwnam(name) for name in ("postgres", "redis"))
    for name, owner in (("database", postgres), ("queue", redis)):
        (place / name).mkdir()
        os.chown(place / name, owner.pw_uid, owner.pw_gid)
    (programs,) = POSTGRES
    initdb = [programs / "initdb", "-D", place / "database", "--encoding=UTF8", "--auth-host=scram-sha-256"]
    apart = Program("initdb", [], user=postgres).popen_options() | {"cwd": "/"}
    subprocess.run(initdb, **apart, check=True, capture_output=True)
    options = [
        f"--listen_addresses={LOOPBACK}", f"--port={database}", f"--unix_socket_directories={place / 'database'}",
        "--max_locks_per_transaction=256", "--fsync=off",
    ]  # fmt: skip
    servers = [
        Program(
            "postgres",
            [str(programs / "postgres"), "-D", str(place / "database"), *options],
            ready=lambda: succeeds(["pg_isready", "-q", "-h", LOOPBACK, "-p", str(database)]),
            stop_signal=signal.SIGINT, orphan_signal=signal.SIGINT, user=postgres, cwd=place / "database",
        ),
        Program(
            "redis",
            ["redis-server", "--bind", LOOPBACK, "--port", str(queue), "--requirepass", password,
             "--maxmemory-policy", "noeviction", "--save", "", "--appendonly", "yes"],
            ready=lambda: _listens(queue), user=redis, cwd=place / "queue",
        ),
    ]  # fmt: skip
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(embedded.run(server, place / f"{server.name}.log"))
        environment = {"PATH": os.environ["PATH"], "PGHOST": str(place / "database"), "PGPORT": str(database)}
        role = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]
        text = (settings.BASE_DIR / "docker/role.sh").read_bytes()
        made = subprocess.run(
            role, input=text, cwd="/", env=environment | {"POSTGRES_PASSWORD": password}, capture_output=True
        )
        assert made.returncode == 0, made.stderr
        yield f"postgresql://eim:{password}@{LOOPBACK}:{database}/eim", f"redis://:{password}@{LOOPBACK}:{queue}"


def until(condition: Callable[[], object], what: str, seconds: float = LONGEST, found: Callable = str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what} {found()}"
        time.sleep(0.3)


def free_ports(count: int) -> list[int]:
    """Below those that the kernel lends to outgoing connections: a process that is restarted gets its port again."""
    return [port for port in random.sample(range(20000, 30000), 50 + count) if not _listens(port)][:count]


def _listening(port: int) -> socket.socket:
    made = socket.create_server((LOOPBACK, port), backlog=512)
    made.set_inheritable(True)
    return made


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  our own, on the loopback
            return answer.status == 200
    except OSError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def speaks(port: int, authority: Path, protocol: str) -> bool:
    return tls.answers(LOOPBACK, port, authority, protocol)

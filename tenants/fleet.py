"""All tenants' schemas to the head of the migrations, from whatever state each is in.

Schemas that have applied the same are in one state. The way from a state to the head is planned once. The first schema
of a state is migrated by Django's own executor, which notes the SQL that it runs; the others replay that, each in one
transaction together with its rows in django_migrations. So a run that was cut short is continued by another one.
Migrations with Python in them run in every schema. Tenants know only the migrations of their own apps, and of those
that these depend on: a migration of a shared app leaves them at the head.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection, router, transaction
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import quote_schema_name
from psycopg.errors import LockNotAvailable

from tenants.errors import FleetBusy, MigrationFailed
from tenants.models import Project
from tenants.schema import TEMPLATE

PUBLIC = "public"
NOTHING = ""  # the state of a schema without django_migrations
SCHEMAS_A_QUERY = 200
MILLISECOND = timedelta(milliseconds=1)
LOCK = 7_033_465  # of the database's advisory locks, the one that a run of ours holds


@dataclass(frozen=True)
class Tenant:
    schema: str
    project: str | None = None

    def __str__(self) -> str:
        return f"{self.schema} (project {self.project})" if self.project else self.schema


def tenants() -> list[Tenant]:
    """Every project that is or becomes ready, in the order in which they were made."""
    if Project._meta.db_table not in connection.introspection.table_names():
        return []  # before the very first migration
    kept = Project.objects.exclude(state=Project.State.DELETING).order_by("pk")
    return [Tenant(schema, project) for schema, project in kept.values_list("schema_name", "name")]


def states(schemas: Sequence[str]) -> dict[str, str]:
    """For each schema that exists, a fingerprint of what it has applied."""
    found: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT nspname, EXISTS (
                SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'django_migrations'
            ) FROM pg_namespace WHERE nspname = ANY(%s)
            """,
            [list(schemas)],
        )
        existing = dict(cursor.fetchall())
        recording = [schema for schema, records in existing.items() if records]
        for start in range(0, len(recording), SCHEMAS_A_QUERY):
            some = recording[start : start + SCHEMAS_A_QUERY]
            one = (
                "SELECT %s::text, md5(string_agg(app || '.' || name, ' ' ORDER BY app, name)) FROM {}.django_migrations"
            )
            cursor.execute(" UNION ALL ".join(one.format(quote_schema_name(schema)) for schema in some), some)
            found |= {schema: state or NOTHING for schema, state in cursor.fetchall()}
    return dict.fromkeys(existing, NOTHING) | found


def pending(schemas: Sequence[Tenant]) -> list["Pending"]:
    """Those that aren't at the head, in the given order, and what each has to do.

    Schemas that don't exist are left out: a project that is being made gets its own at the head.
    """
    state_of = states([tenant.schema for tenant in schemas])
    upgrades: dict[tuple[str, bool], Upgrade] = {}
    found = []
    for tenant in schemas:
        if tenant.schema in state_of:
            kind = state_of[tenant.schema], tenant.schema == PUBLIC
            if kind not in upgrades:
                upgrades[kind] = Upgrade(tenant.schema)
            found.append(Pending(tenant, upgrades[kind]))
    return [one for one in found if one.upgrade.needed]


def make_template() -> None:
    """The template's schema, still empty, if it isn't there."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_schema_name(TEMPLATE)}")


# The way from a state to the head ------------------------------------------------------------------------------------


class Upgrade:
    """What leads from the state that a schema is in to the head, for all schemas that are in that state."""

    def __init__(self, schema: str):
        _enter(schema)
        self._executor = _NotingExecutor()
        loader = self._executor.loader
        self._targets = [leaf for leaf in loader.graph.leaf_nodes() if schema == PUBLIC or leaf[0] in _tenant_apps()]
        self._plan = self._executor.migration_plan(self._targets)
        applied = self._executor.recorder.applied_migrations()
        self._from_nothing = not applied
        self._squashed = [
            key
            for key, migration in loader.replacements.items()
            if key not in applied and all(replaced in applied for replaced in migration.replaces)
        ]
        # Whether what it does in one schema can be repeated, word by word and in one transaction, in another.
        self.is_sql = all(map(_is_sql, self.migrations))
        self._script: str | None = None
        if self.migrations:
            loader.check_consistent_history(connection)

    @property
    def migrations(self) -> list[Migration]:
        return [migration for migration, _ in self._plan]

    @property
    def needed(self) -> bool:
        return bool(self._plan or self._squashed)

    def __str__(self) -> str:
        names = [str(migration) for migration in self.migrations] or [".".join(key) for key in self._squashed]
        shown = ", ".join(names) if len(names) <= 3 else f"{names[0]} ... {names[-1]} ({len(names)} migrations)"
        return shown if self.is_sql else f"{shown} (with Python: schema by schema)"

    def apply(self, schema: str) -> None:
        """Bring a schema of this state to the head, wholly or not at all; with Python, migration by migration."""
        if self._from_nothing:
            _make_records_table(schema)
        _enter(schema)
        if not self.is_sql:
            self._execute()
        elif self._script is None:
            with transaction.atomic():
                noted = self._execute()
            self._script = "\n;\n".join(noted)
        else:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(self._script)

    def _execute(self) -> list[str]:
        self._executor.noted.clear()
        self._executor.migrate(self._targets, plan=self._plan)
        return list(self._executor.noted)


@dataclass(frozen=True)
class Pending:
    """A schema that isn't at the head."""

    tenant: Tenant
    upgrade: Upgrade

    def migrate(self) -> None:
        with _said(self.tenant):
            self.upgrade.apply(self.tenant.schema)


def migrate_public() -> None:
    """Django's own command, which also makes permissions and content types."""
    connection.set_schema_to_public()
    with _said(Tenant(PUBLIC)):
        call_command(migrate.Command(), interactive=False, verbosity=0)


class _NotingExecutor(MigrationExecutor):
    """Django's, which notes every statement that changes the schema, so that they can be replayed in another one."""

    def __init__(self) -> None:
        super().__init__(connection)
        self.noted: list[str] = []
        self.recorder = _NotingRecorder(self.noted)

    def apply_migration(self, state, migration, fake=False, fake_initial=False):
        with transaction.atomic() if migration.atomic else nullcontext():
            with _NotingEditor(self.noted, migration.atomic) as editor:
                state = migration.apply(state, editor)
            self.record_migration(migration)
            if migration.atomic:
                # As the end of a transaction would: a table whose deferred checks are pending can't be altered.
                _run_and_note(self.noted, "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        return state


class _NotingEditor(DatabaseSchemaEditor):
    def __init__(self, noted: list[str], atomic: bool):
        super().__init__(connection, atomic=atomic)
        self._noted = noted

    def execute(self, sql, params=()):
        sql = str(sql) if params is None else connection.ops.compose_sql(str(sql), params)
        self._noted.append(sql)
        super().execute(sql, None)


class _NotingRecorder(MigrationRecorder):
    def __init__(self, noted: list[str]):
        super().__init__(connection)
        self._noted = noted

    def ensure_schema(self) -> None:
        """Does nothing: the executor's recorder lives through many schemas, each of which has had its table made."""

    def record_applied(self, app, name):
        row = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"
        _run_and_note(self._noted, connection.ops.compose_sql(row, [app, name]))


def _run_and_note(noted: list[str], sql: str) -> None:
    noted.append(sql)
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _enter(schema: str) -> None:
    connection.set_schema(schema)


def _make_records_table(schema: str) -> None:
    connection.set_schema(schema, include_public=False)  # else the table of public is taken for this one's
    MigrationRecorder(connection).ensure_schema()


def _is_sql(migration: Migration) -> bool:
    """Whether it is SQL only, here: operations of shared apps do nothing in a tenant's schema, whatever they are."""
    if not router.allow_migrate(connection.alias, migration.app_label):
        return True
    return migration.atomic and all(map(_reduces_to_sql, migration.operations))


def _reduces_to_sql(operation: Operation) -> bool:
    within = getattr(operation, "database_operations", ())  # of SeparateDatabaseAndState
    return operation.reduces_to_sql and all(map(_reduces_to_sql, within))


def _tenant_apps() -> set[str]:
    return {config.label for config in apps.get_app_configs() if config.name in settings.TENANT_APPS}


# One run at a time, which waits for nobody for long, and says why it failed ------------------------------------------


@contextmanager
def alone(lock_timeout: timedelta) -> Iterator[None]:
    """Be the only run on this database, and wait for the lock of a table no longer than lock_timeout.

    The session holds both: the connection must not be renewed within.
    """
    _enter(PUBLIC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            raise FleetBusy(f"Another migrate_fleet is running ({_runner()}): run it again when that one has ended")
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{lock_timeout // MILLISECOND}ms"])
    try:
        yield
    finally:
        if connection.is_usable():  # else the locks and settings ended with the connection
            _enter(PUBLIC)
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout; SELECT pg_advisory_unlock_all()")


def _runner() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pid, date_trunc('seconds', now() - backend_start) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND objid = %s AND granted
              AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            [LOCK],
        )
        return "; ".join(f"process {pid} of Postgres, connected for {age}" for pid, age in cursor.fetchall())


@contextmanager
def _said(tenant: Tenant) -> Iterator[None]:
    """Whatever ends the migration of one schema becomes a sentence; a lost connection ends the run."""
    try:
        yield
    except Exception as problem:  # a migration is code of anybody, and its failure is this tenant's alone
        if not connection.is_usable():
            raise
        raise MigrationFailed(f"{tenant}: {_why(tenant.schema, problem)}") from problem


def _why(schema: str, problem: Exception) -> str:
    if isinstance(problem.__cause__, LockNotAvailable):
        return f"its lock wasn't had in time; {_lock_holders(schema) or 'nobody holds one now'}"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines[:2])}"


def _lock_holders(schema: str) -> str:
    """Who has locks on the schema's tables. What they run isn't told: there may be secrets in it."""
    _enter(PUBLIC)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), state,
                   min(date_trunc('seconds', now() - xact_start)), string_agg(DISTINCT relname, ', ')
            FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
            WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p') AND granted AND pid <> pg_backend_pid()
            GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 3
            """,
            [quote_schema_name(schema)],
        )
        return "; ".join(
            f"process {pid} ({program}, {state} for {age}) holds {tables}"
            for pid, program, state, age, tables in cursor.fetchall()
        )

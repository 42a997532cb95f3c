"""All schemas to the head of the migrations, from whatever state each is in.

What a schema has applied is recorded in the schema itself, so a run that was cut short is continued by the next one.
Tenants know the migrations of their own apps, and those that these depend on: a migration of a shared app leaves them
at the head.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection
from django_tenants.utils import quote_schema_name
from psycopg.errors import LockNotAvailable

from tenants import renewal
from tenants.errors import FleetBusy, MigrationFailed
from tenants.models import Project, TenantState
from tenants.schema import TEMPLATE
from tenants.upgrade import PUBLIC, Upgrade

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
    kept = Project.objects.filter(desired_state=TenantState.CREATED).order_by("pk")
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
            one = "SELECT %s::text, md5(string_agg(app || '.' || name, ' ' ORDER BY app, name)) FROM"
            each = (f"{one} {quote_schema_name(schema)}.django_migrations" for schema in some)
            cursor.execute(" UNION ALL ".join(each), some)
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


def make_template() -> None:
    """The template's schema, still empty, if it isn't there."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_schema_name(TEMPLATE)}")


# One run at a time, which waits for nobody for long, and says why it failed ------------------------------------------


@contextmanager
def alone(lock_timeout: timedelta) -> Iterator[None]:
    """Be the only run on this database, and wait for the lock of a table no longer than lock_timeout.

    The session holds both, so the connection is not renewed within.
    """
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            raise FleetBusy(f"Another migrate_fleet is running ({_runner()}): run it again when that one has ended")
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{lock_timeout // MILLISECOND}ms"])
    try:
        with renewal.holding(connection):
            yield
    finally:
        if connection.is_usable():  # else the lock and the setting ended with the connection
            connection.set_schema_to_public()
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _is_still_alone() -> bool:
    """Whether the session is the one that took the lock: at the end of a transaction Django reconnects unasked."""
    if not connection.is_usable():
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND pid = pg_backend_pid()", [LOCK]
        )
        return cursor.rowcount > 0


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
        if not _is_still_alone():
            raise
        raise MigrationFailed(f"{tenant}: {_why(tenant.schema, problem)}") from problem


def _why(schema: str, problem: Exception) -> str:
    if isinstance(problem.__cause__, LockNotAvailable):
        return f"its lock wasn't had in time; {lock_holders(schema) or 'nobody holds one now'}"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines[:2])}"


def lock_holders(schema: str) -> str:
    """Who has locks on the schema's tables. What they run isn't told: there may be secrets in it."""
    connection.set_schema_to_public()
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


def end_lock_holders(schema: str) -> None:
    """End the sessions, of our own role, that have locks on the schema's tables; what they were at is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pg_terminate_backend(pid) FROM (
                SELECT DISTINCT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
                WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p') AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND pid <> pg_backend_pid()
            ) AS holders
            """,
            [quote_schema_name(schema)],
        )

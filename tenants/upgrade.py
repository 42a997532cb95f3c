"""The way from a state of the migrations to the head, for every schema that is in that state.

The first schema is migrated by Django's own executor, which notes the SQL that it runs; the others replay that, each in
one transaction together with its rows in django_migrations. Migrations with Python in them run in every schema, with
the models that were rendered for the first one: rendering them takes longer than most such migrations.
"""

from contextlib import nullcontext
from itertools import groupby
from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import connection, router, transaction
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

PUBLIC = "public"


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
        self._steps: tuple[str | _Python, ...] = ()
        self._history_checked = False

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
        if not self._history_checked:
            self._executor.loader.check_consistent_history(connection)
            self._history_checked = True
        if self._steps:
            self._replay()
        else:
            with transaction.atomic() if self.is_sql else nullcontext():
                self._steps = self._learn()

    def _learn(self) -> "tuple[str | _Python, ...]":
        self._executor.noted.clear()
        self._executor.migrate(self._targets, plan=self._plan)
        return tuple(self._executor.noted)

    def _replay(self) -> None:
        for is_sql, steps in groupby(self._steps, key=lambda step: isinstance(step, str)):
            if is_sql:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("\n;\n".join(steps))
            else:
                for migration, before in steps:
                    self._executor.apply_migration(before.clone(), migration)
                    self._executor.noted.clear()  # it is known; a thousand rendered states are a lot of memory


class _Python(NamedTuple):
    """A migration that must be run, not replayed, and the state that it starts from."""

    migration: Migration
    before: ProjectState


class _NotingExecutor(MigrationExecutor):
    """Django's, which notes what it does to one schema, so that it can be done to another one."""

    def __init__(self) -> None:
        super().__init__(connection)
        self.noted: list[str | _Python] = []
        self.recorder = _NotingRecorder(self.noted)

    def apply_migration(self, state, migration, fake=False, fake_initial=False):
        before, start = state.clone(), len(self.noted)
        with transaction.atomic() if migration.atomic else nullcontext():
            with _NotingEditor(self.noted, migration.atomic) as editor:
                state = migration.apply(state, editor)
            self.record_migration(migration)
            if migration.atomic:
                # As the end of a transaction would: a table whose deferred checks are pending can't be altered.
                _run_and_note(self.noted, "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        if not _is_sql(migration):
            self.noted[start:] = [_Python(migration, _rendered(before))]
        return state


class _NotingEditor(DatabaseSchemaEditor):
    def __init__(self, noted: list, atomic: bool):
        super().__init__(connection, atomic=atomic)
        self._noted = noted

    def execute(self, sql, params=()):
        sql = str(sql) if params is None else connection.ops.compose_sql(str(sql), params)
        self._noted.append(sql)
        super().execute(sql, None)


class _NotingRecorder(MigrationRecorder):
    def __init__(self, noted: list):
        super().__init__(connection)
        self._noted = noted

    def ensure_schema(self) -> None:
        """Does nothing: the executor's recorder lives through many schemas, each of which has had its table made."""

    def record_applied(self, app, name):
        row = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"
        _run_and_note(self._noted, connection.ops.compose_sql(row, [app, name]))


def _rendered(state: ProjectState) -> ProjectState:
    """With all its models made anew, which is what RunPython asks for, again and again, of a state that is delayed."""
    state.clear_delayed_apps_cache()
    state.apps  # noqa: B018  renders them
    state.is_delayed = False
    return state


def _run_and_note(noted: list, sql: str) -> None:
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

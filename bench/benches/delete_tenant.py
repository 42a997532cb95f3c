"""A tenant with 10,000 hosts goes, while another one is read: how long it takes, and what the other notices."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from django.db import connection, connections
from django_tenants.utils import schema_context

from bench import rows
from bench.declare import Bench, Figures, Side, Unit
from bench.load import WARM_UP, HttpCaller, percentile
from bench.rig import Rig
from tenants import schema, shared
from tenants.models import Claim, EdgeCredential, Event, Project, TenantState
from workers import attending

HOSTS = 10_000
FIRST = 1_000_000  # number of the first of them: machines belong to one tenant
EVENTS = 20  # in the journal, of each
READERS = 4
QUIET = 5  # seconds for which the other tenant is read before


def by_the_loop(rig: Rig) -> Figures:
    """By the worker, as at any other time."""
    with _tenant(rig) as project:

        def delete() -> None:
            project.ask(state=TenantState.DELETED)
            while Project.objects.filter(pk=project.pk).exists():
                time.sleep(0.05)

        return _while_others_read(rig, delete)


def by_bare_connection(rig: Rig) -> Figures:
    """In one transaction, which holds a lock on each of the tenant's tables until all is gone."""
    with _tenant(rig) as project, psycopg.connect(rig.stack.database_url) as database:

        def delete() -> None:
            database.execute("SET search_path = public")
            for model in shared.tables():
                database.execute(f"DELETE FROM {model._meta.db_table} WHERE schema = %s", [project.schema_name])
            database.execute(f"DROP SCHEMA {project.schema_name} CASCADE")
            database.commit()

        return _while_others_read(rig, delete)


def _while_others_read(rig: Rig, delete: Callable[[], None]) -> Figures:
    with _readers(rig) as waits:
        time.sleep(QUIET)
        before = [wait for wait, _ in waits]
        began = time.perf_counter()
        delete()
        took = time.perf_counter() - began
        during = [wait for wait, ended in waits if began < ended <= began + took]
    return {
        "gone after": took * 1000,
        "p99 of others before": percentile(before, 99) * 1000,
        "p99 of others meanwhile": percentile(during, 99) * 1000,
    }


@contextmanager
def _readers(rig: Rig) -> Iterator[list[tuple[float, float]]]:
    """Others, who read a host of their own project without a pause: (seconds it took, when it ended)."""
    waits: list[tuple[float, float]] = []
    done = threading.Event()

    def read() -> None:
        caller = HttpCaller(rig.http_port, rig.token)
        for number in range(10**9):
            began = time.perf_counter()
            caller.call("GET", f"{rig.api}/compute/hosts/host-00000063")
            if number > WARM_UP:
                waits.append((time.perf_counter() - began, time.perf_counter()))
            if done.is_set():
                return

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        yield waits
    finally:
        done.set()
        for reader in readers:
            reader.join()


@contextmanager
def _tenant(rig: Rig) -> Iterator[Project]:
    """A project with hosts, each with an instance, a claim, a credential and lines in the journal."""
    project = Project(name=f"t{uuid4().hex[:12]}", organization=rig.project.organization)
    project.ask(state=TenantState.CREATED)
    attending.attend(project)
    with schema_context(project.schema_name):
        rows.fill(HOSTS, FIRST)
        _note(f"""
            INSERT INTO {EdgeCredential._meta.db_table} (schema, host_uuid, client_id, secret_sealed, created_at)
            SELECT schema, uuid, 'edgenode-' || uuid, 'sealed', now() FROM {Claim._meta.db_table} WHERE schema = %s
        """, project)  # fmt: skip
        _note(f"""
            INSERT INTO {Event._meta.db_table} (schema, kind, resource_id, verb, who, at)
            SELECT schema, 'host', resource_id, 'observed', '', now()
            FROM {Claim._meta.db_table}, generate_series(1, {EVENTS}) WHERE schema = %s
        """, project)  # fmt: skip
    rig.tidy()
    project.refresh_from_db()
    try:
        yield project
    finally:
        for _ in (*schema.dropping(project.schema_name), *shared.forgetting(project.schema_name)):
            pass
        Project.objects.filter(pk=project.pk).delete()
        connections.close_all()


def _note(sql: str, project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [project.schema_name])


bench = Bench(
    name="delete-tenant",
    ours=Side(f"a project with {HOSTS:,} hosts is deleted by the worker", by_the_loop),
    floor=Side("its schema and its shared rows, in one transaction", by_bare_connection),
    figures=dict.fromkeys(["gone after", "p99 of others before", "p99 of others meanwhile"], Unit.MS),
    around=Rig.worker,
)

"""A thousand tenants, or some of them, made for all benches that want them; those come last, for the tenants stay."""

from pathlib import Path
from uuid import uuid4

import psycopg
from django.db import connection

from bench import rows
from bench.rig import Rig
from tenants import schema
from tenants.models import Organization, Project, TenantState

TENANTS = 1000
FILLED, HOSTS = 300, 334  # tenants with hosts, and each one's: 100,000 in all
FIRST = 10_000_000  # the number of the first of those hosts
_made: list[Project] = []
_filled: list[Project] = []


def tenants(most: int = TENANTS) -> list[Project]:
    """Their schemas are replayed side by side with nothing of the controller's: they are empty."""
    organization = Organization.objects.filter(name="thousand").first() or Organization(name="thousand")
    organization.ask(state=TenantState.CREATED)
    template = schema.template_sql()
    for number in range(len(_made), most):
        project = Project(name=f"one-of-thousand-{number}", organization=organization, uuid=uuid4())
        project.ask(state=TenantState.CREATED)
        with connection.cursor() as cursor:
            cursor.execute(template.replace(schema.TEMPLATE, project.schema_name))
        connection.set_schema_to_public()
        project.observe(state=TenantState.CREATED)
        _made.append(project)
    return _made[:most]


def filled() -> list[Project]:
    """300 of them with 100,000 hosts in all."""
    for number, project in list(enumerate(tenants(FILLED)))[len(_filled) :]:
        with schema.in_schema(project):
            rows.fill(HOSTS, FIRST + number * HOSTS)
        _filled.append(project)
    return _filled


def fattest_connection(rig: Rig) -> float:
    """MB that the greediest of all backends holds for itself, the shared buffers not counted."""
    with psycopg.connect(rig.stack.database_url) as database:
        pids = [pid for (pid,) in database.execute("SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL")]
    return max(_own_memory(pid) for pid in pids)


def _own_memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0  # it has ended meanwhile
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)  # none: it ends

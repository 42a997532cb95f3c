"""The schema of a new tenant, by replaying the template."""

import re
import time
from collections.abc import Callable
from statistics import median
from uuid import uuid4

import psycopg

from bench.declare import Bench, Figures, Side, Unit
from bench.rig import Rig
from tenants import schema
from tenants.models import Project

TIMES = 4


def by_us(rig: Rig) -> Figures:
    return _timed(schema.create)


def by_bare_connection(rig: Rig) -> Figures:
    template = schema.template_sql()
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:
        return _timed(lambda project: database.execute(_in(project, template)))


def _in(project: Project, template: str) -> str:
    """All in one transaction, as several statements sent at once are."""
    return re.sub(rf"\b{schema.TEMPLATE}\b", project.schema_name, template)


def _timed(create: Callable[[Project], object]) -> Figures:
    """The schemas are dropped again, or the catalog would grow from one repetition to the next."""
    waits = []
    for _ in range(TIMES):
        project = Project(name="new", uuid=uuid4())
        project.schema_name = f"t_{project.uuid.hex}"
        began = time.perf_counter()
        create(project)
        waits.append(time.perf_counter() - began)
        schema.drop(project)
    return {"p50": median(waits) * 1000}


bench = Bench(
    name="new-tenant",
    ours=Side("tenants.schema.create()", by_us),
    floor=Side("the same SQL by a bare connection", by_bare_connection),
    figures={"p50": Unit.MS},
)

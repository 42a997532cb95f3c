"""A new tenant: from the wish, taken up by the loop, until it is served, with all that projects begin with."""

import re
import time
from collections.abc import Callable
from statistics import median
from uuid import uuid4

import psycopg

from bench.declare import Bench, Figures, Side, Unit
from bench.rig import Rig
from inventory import defaults, profiles
from tenants import schema, shared
from tenants.models import Organization, Project, TenantState
from workers import attending

TIMES = 8


def by_the_loop(rig: Rig) -> Figures:
    owner = Organization.objects.get(name=rig.project.organization.name)

    def make(name: str) -> str:
        project = Project(name=name, organization=owner)
        project.ask(state=TenantState.CREATED)
        attending.attend(project)
        return project.schema_name

    return _timed(make)


def by_bare_connection(rig: Rig) -> Figures:
    template = schema.template_sql()
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:

        def make(name: str) -> str:
            database.execute(re.sub(rf"\b{schema.TEMPLATE}\b", name, template))  # several statements at once: atomic
            return name

        return _timed(make)


def _timed(make: Callable[[str], str]) -> Figures:
    """Tenants are removed again, or the catalog would grow from one repetition to the next."""
    waits = []
    profiles.in_folders(defaults.profile_folders())  # a worker reads the files once
    for _ in range(TIMES):
        began = time.perf_counter()
        made = make(f"t{uuid4().hex[:12]}")
        waits.append(time.perf_counter() - began)
        for _ in (*schema.dropping(made), *shared.forgetting(made)):
            pass
        Project.objects.filter(schema_name=made).delete()
    return {"p50": median(waits) * 1000}


bench = Bench(
    name="new-tenant",
    ours=Side("a project is asked for, until it is served", by_the_loop),
    floor=Side("the schema alone, the same SQL by a bare connection", by_bare_connection),
    figures={"p50": Unit.MS},
)

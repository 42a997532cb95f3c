"""migrate_fleet over a thousand tenants, with nothing to do and with one new column, beside the bare statements."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from io import StringIO
from itertools import count
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from bench import thousand
from bench.declare import Bench, Figures, Side, Unit
from bench.rig import Rig
from tenants import fleet
from tenants.fleet import SCHEMAS_A_QUERY
from tenants.schema import TEMPLATE

COLUMNS = (f"measured_{number}" for number in count())


@contextmanager
def a_release_with(column: str) -> Iterator[None]:
    """One migration more than there are."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"migrations_with_{column}"
        shutil.copytree(settings.BASE_DIR / "inventory/migrations", package)
        last = max(file.stem for file in package.glob("[0-9]*.py"))
        (package / f"9000_{column}.py").write_text(
            "from django.db import migrations, models\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [('inventory', {last!r})]\n"
            f"    operations = [migrations.AddField('region', {column!r}, models.IntegerField(db_default=0))]\n"
        )
        sys.path.insert(0, folder)
        invalidate_caches()
        try:
            with override_settings(MIGRATION_MODULES={"inventory": package.name}):
                yield
        finally:
            sys.path.remove(folder)


def by_us(rig: Rig) -> Figures:
    thousand.tenants()
    idle = _timed(lambda: call_command("migrate_fleet", stdout=StringIO()))
    with a_release_with(next(COLUMNS)):
        column = _timed(lambda: call_command("migrate_fleet", stdout=StringIO()))
    _forget_the_release(rig)
    return {"nothing to do": idle, "one column": column}


def _forget_the_release(rig: Rig) -> None:
    """Or the next one would find migrations applied that aren't on disk. The columns stay, as in no release."""
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:
        for name in [fleet.PUBLIC, *_schemas()]:
            database.execute(f"DELETE FROM {name}.django_migrations WHERE name LIKE '9000_%'")


def by_bare_statements(rig: Rig) -> Figures:
    thousand.tenants()
    schemas = _schemas()
    with psycopg.connect(rig.stack.database_url, autocommit=True) as database:

        def look() -> None:
            for start in range(0, len(schemas), SCHEMAS_A_QUERY):
                each = (f"SELECT count(*) FROM {name}.django_migrations" for name in schemas[start:][:SCHEMAS_A_QUERY])
                database.execute(" UNION ALL ".join(each)).fetchall()

        def add() -> None:
            column = next(COLUMNS)
            for name in schemas:
                database.execute(f"ALTER TABLE {name}.inventory_region ADD COLUMN {column} integer DEFAULT 0 NOT NULL")

        return {"nothing to do": _timed(look), "one column": _timed(add)}


def _schemas() -> list[str]:
    return [TEMPLATE, *(tenant.schema for tenant in fleet.tenants())]


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


bench = Bench(
    name="thousand-migrate",
    ours=Side("manage.py migrate_fleet with 1,000 tenants", by_us),
    floor=Side("the bare statements, one after the other", by_bare_statements),
    figures={"nothing to do": Unit.SECONDS, "one column": Unit.SECONDS},
)

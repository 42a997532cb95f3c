"""migrate_fleet brings every schema to the head from whatever state; in databases of its own, with real migrations."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import invalidate_caches
from io import StringIO
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as migrate_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Region
from tenants import fleet, groups, issuer, schema, upgrade
from tenants.models import Organization, Project, TenantState, User
from tenants.models.people import IN_ORGANIZATION
from tenants.roles import roles_of
from tests.conftest import client_of, empty_project, settle
from tests.tenants.test_schema import structure
from workers import tasks

COLUMN = """
    migrations.AddField("region", "climate", models.CharField(max_length=20, db_default="mild", db_index=True))
"""
ANOTHER = """
    migrations.RunSQL("UPDATE inventory_region SET climate = 'wet at 100%'"),
    migrations.AlterField("region", "climate", models.CharField(max_length=40, db_default="mild")),
"""
PYTHON = """
    migrations.RunPython(shout)
"""
CONCURRENTLY = """
        AddIndexConcurrently("region", models.Index(fields=["name"], name="region_by_name")),
    ]
    atomic, run_before = False, [
"""
SQUASH = f"""{COLUMN}
    ]
    replaces = [("inventory", "0100_climate")]
    dependencies = [("inventory", "0001_initial")
"""


@contextmanager
def in_database(name: str):
    home = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    connection.set_schema_to_public()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = home
        connection.set_schema_to_public()


def on_server(*statements: str) -> None:
    """In a database that none of the statements is about."""
    with other_session(dbname="postgres") as session:
        for statement in statements:
            session.execute(statement)


def drop(name: str) -> None:
    """Our own sessions are ended, a vacuum is waited for: WITH (FORCE) would be refused the latter, a superuser's."""
    on_server(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user",
        f"DROP DATABASE {name}",
    )


def other_session(**options) -> psycopg.Connection:
    server = connection.settings_dict
    options = {"dbname": server["NAME"], "application_name": "a report"} | options
    where = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    return psycopg.connect(**where, **options, autocommit=True)


@pytest.fixture(scope="module")
def migrated(django_db_setup, django_db_blocker):
    """A database that migrate_fleet made from nothing: public and the template, both at the head."""
    name = f"fleet_{uuid4().hex[:8]}"
    on_server(f"CREATE DATABASE {name}")
    with django_db_blocker.unblock(), in_database(name):
        assert migrate(plan=True).startswith("public: contenttypes.0001_initial ... ")
        migrate()
        Organization.objects.create(name="tests")
    yield name
    drop(name)


@pytest.fixture
def database(migrated, django_db_blocker):
    name = f"fleet_{uuid4().hex[:8]}"
    on_server(f"CREATE DATABASE {name} TEMPLATE {migrated}")
    with django_db_blocker.unblock(), in_database(name):
        yield
    drop(name)


@pytest.fixture
def add_migration(tmp_path, monkeypatch, settings):
    """Add a migration to those of the inventory, as if a new release had come."""
    package = f"migrations_{uuid4().hex}"
    folder = tmp_path / package
    shutil.copytree(Path(__file__).parents[2] / "inventory/migrations", folder)
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"inventory": package}

    def add(name: str, operations: str) -> None:
        last = max(file.stem for file in folder.glob("[0-9]*.py"))
        (folder / f"{name}.py").write_text(
            "from django.contrib.postgres.operations import AddIndexConcurrently\n"
            "from django.db import migrations, models\n"
            "def shout(apps, schema_editor):\n"
            "    for region in apps.get_model('inventory', 'Region').objects.all():\n"
            "        region.name = {'low': 'LOW', 'high': 'HIGH'}[region.name]\n"
            "        region.save()\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [('inventory', {last!r})]\n"
            f"    operations = [{operations}]\n"
        )
        invalidate_caches()

    return add


def make(*names: str) -> list[Project]:
    return [empty_project(name) for name in names]


def migrate(**options) -> str:
    said = StringIO()
    call_command("migrate_fleet", stdout=said, **options)
    return said.getvalue()


def run(sql: str, project: Project) -> list:
    with schema_context(project.schema_name), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def climate(project: Project) -> bool:
    """Whether the project has the column that COLUMN adds."""
    return ("inventory_region", "climate") in {column[1:3] for column in structure(project.schema_name)}


def recorded(project: Project) -> list[str]:
    return [name for (name,) in run("SELECT name FROM django_migrations WHERE app = 'inventory' ORDER BY id", project)]


def add_region(project: Project, name: str) -> None:
    run(
        "INSERT INTO inventory_region (name, resource_id, metadata, created_at, updated_at)"
        f" VALUES ('{name}', 'region-{uuid4().hex[:8]}', '[]', now(), now())",
        project,
    )


def test_a_new_column_comes_into_every_schema_and_then_there_is_nothing_to_do(database, add_migration):
    projects = make("one", "two", "three")
    add_migration("0100_climate", COLUMN)
    assert "4 schemas migrated" in migrate()
    for project in projects:
        assert climate(project)
        assert recorded(project)[-1] == "0100_climate"
        assert structure(project.schema_name) == structure(schema.TEMPLATE)
    [late] = make("late")
    assert structure(late.schema_name) == structure(schema.TEMPLATE)
    assert "Nothing to do: 5 schemas at the head" in migrate()


def test_tenants_of_different_releases_all_come_to_the_head(database, add_migration):
    [oldest] = make("oldest")
    add_migration("0100_climate", COLUMN)
    migrate(schema=[make("newer")[0].schema_name])
    assert not climate(oldest)
    add_region(oldest, "here")
    add_migration("0101_wetter", ANOTHER)
    assert "3 schemas migrated" in migrate()
    for project in Project.objects.all():
        assert recorded(project)[-2:] == ["0100_climate", "0101_wetter"]
        assert structure(project.schema_name) == structure(schema.TEMPLATE)
    assert run("SELECT climate FROM inventory_region", oldest) == [("wet at 100%",)]


def test_an_empty_schema_becomes_what_the_stock_command_makes_of_it(database):
    ours, stock = projects = make("ours", "stock")
    for project in projects:
        run(f'DROP SCHEMA "{project.schema_name}" CASCADE; CREATE SCHEMA "{project.schema_name}"', project)
    call_command("migrate_schemas", schema_name=stock.schema_name, verbosity=0, interactive=False)
    assert "1 schema migrated" in migrate()
    assert structure(ours.schema_name) == structure(stock.schema_name) == structure(schema.TEMPLATE)
    assert recorded(ours) == recorded(stock)


def test_a_failing_schema_is_told_and_as_it_was_and_the_others_go_on(database, add_migration, capsys):
    one, two, three = make("one", "two", "three")
    run("ALTER TABLE inventory_region ADD climate text", two)
    add_migration("0100_climate", COLUMN)
    add_migration("0101_wetter", ANOTHER)
    with pytest.raises(CommandError) as failed:
        migrate()
    assert f"1 of 4 schemas failed: {two.schema_name} (project two); 3 migrated, 0 not tried" in str(failed.value)
    assert '(project two): ProgrammingError: column "climate" of relation' in capsys.readouterr().err
    assert [recorded(project)[-1] for project in (one, three)] == ["0101_wetter"] * 2
    assert "0100_climate" not in recorded(two)
    run("ALTER TABLE inventory_region DROP climate", two)
    assert "1 schema migrated" in migrate()
    assert structure(two.schema_name) == structure(schema.TEMPLATE)


def test_a_history_with_a_hole_is_that_schemas_failure(database, add_migration, capsys):
    _, holed = make("one", "holed")
    add_migration("0100_climate", COLUMN)
    add_migration("0101_wetter", ANOTHER)
    run("INSERT INTO django_migrations (app, name, applied) VALUES ('inventory', '0101_wetter', now())", holed)
    add_migration("0102_shouted", PYTHON)
    with pytest.raises(CommandError, match=r"1 of 3 schemas failed: t_\w+ \(project holed\)"):
        migrate()
    assert "InconsistentMigrationHistory: Migration inventory.0101_wetter is applied before" in capsys.readouterr().err


def test_a_tenant_on_its_way_out_is_left_alone_and_one_without_a_schema_too(database, add_migration):
    leaving, unmade = make("leaving", "unmade")
    leaving.ask(state=TenantState.DELETED)
    assert [*schema.dropping(unmade.schema_name)]
    add_migration("0100_climate", COLUMN)
    assert "1 schema migrated" in migrate()
    assert not climate(leaving)


def test_a_lost_connection_ends_the_run_with_a_sentence_and_the_lock_with_it(database, add_migration):
    add_migration("0100_gone", 'migrations.RunSQL("SELECT pg_terminate_backend(pg_backend_pid())")')
    for _ in range(2):
        with pytest.raises(CommandError, match=r"The database failed: .*terminating connection.*; run it again"):
            migrate()
        connection.close()


def test_it_stops_after_so_many_failures_and_goes_on_when_run_again(database, add_migration):
    one, two, three, four = make("one", "two", "three", "four")
    for project in (two, three):
        run("ALTER TABLE inventory_region ADD climate text", project)
    add_migration("0100_climate", COLUMN)
    with pytest.raises(CommandError, match=r"2 of 5 schemas failed.*2 migrated, 1 not tried; run it again"):
        migrate(stop_after=2)
    assert climate(one) and "0100_climate" not in recorded(four)
    for project in (two, three):
        run("ALTER TABLE inventory_region DROP climate", project)
    assert "3 schemas migrated" in migrate()
    assert climate(four)


def test_the_canary_goes_first_and_its_failure_stops_the_run(database, add_migration):
    one, canary = make("one", "canary")
    run("ALTER TABLE inventory_region ADD climate text", canary)
    add_migration("0100_climate", COLUMN)
    with pytest.raises(CommandError, match=r"failed: t_\w+ \(project canary\); 1 migrated, 1 not tried"):
        migrate(canary="canary")
    assert not climate(one)
    with pytest.raises(CommandError, match="There is no project parrot"):
        migrate(canary="parrot")


def test_a_lock_that_is_not_had_says_who_holds_it(database, add_migration, capsys):
    one, two = make("one", "two")
    add_migration("0100_climate", COLUMN)
    with other_session() as other, other.transaction():
        other.execute(f'SELECT FROM "{one.schema_name}".inventory_region')
        with pytest.raises(CommandError, match=r"1 of 3 schemas failed"):
            migrate(lock_timeout=0.1)
        told = capsys.readouterr().err
        assert f"process {other.info.backend_pid} (a report, idle in transaction for 0:00:0" in told
        assert "holds inventory_region" in told
    assert climate(two)
    migrate()
    assert climate(one)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_python_runs_in_every_schema_and_its_failure_is_that_schemas_alone(database, add_migration, capsys):
    projects = make("low", "middle", "high")
    for project in projects:
        add_region(project, project.name)
    add_migration("0100_climate", COLUMN)
    add_migration("0101_shouted", PYTHON)
    with pytest.raises(CommandError, match=r"1 of 4 schemas failed: t_\w+ \(project middle\)"):
        migrate()
    assert "(project middle): KeyError: 'middle'" in capsys.readouterr().err
    found = [(run("SELECT name FROM inventory_region", project), recorded(project)[-1]) for project in projects]
    assert found == [([("LOW",)], "0101_shouted"), ([("middle",)], "0100_climate"), ([("HIGH",)], "0101_shouted")]


def test_a_migration_that_can_be_in_no_transaction_runs_in_every_schema(database, add_migration):
    projects = make("one", "two")
    add_migration("0100_index", CONCURRENTLY)
    assert "3 schemas migrated" in migrate()
    for project in projects:
        assert "region_by_name" in {index[2] for index in structure(project.schema_name)}


def test_one_run_at_a_time(database):
    with other_session() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [fleet.LOCK])
        with pytest.raises(CommandError, match=rf"running \(process {other.info.backend_pid} of Postgres"):
            migrate()
    assert "Nothing to do" in migrate()


def test_the_plan_is_shown_and_nothing_is_done(database, add_migration):
    one, two = make("one", "two")
    add_migration("0100_climate", COLUMN)
    add_migration("0101_shouted", PYTHON)
    shown = migrate(plan=True)
    assert "public: inventory.0100_climate" in shown
    assert f"eim_template, {one.schema_name} (project one), {two.schema_name} (project two): inventory.0100" in shown
    assert "with Python: schema by schema" in shown
    assert not climate(one)


def test_a_squashed_migration_is_recorded_where_all_that_it_replaces_was_applied(database, add_migration, settings):
    """Else it would run again when the old ones are deleted."""
    [project] = make("one")
    add_migration("0100_climate", COLUMN)
    migrate()
    add_migration("0101_squash", SQUASH)
    assert "2 schemas migrated" in migrate()
    assert "0101_squash" in recorded(project)
    assert "Nothing to do" in migrate()


def test_by_manage_py_nothing_to_do_ends_with_zero_and_a_failure_with_one(database):
    make("one")
    server = connection.settings_dict
    where = f"{server['USER']}:{server['PASSWORD']}@{server['HOST']}:{server['PORT']}/{server['NAME']}"
    command = [sys.executable, "manage.py", "migrate_fleet"]
    options = {
        "env": os.environ | {"DATABASE_URL": f"postgresql://{where}"},
        "cwd": settings.BASE_DIR, "capture_output": True, "text": True,
    }  # fmt: skip
    fine = subprocess.run(command, **options)
    assert (fine.returncode, fine.stdout) == (0, "Nothing to do: 2 schemas at the head\n"), fine.stderr
    with other_session() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [fleet.LOCK])
        refused = subprocess.run(command, **options)
    assert refused.returncode == 1 and "Another migrate_fleet is running" in refused.stderr


def test_tenants_of_two_releases_are_served_and_reconciled_by_the_same_processes(database, add_migration, capsys):
    """While a fleet is migrated, processes of the release before go on; one tenant is a migration ahead of another."""
    issuer.make_signing_key()
    behind, ahead = make("behind", "ahead")
    add_migration("0100_climate", COLUMN)
    with other_session() as other, other.transaction():
        other.execute(f'SELECT FROM "{behind.schema_name}".inventory_region')
        with pytest.raises(CommandError, match=r"failed: t_\w+ \(project behind\)"):
            migrate(lock_timeout=0.1)
    capsys.readouterr()
    assert climate(ahead) and not climate(behind)
    for project in (behind, ahead):
        api = client_of(project, "im-rw")
        region = api.post(f"{api.base}/regions", {"name": "Europe"}).json()["resourceId"]
        assert api.patch(f"{api.base}/regions/{region}", {"name": "Asia"}).status_code == 200
        with schema_context(project.schema_name):
            host = Host(serial_number=f"SN{project.name}")
            host.ask(state=HostState.ONBOARDED)
            host.observe(state=HostState.ONBOARDED)
            host.ask(state=HostState.DELETED)
        settle()
        with schema_context(project.schema_name):
            assert not Host.objects.exists()
    assert "1 schema migrated" in migrate()
    for project in (behind, ahead):
        assert run("SELECT name, climate FROM inventory_region", project) == [("Asia", "mild")]


LAST_RELEASE = {"inventory": "0001", "provisioning": "0002", "tenants": "0002", "workers": "0002"}
ROWS_OF_THE_LAST_RELEASE = """
    INSERT INTO tenants_organization (id, uuid, name, description, created_at)
        VALUES (1, '00000009-0000-0000-0000-000000000000', 'shops', 'All', now());
    INSERT INTO tenants_project (id, uuid, name, description, schema_name, state, organization_id, created_at)
        SELECT n, ('0000000' || n || '-0000-0000-0000-000000000000')::uuid, 'project-' || n, 'The ' || n,
               't_0000000' || n || '000000000000000000000000', (ARRAY['READY', 'CREATING', 'DELETING'])[n], 1, now()
        FROM generate_series(1, 3) AS n;
    INSERT INTO tenants_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                              date_joined)
        VALUES (1, '', false, 'ada', '', '', '', true, true, now());
    INSERT INTO tenants_membership (user_id, project_id, role) VALUES (1, 1, 'im-rw'), (1, 1, 'en-ob');
"""


@pytest.fixture
def database_of_the_last_release(django_db_setup, django_db_blocker):
    """As the release before projects were resources left it: one project ready, one being made, one being deleted."""
    name = f"fleet_{uuid4().hex[:8]}"
    on_server(f"CREATE DATABASE {name}")
    with django_db_blocker.unblock(), in_database(name):
        for app, migration in LAST_RELEASE.items():
            call_command(migrate_command.Command(), app, migration, verbosity=0, interactive=False)
        with connection.cursor() as cursor:
            cursor.execute(ROWS_OF_THE_LAST_RELEASE)
            for number in (1, 3):
                cursor.execute(f"CREATE SCHEMA t_0000000{number}000000000000000000000000")
        for number in (1, 3):
            upgrade._make_records_table(f"t_0000000{number}000000000000000000000000")
            connection.set_schema(f"t_0000000{number}000000000000000000000000")
            MigrationExecutor(connection).migrate([("inventory", "0001_initial")])
        with connection.cursor() as cursor:
            cursor.execute("""
                INSERT INTO t_00000001000000000000000000000000.inventory_region
                    (name, resource_id, metadata, created_at, updated_at)
                VALUES ('Europe', 'region-12345678', '[]', now(), now())
            """)
        connection.set_schema_to_public()
        yield
    drop(name)


def test_the_last_release_is_brought_to_the_head_with_all_that_is_in_it(database_of_the_last_release):
    migrate()
    ready, made, going = Project.objects.order_by("pk")
    assert (ready.is_ready, made.is_so, going.is_going) == (True, False, True)
    assert ready.resource_id == "project-00000001" and ready.description == "The 1"
    owner = made.organization
    begun_with = {f"{project.uuid}_{kind}" for project in (ready, made) for kind in groups.OF_A_PROJECT}
    begun_with |= {f"{owner.uuid}_{kind}" for kind in groups.OF_AN_ORGANIZATION}
    assert {*Group.objects.values_list("name", flat=True)} == begun_with
    managers, hosts = (
        Group.objects.get(name=f"{of.uuid}_{kind}")
        for of, kind in ((owner, "Project-Manager-Group"), (ready, "Host-Manager-Group"))
    )
    assert {(grant.role, grant.organization) for grant in managers.grants.all()} == {
        (role, owner) for role in IN_ORGANIZATION
    }
    assert [(grant.role, grant.project) for grant in hosts.grants.all()] == [("im-rw", ready)]
    ada = User.objects.get(username="ada")
    assert roles_of(ada) == {f"{ready.uuid}_im-rw", f"{ready.uuid}_en-ob", f"{ready.organization.uuid}_{ready.uuid}_m"}
    assert structure(ready.schema_name) == structure(schema.TEMPLATE)
    with schema_context(ready.schema_name):
        assert Region.objects.get().name == "Europe"
    tasks.audit()  # nothing rang for what was under way
    settle()
    assert [*Project.objects.order_by("pk")] == [ready, made]
    made.refresh_from_db()
    assert made.is_ready and structure(made.schema_name) == structure(schema.TEMPLATE)
    assert not schema.exists(going.schema_name) and Organization.objects.get().is_so


def many(count: int) -> None:
    """Tenants made fast: the template is fetched once."""
    organization = Organization.objects.get(name="tests")
    sql = schema.template_sql()
    for number in range(count):
        project = Project(name=f"many-{number}", organization=organization)
        project.ask(state=TenantState.CREATED)
        run(sql.replace(schema.TEMPLATE, project.schema_name), project)


def memory_of(pid: int) -> int:
    """What a backend holds for itself, in MB; the shared buffers aren't counted."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) // 1024


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(300, marks=pytest.mark.timeout(300)),
        pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_fleet_with_nothing_to_do_is_fast_and_one_column_too(database, add_migration, count):
    began = time.monotonic()
    many(count)
    made = time.monotonic()
    assert "Nothing to do" in migrate()
    idle = time.monotonic()
    add_migration("0100_climate", COLUMN)
    migrate()
    done = time.monotonic()
    megabytes = memory_of(connection.connection.info.backend_pid)
    print(
        f"{count} tenants: made in {made - began:.1f} s, nothing to do {idle - made:.2f} s, "
        f"one column {done - idle:.1f} s, backend {megabytes} MB"
    )
    assert idle - made < 3
    assert done - idle < 30

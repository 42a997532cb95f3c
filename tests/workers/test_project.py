"""Tenants come and go: every step, killed between any two, stuck, by force, and beside each other."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, connections
from django_tenants.utils import schema_context

from inventory import defaults, profiles
from inventory.models import (
    Host,
    HostState,
    Instance,
    InstanceState,
    OperatingSystem,
    OsUpdateRun,
    Provider,
    Region,
    Resource,
    TelemetryGroup,
)
from onboarding.reconcilers.host import HostTrust
from provisioning import workflow
from provisioning.models import Workflow
from provisioning.reconcilers.instance import InstanceOnHost
from tenants import credentials, schema, shared
from tenants.errors import BadDefaults, LeaseLost
from tenants.models import Claim, EdgeCredential, Event, Grant, Organization, Project, Ring, Role, TenantState, User
from tenants.resource import fence
from tests.conftest import remove, settle
from tests.southbound import wanted
from tests.tenants.test_schema import structure
from workers import engine, models, teardown
from workers.engine import Later
from workers.models import Queue, Work

LEASE = timedelta(seconds=60)


@pytest.fixture
def unblocked(django_db_setup, django_db_blocker):
    """Rows are really committed, as workers see them; what a test leaves behind is removed."""
    with django_db_blocker.unblock():
        connection.set_schema_to_public()
        yield
        connection.set_schema_to_public()
        for project in Project.objects.filter(name__startswith="till"):
            remove(project)
        for table in (Ring, Work):
            table.objects.all().delete()
        Event.objects.filter(schema="public").delete()
    connection.close()


@pytest.fixture
def asked(unblocked):
    """A project that was asked for, and that nobody has looked at yet."""
    return ask_for("till")


@pytest.fixture
def till(asked):
    """A project that is there, with all that it begins with."""
    settle()
    asked.refresh_from_db()
    assert asked.is_ready, Work.objects.values_list("why", flat=True)
    return asked


def ask_for(name: str) -> Project:
    project = Project(name=name, organization=Organization.objects.get(name="tests"))
    project.ask(state=TenantState.CREATED)
    return project


def said(project: Project) -> tuple[str, str]:
    project.refresh_from_db()
    shown, _ = project.shown
    return shown.text, str(shown.indicator).removeprefix("STATUS_INDICATION_")


def is_there(project: Project) -> bool:
    return Project.objects.filter(pk=project.pk).exists()


def nothing_is_left_of(project: Project) -> bool:
    rows = [model for model in shared.tables() if model.objects.filter(schema=project.schema_name).exists()]
    return not is_there(project) and not schema.exists(project.schema_name) and not rows


def fill(project: Project, hosts: int = 3) -> None:
    """Onboarded machines with credentials, each with an installation under way, and rows that refer to them."""
    with schema_context(project.schema_name):
        Region(name="Europe").ask()
        for number in range(hosts):
            host = Host(name=f"h{number}", uuid=uuid4(), serial_number=f"{project.name}{number}")
            host.ask(state=HostState.ONBOARDED)
            host.observe(state=HostState.ONBOARDED, pxe_mac=f"52:54:00:00:00:{number:02x}")
            credentials.issue(host.uuid)
            instance = wanted(host)
            workflow.start(instance)
            OsUpdateRun(name="run", instance=instance, start_time=1).ask()


@contextmanager
def due_now():
    """What was put off is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET due_at = now(), leased_until = NULL")
    yield


def look_again() -> None:
    with due_now():
        settle()


# Coming ---------------------------------------------------------------------------------------------------------------


def test_a_project_is_served_when_all_that_projects_begin_with_is_there(till):
    assert said(till) == ("Project till CREATE is complete", "IDLE") and settle() == []
    assert structure(till.schema_name) == structure(schema.TEMPLATE)
    with schema_context(till.schema_name):
        groups = TelemetryGroup.objects.values_list("kind", "collector_kind", "name", "groups")
        assert len(groups) == 14
        assert ("TELEMETRY_RESOURCE_KIND_METRICS", "TELEMETRY_COLLECTOR_KIND_HOST", "Disk_Usage_and_Health",
                ["disk", "diskio", "smart"]) in groups  # fmt: skip
        systems = {*OperatingSystem.objects.values_list("profile_name", flat=True)}
        assert systems == {
            "debian-12", "debian-immutable-12", "microvisor-nonrt",
            "ubuntu-22.04-lts-generic", "ubuntu-24.04-lts-generic",
        }  # fmt: skip
        assert Provider.objects.get(name="infra_onboarding").provider_kind == "PROVIDER_KIND_BAREMETAL"


def test_the_groups_of_a_project_come_and_go_with_it(till):
    theirs = Group.objects.filter(name__startswith=f"{till.uuid}_")
    assert theirs.count() == 5 and Grant.objects.filter(group__in=theirs, project=till).count() == 5
    till.ask(state=TenantState.DELETED)
    settle()
    assert nothing_is_left_of(till) and not theirs.exists()


def test_the_project_managers_of_an_organization_come_and_go_with_it(unblocked):
    owner = Organization(name="till-owner")
    owner.ask(state=TenantState.CREATED)
    settle()
    managers = Group.objects.filter(name=f"{owner.uuid}_Project-Manager-Group")
    assert managers.get().grants.count() == 3
    owner.ask(state=TenantState.DELETED)
    settle()
    assert not managers.exists() and not Organization.objects.filter(pk=owner.pk).exists()


def test_it_is_not_served_before(asked, monkeypatch):
    seen = []

    def look():
        connection.set_schema_to_public()
        seen.append((Project.objects.ready().filter(pk=asked.pk).exists(), said(asked)))

    real = defaults.make
    monkeypatch.setattr(defaults, "make", lambda: (real(), look()))
    settle()
    assert seen == [(False, ("Project till CREATE initiated", "IN_PROGRESS"))]
    assert Project.objects.ready().filter(pk=asked.pk).exists()


class Killed(BaseException):
    """As a worker ends that is killed: no handler of ours sees it."""


@contextmanager
def killed_at(number: int):
    """The worker is killed when it is about to send its number-th statement."""
    sent = 0

    def count(execute, sql, params, many, context):
        nonlocal sent
        sent += 1
        if sent == number:
            raise Killed
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield


def work_until_killed(number: int) -> bool:
    """Whether it was killed before it was done."""
    work = models.claim(Queue.TENANT, LEASE)
    try:
        with killed_at(number):
            engine.run(work)
    except Killed:
        connection.close()
        connection.set_schema_to_public()
        return True
    return False


@pytest.mark.timeout(240)
def test_a_worker_may_be_killed_at_any_statement_of_the_making(unblocked):
    from workers import tasks

    number, kills = 1, 0
    while True:
        project = ask_for(f"till-{number}")
        tasks.hear()
        killed = work_until_killed(number)
        if killed:
            kills += 1
            assert not Project.objects.ready().filter(pk=project.pk).exists()
            look_again()
        project.refresh_from_db()
        assert project.is_ready and structure(project.schema_name) == structure(schema.TEMPLATE)
        with schema_context(project.schema_name):
            assert (TelemetryGroup.objects.count(), OperatingSystem.objects.count()) == (14, 5)
            assert Provider.objects.count() == 1
        remove(project)
        if not killed:
            break
        number += 1 if number < 12 else 9
    assert kills > 12


def test_what_an_earlier_release_or_a_cut_migration_left_is_brought_to_the_head(asked, monkeypatch):
    """Without pg_dump a schema is made by migrations, one by one: a worker may be killed between two."""

    def gone():
        raise schema.SchemaMissing("pg_dump is missing")

    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA "{asked.schema_name}"')
    monkeypatch.setattr(schema, "template_sql", gone)
    settle()
    asked.refresh_from_db()
    assert asked.is_ready and structure(asked.schema_name) == structure(schema.TEMPLATE)


def test_a_worker_whose_lease_ran_out_makes_no_schema(asked):
    def lost():
        raise LeaseLost("another has it")

    token = fence.set(lost)
    try:
        with pytest.raises(LeaseLost):
            schema.create(asked)
    finally:
        fence.reset(token)
    assert not schema.exists(asked.schema_name)


def test_a_fault_is_told_and_tried_again(asked, monkeypatch):
    monkeypatch.setattr(schema, "template_sql", lambda: "SELECT nonsense")
    settle()
    text, indicator = said(asked)
    assert 'Project till CREATE failed, and is tried again: column "nonsense" does not exist' in text
    assert indicator == "ERROR"
    monkeypatch.undo()
    look_again()
    assert said(asked) == ("Project till CREATE is complete", "IDLE")


def test_many_are_made_at_once_by_workers_beside_each_other(unblocked):
    from workers import tasks

    projects = [ask_for(f"till-{number}") for number in range(6)]
    tasks.hear()
    together(*[lambda: [engine.run(work) for work in iter(lambda: models.claim(Queue.TENANT, LEASE), None)]] * 3)
    for project in projects:
        project.refresh_from_db()
        assert project.is_ready and structure(project.schema_name) == structure(schema.TEMPLATE)


def test_equal_ones_are_not_made_twice(till):
    with schema_context(till.schema_name):
        before = [model.objects.count() for model in (TelemetryGroup, OperatingSystem, Provider)]
        TelemetryGroup.objects.first().delete()
        defaults.make()
        assert [model.objects.count() for model in (TelemetryGroup, OperatingSystem, Provider)] == before


def test_an_image_that_nobody_vouches_for_is_not_installed(till):
    with schema_context(till.schema_name):
        host = Host(uuid=uuid4())
        host.ask(state=HostState.ONBOARDED)
        host.observe(state=HostState.ONBOARDED)
        instance = Instance(host=host, os=OperatingSystem.objects.get(profile_name="debian-12"))
        instance.ask(state=InstanceState.RUNNING)
        settle()
        instance.refresh_from_db()
        assert instance.provisioning_status_indicator == "STATUS_INDICATION_ERROR"
        assert "Debian 12 has no digest yet" in instance.provisioning_status
        assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{name: x}", "spec needs osImageUrl, osImageVersion, profileName, provider, type"),
        ("{name: x, type: OS_TYPE_MUTABLE, provider: OS_PROVIDER_KIND_INFRA, profileName: mine, osImageUrl: u, "
         "osImageVersion: [24.10]}", "every value of spec is a text"),
        ("{name: x, type: OS_TYPE_SOFT, provider: OS_PROVIDER_KIND_INFRA, profileName: mine, osImageUrl: u, "
         "osImageVersion: '1'}", "OS_TYPE_SOFT"),
        ("{name: x, type: OS_TYPE_MUTABLE, provider: OS_PROVIDER_KIND_INFRA, profileName: other, osImageUrl: u, "
         "osImageVersion: '1'}", "its profileName is 'other', not the file's name"),
        ("{name: x, type: OS_TYPE_MUTABLE, provider: OS_PROVIDER_KIND_INFRA, profileName: mine, osImageUrl: u, "
         "osImageVersion: '1', osImageSha256: abc}", "sha256 is 64"),
        ("{name: x, colour: red, type: a, provider: b, profileName: mine, osImageUrl: u, osImageVersion: '1'}",
         "spec has no colour"),
        ("[", "can't be read"),
    ],
)  # fmt: skip
def test_a_bad_profile_is_refused_with_its_file_named(tmp_path, spec, says):
    file = tmp_path / "mine.yaml"
    file.write_text(f"appVersion: apps/v1\nspec: {spec}\n")
    with pytest.raises(BadDefaults, match=str(file)) as refused:
        profiles.read(file)
    assert says in str(refused.value)


def test_an_administrators_profile_replaces_the_one_of_its_name(tmp_path):
    file = tmp_path / "debian-12.yaml"
    shipped = (profiles.SHIPPED / "debian-12.yaml").read_text()
    file.write_text(f"{shipped}  osImageSha256: {'ab' * 32}\n")
    found = {one["profile_name"]: one for one in profiles.in_folders((profiles.SHIPPED, tmp_path))}
    debian = found["debian-12"]
    assert len(found) == 5 and debian["sha256"] == "ab" * 32
    assert debian["metadata"] == '{"release":"12"}' and debian["profile_version"] == "12"


def test_a_bad_list_of_telemetry_groups_is_refused_with_its_file_named(tmp_path):
    file = tmp_path / "groups.yaml"
    for text in ("- {kind: METRICS}", "- {kind: NOISE, collector: HOST, name: x, groups: [a]}", "7", "["):
        file.write_text(text)
        with pytest.raises(BadDefaults, match=str(file)):
            defaults.telemetry_groups(file)


def test_defaults_that_cannot_be_read_are_told_in_the_status(asked, settings, tmp_path):
    settings.EIM_OS_PROFILES = tmp_path / "nowhere"
    settle()
    text, indicator = said(asked)
    assert f"There is no folder {tmp_path}/nowhere with OS profiles" in text and indicator == "ERROR"


# Going ----------------------------------------------------------------------------------------------------------------


def test_a_project_goes_with_all_that_it_has_in_the_schema_and_in_shared_tables(till):
    fill(till)
    user = User.objects.create_user("till-reader")
    Grant.objects.create(user=user, role=Role.READ, project=till)
    for model in (Claim, EdgeCredential, Workflow, Event, Ring):
        assert model.objects.filter(schema=till.schema_name).exists(), model
    till.ask(state=TenantState.DELETED)
    assert said(till) == ("Project till DELETE initiated", "IN_PROGRESS")
    assert not Project.objects.ready().filter(pk=till.pk).exists()  # from now on
    settle()
    assert nothing_is_left_of(till) and not Grant.objects.filter(user=user).exists()
    kept = Event.objects.filter(schema="public", resource_id=till.resource_id).values_list("verb", flat=True)
    assert {"created", "asked", "deleted"} <= {*kept}  # the journal that stays
    user.delete()


def test_the_name_is_free_again_and_the_new_one_is_another(till):
    till.ask(state=TenantState.DELETED)
    settle()
    again = ask_for("till")
    settle()
    again.refresh_from_db()
    assert again.is_ready and again.schema_name != till.schema_name


def test_every_kind_that_can_be_asked_to_go_has_its_place_in_the_order():
    goes = {
        model for model in apps.get_app_config("inventory").get_models()
        if issubclass(model, Resource) and "state" in model.wishes
        and any(value.endswith("_DELETED") for value, _ in model._meta.get_field("desired_state").choices)
    }  # fmt: skip
    assert {ending.model for ending in teardown.ENDINGS} == goes
    order = [ending.model for ending in teardown.ENDINGS]
    for number, model in enumerate(order):
        for field in model._meta.concrete_fields:
            if field.related_model in order:
                assert order.index(field.related_model) > number, f"{model} refers to what goes before it"


def test_every_shared_table_with_a_schema_is_among_those_whose_rows_go():
    """Those that outlive their tenant say so on their model."""
    with_schema = {m for m in apps.get_models() if "schema" in {f.name for f in m._meta.concrete_fields}}
    assert {Claim, EdgeCredential, Event, Ring, Work, Workflow} <= {*shared.tables()}
    for model in with_schema - {*shared.tables()}:
        assert model.outlives_tenant


@pytest.mark.timeout(240)
def test_a_worker_may_be_killed_at_any_statement_of_the_removing(unblocked):
    from workers import tasks

    number, kills = 1, 0
    while True:
        project = ask_for(f"till-{number}")
        settle()
        fill(project, 1)
        project.ask(state=TenantState.DELETED)
        tasks.hear()
        killed = work_until_killed(number)
        if killed:
            kills += 1
            look_again()
        settle()
        assert nothing_is_left_of(project), number
        if not killed:
            break
        number += 5
    assert kills > 8


@pytest.fixture
def slow_hosts(monkeypatch):
    """Hosts end one by one, somewhere outside, and never do; as with a management controller that is away."""
    monkeypatch.setattr(HostTrust, "end_all", lambda self: False)
    monkeypatch.setattr(HostTrust, "reconcile", lambda self, host: Later(timedelta(seconds=30), "It doesn't answer"))
    monkeypatch.setattr(InstanceOnHost, "end_all", lambda self: False)


def test_it_tells_what_it_waits_for(till, slow_hosts):
    fill(till)
    till.ask(state=TenantState.DELETED)
    settle()
    look_again()
    text, indicator = said(till)
    with schema_context(till.schema_name):
        hosts = [*Host.objects.all()]
        assert not Instance.objects.exists() and not OsUpdateRun.objects.exists()
        assert {host.desired_state for host in hosts} == {HostState.DELETED}
    listed = ", ".join(f"{host}: It doesn't answer" for host in hosts)
    assert text == f"Project till DELETE: waiting on 3 hosts ({listed})" and indicator == "IN_PROGRESS"


def test_one_that_is_stuck_goes_when_its_time_is_over(till, slow_hosts, settings):
    fill(till)
    till.ask(state=TenantState.DELETED)
    settle()
    look_again()
    assert is_there(till)
    settings.TEARDOWN_PATIENCE = 0
    look_again()
    look_again()
    assert nothing_is_left_of(till)


def test_one_that_is_stuck_goes_at_once_by_force(till, slow_hosts):
    fill(till)
    till.ask(state=TenantState.DELETED)
    settle()
    look_again()
    till.refresh_from_db()
    till.forced = True
    till.ask(state=TenantState.DELETED)
    settle()
    assert nothing_is_left_of(till)


def test_by_force_nobody_is_waited_for_from_the_beginning(till, slow_hosts):
    fill(till)
    till.forced = True
    till.ask(state=TenantState.DELETED)
    settle()
    assert nothing_is_left_of(till)


def test_one_that_can_not_even_be_asked_goes_when_its_time_is_over(till, monkeypatch, settings):
    fill(till)
    monkeypatch.setattr(InstanceOnHost, "end_all", lambda self: 1 / 0)
    till.ask(state=TenantState.DELETED)
    settle()
    assert is_there(till) and "ZeroDivisionError" in Work.objects.get(reconciler="ProjectSchema").why
    settings.TEARDOWN_PATIENCE = 0
    look_again()
    assert nothing_is_left_of(till)


def test_a_stuck_tenant_keeps_no_other_from_coming_and_going(till, slow_hosts):
    fill(till)
    till.ask(state=TenantState.DELETED)
    settle()
    other = ask_for("till-other")
    settle()
    other.refresh_from_db()
    assert other.is_ready and is_there(till)
    other.ask(state=TenantState.DELETED)
    settle()
    assert nothing_is_left_of(other) and is_there(till)


@contextmanager
def somebody_in(project: Project):
    server = connection.settings_dict
    where = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    with psycopg.connect(**where, dbname=server["NAME"], application_name="a report") as session:
        session.execute(f'SELECT FROM "{project.schema_name}".inventory_site')
        yield session


def test_whoever_is_in_a_table_is_named_and_ended_by_force(till):
    with somebody_in(till) as session:
        till.ask(state=TenantState.DELETED)
        settle()
        text, indicator = said(till)
        assert f"waiting on process {session.info.backend_pid} (a report, idle in transaction for 0:00:0" in text
        assert "holds inventory_site; deleting it by force ends such a session" in text and indicator == "IN_PROGRESS"
        other = ask_for("till-other")
        settle()
        other.refresh_from_db()
        assert other.is_ready
        till.refresh_from_db()
        till.forced = True
        till.ask(state=TenantState.DELETED)
        settle()
        look_again()
        assert nothing_is_left_of(till)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        session.close()


def test_whoever_leaves_the_table_lets_it_go(till):
    with somebody_in(till):
        till.ask(state=TenantState.DELETED)
        settle()
    look_again()
    assert nothing_is_left_of(till)


def test_a_schema_that_is_half_gone_or_was_never_made_goes_all_the_same(till):
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{till.schema_name}".inventory_host CASCADE')
    unmade = ask_for("till-unmade")
    for project in (till, unmade):
        project.ask(state=TenantState.DELETED)
    settle()
    assert nothing_is_left_of(till) and nothing_is_left_of(unmade)


def test_asking_it_to_go_while_it_is_made_ends_it(asked, monkeypatch):
    real = defaults.make

    def meanwhile_she_changes_her_mind():
        real()
        together(lambda: Project.objects.get(pk=asked.pk).ask(state=TenantState.DELETED))

    monkeypatch.setattr(defaults, "make", meanwhile_she_changes_her_mind)
    settle()
    assert nothing_is_left_of(asked)


def test_two_workers_at_one_tenant_do_no_harm(till):
    """The lease of the first ran out; it is slow, not dead."""
    from workers import tasks

    fill(till)
    till.ask(state=TenantState.DELETED)
    tasks.hear()
    slow, heir = models.claim(Queue.TENANT, timedelta(seconds=-1)), models.claim(Queue.TENANT, LEASE)
    assert slow.pk == heir.pk
    together(lambda: engine.run(slow), lambda: engine.run(heir))
    settle()
    assert nothing_is_left_of(till)


def test_work_of_a_schema_that_is_gone_is_not_tried_again(till):
    fill(till)
    models.wake(till.schema_name, "HostTrust", Queue.RECONCILE, [(1, HostState.DELETED, False)])
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "{till.schema_name}" CASCADE')
    settle()
    assert not Work.objects.filter(schema=till.schema_name).exists()


def test_many_rows_go_in_batches_and_in_turns(till, settings, monkeypatch):
    monkeypatch.setattr(shared, "ROWS_AT_ONCE", 3)
    settings.TASK_TURN = 0
    fill(till, 4)
    till.ask(state=TenantState.DELETED)
    tried = settle()
    assert nothing_is_left_of(till) and tried.count("ProjectSchema") > 10


def test_the_last_project_and_the_end_of_its_organization_never_pass_each_other(unblocked):
    """One of the two is refused, whoever is first."""
    for _ in range(5):
        owner = Organization(name="racing")
        owner.ask(state=TenantState.CREATED)
        try:
            outcomes = together(
                lambda owner=owner: Project(name="till", organization=owner).ask(state=TenantState.CREATED),
                lambda owner=owner: Organization.objects.get(pk=owner.pk).ask(state=TenantState.DELETED),
            )
            assert sorted(outcome is None for outcome in outcomes) == [False, True], outcomes
        finally:
            Project.objects.filter(organization=owner).delete()
            Organization.objects.filter(pk=owner.pk).delete()


def together(*acts) -> list[Exception | None]:
    """Begin them at the same moment, on connections of their own; what each raised."""
    gate, outcomes = threading.Barrier(len(acts), timeout=10), [None] * len(acts)

    def run(number):
        try:
            connection.set_schema_to_public()
            gate.wait()
            acts[number]()
        except Exception as refusal:  # the test reads it
            outcomes[number] = refusal
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    [thread.start() for thread in threads]
    [thread.join(20) for thread in threads]
    return outcomes


# By command -----------------------------------------------------------------------------------------------------------


def test_commands_make_and_delete_without_a_worker(unblocked, capsys):
    call_command("create_project", "till", org="tills")
    project = Project.objects.get(name="till")
    assert project.is_ready and project.organization.name == "tills"
    call_command("create_project", "till", org="tills")  # harmless
    call_command("list_projects")
    told = capsys.readouterr()
    assert f"Project till ({project.uuid}) is TENANT_STATE_CREATED" in told.out
    assert "Project till CREATE initiated" in told.err
    row = next(line for line in told.out.splitlines() if line.startswith("till "))
    assert [*map(str, (project.uuid, project.schema_name, "Project till CREATE is complete"))] == row.split(None, 4)[2:]
    call_command("delete_project", "till", wait=True)
    assert nothing_is_left_of(project) and "Project till DELETE is complete" in capsys.readouterr().out
    call_command("delete_org", "tills")
    assert not Organization.objects.filter(name="tills").exists()


def test_without_waiting_a_deletion_is_left_to_the_workers(till, capsys):
    call_command("delete_project", "till", force=True)
    till.refresh_from_db()
    assert till.is_going and till.forced and "Project till DELETE initiated" in capsys.readouterr().out
    settle()
    assert nothing_is_left_of(till)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("create_project", "No Such Name", "--org", "tests"), "A name has lower-case letters"),
        (("create_project", "till", "--org", "others"), "Project till belongs to organization tests"),
        (("create_org", "UPPER"), "A name has lower-case letters"),
        (("delete_project", "nobodys"), "There is no project nobodys"),
        (("delete_org", "nobodys"), "There is no organization nobodys"),
        (("delete_org", "tests"), "Organization tests has projects (acme, beta, till): delete them first"),
    ],
)
def test_a_command_that_can_not_be_done_says_why(till, command, says):
    from django.core.management import CommandError

    with pytest.raises(CommandError) as refused:
        call_command(*command)
    assert says in str(refused.value)


def test_a_command_gives_up_after_some_faults_and_leaves_it_to_the_workers(unblocked, monkeypatch):
    from django.core.management import CommandError

    monkeypatch.setattr(schema, "template_sql", lambda: "SELECT nonsense")
    monkeypatch.setattr(engine, "LONGEST_PAUSE", timedelta(0))
    with pytest.raises(CommandError, match=r'column "nonsense" does not exist.*workers go on trying'):
        call_command("create_project", "till", org="tests")
    monkeypatch.undo()
    look_again()
    assert Project.objects.get(name="till").is_ready

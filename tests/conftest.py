"""Real Postgres with real schemas: two projects, acme and beta, made once; each test's changes are rolled back."""

from collections.abc import Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import setup_databases, teardown_databases
from django_tenants.utils import schema_context
from rest_framework.test import APIClient

from eim_project import tls
from tenants import groups, issuer, keys, limits, middleware, schema, shared, standing, tokens
from tenants.errors import SchemaMissing
from tenants.models import Client, Grant, Organization, Project, Ring, TenantState, User
from tests.apt import apt_root, packages, repository  # noqa: F401 - fixtures of whoever asks for them
from workers import engine, models, tasks


@pytest.fixture(scope="session", autouse=True)
def certificate(tmp_path_factory):
    """The stack's CA: workflows name it, and the southbound server has a certificate of it."""
    from django.conf import settings

    tls.ensure(settings.EIM_DATA / "tls", ["localhost", "127.0.0.1"])


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_modify_db_settings, django_db_blocker):
    """pytest-django's own makes no test database for tests that have none of its marks: ours would then be written."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
        issuer.make_signing_key()
        call_command("create_org", "tests", stdout=StringIO())
        for name in ("acme", "beta"):
            empty_project(name)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(autouse=True)
def nothing_known():
    """What a process keeps of people, keys and projects for seconds would outlive the test that made them."""
    standing.forget()
    keys.own.forget()
    middleware.forget()


@pytest.fixture
def public(db):
    connection.set_schema_to_public()
    limits.of_few().storage.reset()  # all tests have one address
    yield
    connection.set_schema_to_public()


@pytest.fixture
def acme(public):
    """The project whose schema the test is in."""
    project = Project.objects.get(name="acme")
    with schema_context(project.schema_name):
        yield project


@pytest.fixture
def beta(public):
    return Project.objects.get(name="beta")


def client_of(project: Project, *roles: str, wire: Sequence[str] = ()) -> APIClient:
    """A client of the REST API with a token for these roles in this project; wire: roles as tokens spell them."""
    client = APIClient()
    token = token_with(*(f"{project.uuid}_{role}" for role in roles), *wire)
    client.who = tokens.verify(token).name  # which warms the cache: no test counts the queries of a cold one
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    client.base = f"/v1/projects/{project.name}"
    return client


def token_with(*wire: str) -> str:
    """The token of a service account that has these roles, as tokens spell them: "<uuid>_im-rw", "org-read-role"."""
    which = sha256(" ".join(sorted(wire)).encode()).hexdigest()[:16]
    person, _ = User.objects.get_or_create(username=f"tester-{which}")
    Client.objects.get_or_create(client_id=f"tester-{which}", defaults={"service_account": person})
    for role in wire:
        about, _, name = role.rpartition("_")
        project = Project.objects.filter(uuid=about).first() if about else None
        organization = Organization.objects.filter(uuid=about).first() if about and not project else None
        Grant.objects.get_or_create(user=person, role=name, project=project, organization=organization)
    return tokens.for_person(person, "system-client")


@pytest.fixture
def api(acme):
    return client_of(acme, "im-rw")


def settle(most: int = 200) -> list[str]:
    """Hear all rings and reconcile all that is due, here and now, as workers would. Returns who reconciled."""
    worked = []
    with schema_context("public"):
        for _ in range(most):
            tasks.hear()
            for queue in models.Queue.values:
                while work := models.claim(queue, engine.lease()):
                    worked.append(work.reconciler)
                    engine.run(work)
                    if len(worked) > most:
                        raise AssertionError(f"the loop doesn't settle: {worked[-20:]}")
            if not Ring.objects.exists():
                return worked
    raise AssertionError("rings keep coming")


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    """A project of its own whose rows are really committed, for tests with threads and processes; gone afterwards."""
    with django_db_blocker.unblock(), fresh_project() as project:
        yield project
    connection.close()


def empty_project(name: str) -> Project:
    """As the loop makes one, but without what all projects begin with: the tests count what they make."""
    with suppress(SchemaMissing):
        schema.template_sql()  # by itself: pg_dump has to see what it dumps
    with transaction.atomic():  # whoever works beside us finds nothing to do for it
        project = Project(name=name, organization=Organization.objects.get(name="tests"))
        project.ask(state=TenantState.CREATED)
        schema.create(project)
        project.observe(state=TenantState.CREATED)
    return project


def remove(project: Project) -> None:
    """All at once, whatever is in it."""
    groups.remove_groups(project)
    for _ in (*schema.dropping(project.schema_name), *shared.forgetting(project.schema_name)):
        pass
    Project.objects.filter(pk=project.pk).delete()


@contextmanager
def fresh_project():
    connection.set_schema_to_public()
    project = empty_project(f"p{uuid4().hex[:10]}")
    try:
        yield project
    finally:
        connection.set_schema_to_public()
        remove(project)


@pytest.fixture(scope="session")
def southbound_address(django_db_setup):
    from tests.southbound import serving

    with serving() as address:
        yield address


@pytest.fixture
def there(committed):
    """Inside the schema of the project whose rows are really committed."""
    with schema_context(committed.schema_name):
        yield committed

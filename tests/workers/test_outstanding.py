"""What is not as it was asked for is listed, with the reasons, on the terminal and on a page."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Instance, InstanceState
from tenants.models import User
from tests.conftest import settle
from tests.southbound import wanted
from workers import models, tasks

pytestmark = pytest.mark.django_db


def listed(*arguments) -> str:
    out = StringIO()
    with schema_context("public"):
        call_command("outstanding", *arguments, stdout=out)
    return out.getvalue()


def host(number: int) -> Host:
    host = Host(serial_number=f"SN000000{number}")
    host.ask(state=HostState.ONBOARDED)
    return host


@pytest.fixture
def deleting(acme):
    """An instance that can't go yet, and its host, which waits for it."""
    instance = wanted(host(1))
    instance.observe(state=InstanceState.RUNNING)
    instance.host.observe(state=HostState.ONBOARDED)
    settle()
    instance.host.ask(state=HostState.DELETED)
    settle()
    return instance


def test_what_is_tried_again_says_why_and_when(deleting):
    said = listed()
    [line] = [line for line in said.splitlines() if deleting.host_id in line]
    assert line.startswith("acme") and "HOST_STATE_DELETED" in line
    assert f"Deleting: waiting on {deleting} deletion" in line and re.search(r"in [12] s|now", line)
    assert "1 queued" in said


def test_what_failed_says_how_often_and_what_is_refused_that_nobody_tries(deleting):
    work = models.Work.objects.get()
    models.Work.objects.update(attempts=3, why="OSError: no route")
    assert " 3 " in listed() and "OSError: no route" in listed()
    assert "0 queued" in listed("--refused")
    models.Work.objects.filter(pk=work.pk).update(refused=work.wish)
    assert "never: refused" in listed("--refused")


def test_one_project_s_alone_and_no_more_than_one_asks_for(deleting, beta):
    assert "0 queued" in listed("--project", "beta")
    assert deleting.host_id in listed("--project", "acme")
    with schema_context(beta.schema_name):
        wanted(host(2)).host.observe(state=HostState.ONBOARDED)
        with schema_context("public"):
            tasks.hear()
    assert "2 queued, the first 1 shown" in listed("--limit", "1")
    with pytest.raises(CommandError, match="no project nowhere"):
        listed("--project", "nowhere")


def test_what_waits_for_its_machine_is_listed_when_asked_for(acme):
    instance = wanted(host(1))
    settle()
    assert instance.host_id not in listed()
    said = listed("--waiting")
    assert "when its machine reports" in said and instance.host_id in said and str(instance) in said
    assert "Not Provisioned" in said


def test_what_is_gone_with_its_tenant_is_listed_as_gone(public):
    models.wake("t_nowhere", "InstanceOnHost", "reconcile", [(1, "INSTANCE_STATE_RUNNING", False)])
    assert "gone" in listed()


def test_the_page_shows_the_same_in_a_constant_number_of_queries(deleting, client):
    client.force_login(User.objects.create_superuser("root"))
    schema = connection.schema_name

    def page():
        with schema_context("public"), CaptureQueriesContext(connection) as asked:
            answer = client.get("/admin/workers/work/")
        return answer.content.decode(), len(asked)

    shown, count = page()
    assert deleting.host_id in shown and "acme" in shown and f"waiting on {deleting}" in shown
    for number in range(2, 6):
        with schema_context(schema):
            models.wake(schema, "HostTrust", "reconcile", [(host(number).pk, "HOST_STATE_DELETED", False)])
    shown, more = page()
    assert Host.objects.get(serial_number="SN0000005").resource_id in shown
    assert more == count
    assert Instance.objects.count() == 1

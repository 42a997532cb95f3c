"""What is over goes when it is old: runs and the journal. What is on its way, or the last of a machine, never does."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_context

from inventory.models import Region
from provisioning import tasks, workflow
from provisioning.models import Workflow, WorkflowState
from tenants import expired
from tenants.models import Claim, Event
from workers import tasks as loop


def run_of(uuid, state, days_ago=None, **more) -> str:
    ended = None if days_ago is None else timezone.now() - timedelta(days=days_ago)
    return Workflow.objects.create(
        schema=connection.schema_name, workflow_id=f"workflow-{uuid4().hex[:16]}", instance_id="inst-00000001",
        host_id="host-00000001", host_uuid=uuid, state=state, finished_at=ended, **more,
    ).workflow_id  # fmt: skip


def a_machine():
    uuid = uuid4()
    Claim.objects.create(schema=connection.schema_name, resource_id=f"host-{uuid.hex[:8]}", uuid=uuid)
    return uuid


def test_runs_go_after_a_later_installation_and_nothing_that_counts_does(acme, settings, monkeypatch):
    monkeypatch.setattr(workflow, "AT_ONCE", 2)
    settings.WORKFLOW_RUNS_DAYS = 30
    success, failed = WorkflowState.SUCCESS, WorkflowState.FAILED
    machine, waiting, gone = a_machine(), a_machine(), uuid4()
    old = [run_of(machine, success, 50), run_of(machine, failed, 45), run_of(gone, success, 40)]
    kept = [
        run_of(machine, failed, 40, outside=True),  # the engine may have something of it
        run_of(machine, failed, 29),
        run_of(machine, success, 40),  # the last that installed it
        run_of(machine, failed, 35),  # the last of all
        run_of(waiting, failed, 60),  # its machine was never installed: all that was tried is told
        run_of(waiting, WorkflowState.RUNNING),
        run_of(gone, success, 29),
    ]
    with schema_context("public"):
        assert tasks.forget() == len(old)
        assert tasks.forget() == 0
        assert {*Workflow.objects.values_list("workflow_id", flat=True)} == {*kept}


def test_old_lines_of_the_journal_go_and_it_goes_on(acme, settings, monkeypatch):
    monkeypatch.setattr(expired, "AT_ONCE", 2)
    settings.JOURNAL_DAYS = 30
    with schema_context("public"):
        Event.objects.all().delete()
    for number in range(7):
        Region(name=f"r{number}").ask()
    ids = [*Event.objects.order_by("id").values_list("id", flat=True)]
    Event.objects.filter(id__in=ids[:5]).update(at=timezone.now() - timedelta(days=31))
    with schema_context("public"):
        assert loop.forget()["journal"] == 5
        assert [*Event.objects.order_by("id").values_list("id", flat=True)] == ids[5:]
        said = StringIO()
        call_command("forget", stdout=said)
    assert "journal: 0 forgotten" in said.getvalue() and "workflow runs: 0 forgotten" in said.getvalue()


@pytest.mark.usefixtures("public")
def test_which_runs_are_too_old_is_found_by_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of a table that is nearly empty
    later_installed, gone = (old.explain() for old in workflow.too_old())
    assert "runs_that_ended" in later_installed and "installations" in later_installed, later_installed
    assert "runs_that_ended" in gone, gone

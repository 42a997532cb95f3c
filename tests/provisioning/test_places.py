"""Who finds no place queues and never fails; tenants have their turns; what is waited for is told."""

import pytest
from django_tenants.utils import schema_context

from provisioning import places, verbs, workflow
from provisioning.models import BUSY, Workflow, WorkflowState
from tests.conftest import client_of, settle
from tests.provisioning.machines import machine


@pytest.fixture
def limits(settings):
    def to(in_all, of_tenant):
        settings.PROVISIONING_LIMIT, settings.PROVISIONING_LIMIT_TENANT = in_all, of_tenant

    return to


def busy_in(project) -> int:
    with schema_context("public"):
        return Workflow.objects.filter(schema=project.schema_name, state__in=BUSY).count()


def end_one(project) -> None:
    """The oldest one that has a place in this project is aborted."""
    with schema_context(project.schema_name):
        oldest = Workflow.objects.filter(schema=project.schema_name, state__in=BUSY).order_by("id").first()
        workflow.cancel(Workflow.objects.filter(pk=oldest.pk), "a test")


def test_whoever_finds_no_place_waits_and_says_for_what(acme, limits):
    limits(10, 2)
    instances = [machine() for _ in range(3)]
    settle()
    states = [workflow.latest(instance).state for instance in instances]
    assert sorted(states) == [WorkflowState.PENDING, WorkflowState.PENDING, WorkflowState.QUEUED]
    waiting = instances[states.index(WorkflowState.QUEUED)]
    waiting.refresh_from_db()
    assert waiting.provisioning_status == (
        "Provisioning In Progress: waiting for a place: 2 machines of this project are being installed, "
        "as many as may be at once"
    )
    assert settle() == []  # and costs nothing
    end_one(acme)
    assert workflow.latest(waiting).state == WorkflowState.PENDING


def test_tenants_get_places_in_turn_however_many_one_of_them_asks_for(acme, beta, limits):
    limits(4, 3)
    for project, number in ((acme, 6), (beta, 3)):
        with schema_context(project.schema_name):
            for _ in range(number):
                workflow.start(machine())
    assert (busy_in(acme), busy_in(beta)) == (3, 1)  # whoever came first may use what nobody else asks for
    end_one(acme)
    assert (busy_in(acme), busy_in(beta)) == (2, 2)
    end_one(acme)
    end_one(beta)
    assert (busy_in(acme), busy_in(beta)) == (2, 2)
    with schema_context(acme.schema_name):
        run = Workflow.objects.filter(schema=acme.schema_name, state=WorkflowState.QUEUED).order_by("id").last()
        assert "4 machines are being installed" in places.why_waiting(run) and places.before(run) == 1


def test_a_pause_frees_the_place_and_whoever_goes_on_queues_again(acme, limits):
    limits(1, 1)
    first, second = machine(), machine()
    for instance in (first, second):
        workflow.start(instance)
    verbs.pause(first, "ann")
    assert [workflow.latest(each).state for each in (first, second)] == [WorkflowState.PAUSED, WorkflowState.PENDING]
    assert verbs.resume(first, "ann").state == WorkflowState.QUEUED
    verbs.abort(second, "ann")
    assert workflow.latest(first).state == WorkflowState.PENDING


def test_the_queue_is_read_in_its_order_by_a_constant_number_of_queries(acme, limits, django_assert_max_num_queries):
    limits(1, 1)
    for _ in range(6):
        workflow.start(machine())
    api = client_of(acme, "im-r")
    path = f"{api.base}/compute/workflows?state=STATE_QUEUED&pageSize=4"
    with django_assert_max_num_queries(12):
        answer = api.get(path).json()
    assert answer["totalElements"] == 5 and answer["hasNext"] and len(answer["workflows"]) == 4
    assert [run["created"] for run in answer["workflows"]] == sorted(run["created"] for run in answer["workflows"])
    assert all("waiting for a place: 1 machines of this project" in run["progress"] for run in answer["workflows"])
    last = api.get(f"{path}&offset=4").json()["workflows"][0]
    assert api.get(f"{api.base}/compute/workflows/{last['workflowId']}").json()["before"] == 4

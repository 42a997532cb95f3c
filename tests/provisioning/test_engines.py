"""What an engine may rely on that makes things outside of our database: begun, looked at, taken back, always."""

import sys
import time
from types import ModuleType

import pytest

from inventory.models import HostState, InstanceState
from provisioning import engines, verbs, workflow
from provisioning.models import WorkflowState
from provisioning.workflow import Seen
from tenants import credentials
from tests.conftest import settle
from tests.provisioning.machines import machine
from tests.provisioning.test_verbs import look_again, shown

BEGAN = time.time() - 5


class Elsewhere(ModuleType):
    """An engine that keeps its runs in a dict, and whoever works at them in another."""

    OUTSIDE = True

    def __init__(self):
        super().__init__("provisioning.engines.elsewhere")
        self.there, self.states, self.paused, self.away = {}, {}, set(), False

    def begin(self, run):
        if self.away:
            raise ConnectionError("elsewhere is away")
        self.there[run.workflow_id] = workflow.document(run)
        self.paused.discard(run.workflow_id)

    def look(self, run):
        if run.workflow_id in self.states:
            workflow.follow(run, self.states[run.workflow_id])

    def pause(self, run):
        self.paused.add(run.workflow_id)

    def end(self, run):
        if self.away:
            raise ConnectionError("elsewhere is away")
        self.there.pop(run.workflow_id, None)


@pytest.fixture
def elsewhere(settings, monkeypatch):
    engine = Elsewhere()
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    settings.PROVISIONING_ENGINE = "elsewhere"
    engines._named.cache_clear()
    yield engine
    engines._named.cache_clear()


@pytest.fixture
def instance(acme, elsewhere):
    instance = machine()
    settle()
    return instance


def states(run, done, then=""):
    """So many actions are done, and the next one is as `then` says."""
    rest = [Seen(WorkflowState.PENDING)] * (len(run.actions) - done)
    if then:
        rest[0] = Seen(f"STATE_{then}", "its last word", started=BEGAN, seconds=1.5)
    return [Seen(WorkflowState.SUCCESS, seconds=1.0)] * done + rest


def test_a_run_is_a_document_there_until_it_has_ended(instance, elsewhere):
    run = workflow.latest(instance)
    [document] = elsewhere.there.values()
    [task] = document["tasks"]
    assert (document["name"], task["worker"]) == (run.workflow_id, instance.host.pxe_mac)
    assert [action["name"] for action in task["actions"]] == [action["name"] for action in run.actions]
    assert credentials.secret_of(instance.host.uuid) in task["actions"][3]["environment"]["CONTENTS"]
    elsewhere.states[run.workflow_id] = states(run, 2, "RUNNING")
    look_again()
    assert shown(instance) == "Provisioning In Progress: 3/7: Streaming OS image"
    assert workflow.latest(instance).actions[2]["started"] == BEGAN
    elsewhere.states[run.workflow_id] = states(run, 7)
    look_again()
    assert shown(instance) == "Provisioned" and elsewhere.there == {} and not workflow.latest(instance).outside


def test_a_failure_there_is_shown_and_the_next_attempt_begins_after_the_last_is_taken_back(instance, elsewhere):
    run = workflow.latest(instance)
    elsewhere.states[run.workflow_id] = states(run, 2, "FAILED")
    look_again()
    assert shown(instance) == "Provisioning Failed: 3/7: Streaming OS image failed: its last word"
    assert elsewhere.there == {}
    verbs.retry(instance, "ann")
    verbs.retry(instance, "ann")  # before the loop has seen the first
    settle()
    assert [*elsewhere.there] == [workflow.latest(instance).workflow_id]


def test_a_pause_and_its_end_reach_the_engine(instance, elsewhere):
    verbs.pause(instance, "ann")
    settle()
    assert elsewhere.paused == {*elsewhere.there}
    verbs.resume(instance, "ann")
    settle()
    assert elsewhere.paused == set()


def test_whatever_ends_an_instance_waits_for_an_engine_that_is_away(instance, elsewhere):
    elsewhere.away = True
    instance.ask(state=InstanceState.DELETED)
    settle()
    assert type(instance).objects.filter(pk=instance.pk).exists() and elsewhere.there
    elsewhere.away = False
    look_again()
    assert not type(instance).objects.filter(pk=instance.pk).exists() and elsewhere.there == {}


def test_a_host_that_is_not_trusted_any_more_is_taken_from_the_engine(instance, elsewhere):
    instance.host.ask(state=HostState.UNTRUSTED)
    settle()
    assert elsewhere.there == {}

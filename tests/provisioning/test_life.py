"""The life of a host's runs as a machine of states: whatever operators, machines and the clock do, in any order.

EIM_EXAMPLES=200 tries more lives than the suite has time for.
"""

import os
from contextlib import suppress
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django_tenants.utils import schema_context
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inventory.models import Indicator, InstanceState
from provisioning import verbs, workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from tests.conftest import settle
from tests.provisioning.machines import machine
from tests.provisioning.test_verbs import NAMES, earlier, look_again

DONE = WorkflowState.SUCCESS
REPORTED = st.sampled_from(["RUNNING", "SUCCESS", "SUCCESS", "SUCCESS", "FAILED", "TIMEOUT"])


class Life(RuleBasedStateMachine):
    """One instance, its runs, and what is remembered of those that ended."""

    project = None  # whose schema it lives in

    @initialize()
    def begin(self):
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.schema = schema_context(self.project.schema_name)
        self.schema.__enter__()
        self.instance, self.ended, self.deleted = machine(), {}, False
        settle()

    def teardown(self):
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)
        self.schema.__exit__(None, None, None)

    @property
    def runs(self):
        return [*workflow.of(self.instance)]

    # What may happen

    @rule(name=st.sampled_from([*NAMES, "no such action"]), state=REPORTED, age=st.integers(0, 2), message=st.text())
    def the_machine_says_something(self, name, state, age, message):
        """Of whichever run that it ever had."""
        runs = self.runs
        self.say(runs[min(age, len(runs) - 1)], name, state, message)

    @rule(state=REPORTED, times=st.integers(1, 7))
    def the_machine_does_what_is_due(self, state, times):
        for _ in range(times):
            run = workflow.for_worker(self.instance.host.pxe_mac, self.instance.host.uuid)
            if run is None or not workflow.may_begin(run):
                return
            self.say(run, run.actions[run.current]["name"], state, "")

    def say(self, run, name, state, message):
        told = workflow.Report(run.workflow_id, name, f"STATE_{state}", message)
        with suppress(workflow.StaleReport):  # it asks again then
            workflow.report(self.instance.host.uuid, told)

    @precondition(lambda self: not self.deleted)
    @rule(verb=st.sampled_from([*verbs.VERBS]))
    def an_operator_does(self, verb):
        before = [(run.pk, run.state) for run in self.runs]
        try:
            with transaction.atomic():
                verbs.VERBS[verb](self.instance, "ann")
        except verbs.NotNow:
            assert before == [(run.pk, run.state) for run in self.runs]

    @rule()
    def the_loop_works(self):
        settle()

    @rule(seconds=st.sampled_from([30, 700, 2000, 10_000, 100_000]))
    def time_passes(self, seconds):
        earlier(self.instance, seconds)

    @rule()
    def the_loop_looks_again(self):
        look_again()

    @precondition(lambda self: not self.deleted)
    @rule(now=st.integers(0, 5).map(lambda drawn: drawn == 0))
    def it_is_deleted(self, now):
        if now:
            self.instance.ask(state=InstanceState.DELETED)
            self.deleted = True

    # What is so at any time

    @invariant()
    def at_most_one_run_is_on_its_way(self):
        assert sum(run.state in ACTIVE for run in self.runs) <= 1

    @invariant()
    def what_has_ended_stays_as_it_ended(self):
        for run in self.runs:
            if run.state not in ACTIVE:
                now = (run.state, run.reason, run.finished_at)
                assert self.ended.setdefault(run.pk, now) == now and run.finished_at is not None

    @invariant()
    def actions_are_done_one_after_the_other(self):
        for run in self.runs:
            states = [action["state"] for action in run.actions]
            assert DONE not in states[run.current :]
            assert all(state == WorkflowState.PENDING for state in states[run.current + 1 :])
            assert (run.state == DONE) == (run.current == len(states))

    @invariant()
    def what_is_on_its_way_has_an_end(self):
        for run in self.runs:
            if run.state in ACTIVE and run.state != WorkflowState.QUEUED:
                at, why = workflow.deadline(run)
                assert why and at < timezone.now() + timedelta(days=2)

    @invariant()
    def machines_write_no_wishes(self):
        found = type(self.instance).objects.filter(pk=self.instance.pk).first()
        if found:
            assert found.desired_state == (InstanceState.DELETED if self.deleted else InstanceState.RUNNING)

    @invariant()
    def once_the_loop_has_looked_what_is_shown_is_so(self):
        settle()
        found = type(self.instance).objects.filter(pk=self.instance.pk).first()
        if found is None or self.deleted:
            assert found is None and not any(run.state in ACTIVE for run in self.runs)
            return
        run = workflow.latest(found)
        installed = run.state == DONE or (run.state == WorkflowState.CANCELLED and workflow.left_alone(run, found))
        assert (found.current_state == InstanceState.RUNNING) == installed
        expected = Indicator.IDLE if installed else Indicator.IN_PROGRESS if run.state in ACTIVE else Indicator.ERROR
        assert found.provisioning_status_indicator == expected, found.provisioning_status


def test_whatever_happens_one_run_is_on_its_way_and_has_an_end(acme):
    class Here(Life):
        project = acme

    run_state_machine_as_test(Here, settings=settings(
        max_examples=int(os.environ.get("EIM_EXAMPLES", "3")), stateful_step_count=12, deadline=None, database=None,
        derandomize="EIM_EXAMPLES" not in os.environ,
        suppress_health_check=[*HealthCheck],
    ))  # fmt: skip


def test_nothing_that_is_on_its_way_stays_so_if_nothing_is_heard(acme):
    """From each state that a run can be in there is a way to an end by time alone, and by an operator at any time."""
    ways = {
        WorkflowState.PENDING: [], WorkflowState.RUNNING: ["report"], WorkflowState.PAUSED: ["pause"],
    }  # fmt: skip
    for state, way in ways.items():
        instance = machine()
        settle()
        run = workflow.latest(instance)
        if "report" in way:
            workflow.report(instance.host.uuid, workflow.Report(run.workflow_id, NAMES[0], "STATE_RUNNING"))
        if "pause" in way:
            verbs.pause(instance, "ann")
        assert workflow.latest(instance).state == state
        earlier(instance, 200_000)
        look_again()
        assert workflow.latest(instance).state == WorkflowState.TIMEOUT
        assert verbs.retry(instance, "ann").state == WorkflowState.PENDING
        verbs.abort(instance, "ann")
    assert not Workflow.objects.filter(state__in=ACTIVE).exists()

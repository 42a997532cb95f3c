"""The loop: nothing that was asked for is lost, nothing is done twice at once, and what fails is tried again."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.db import models as orm
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tenants.utils import schema_context

from eim_project.logging import Json
from inventory import errors
from inventory.models import Host, HostState, Indicator, Status
from inventory.models.base import fence
from tenants import credentials, schema
from tenants.models import Event, Ring
from tests.conftest import settle
from workers import engine, models, tasks
from workers.engine import Done, Later, Reconciler, Refused
from workers.models import Queue, Work

LEASE = timedelta(seconds=60)


class HostEnds(Reconciler):
    """A reconciler of the tests' own: what it does is put into `act`."""

    model = Host

    def outstanding(self):
        return super().outstanding().exclude(desired_state=HostState.REGISTERED)

    def __init__(self):
        self.act = lambda host: Done()
        self.seen = []

    def reconcile(self, host):
        self.seen.append(host.desired_state)
        return self.act(host)


@pytest.fixture
def ends(monkeypatch):
    """The only reconciler there is."""
    ends = HostEnds()
    monkeypatch.setattr(engine, "registry", {"HostEnds": ends})
    return ends


@pytest.fixture
def host(there, ends):
    """One whose credentials must be taken back before it can go."""
    host = Host(serial_number="SN00001", uuid=uuid4())
    host.ask(state=HostState.REGISTERED)
    host.observe(state=HostState.REGISTERED)
    credentials.issue(host.uuid)
    settle()
    return host


def work() -> Work | None:
    return Work.objects.first()


def in_thread(schema: str, act):
    """Run `act` on a connection of its own, and give back what it returned or raised."""
    outcome = []

    def run():
        try:
            with schema_context(schema):
                outcome.append(act())
        except Exception as problem:  # whatever it is, the test reads it
            outcome.append(problem)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return outcome[0]


def test_a_wish_is_fulfilled_and_nothing_stays_outstanding(host, ends):
    ends.act = lambda host: host.observe(state=HostState.ONBOARDED) and Done("There it is")
    host.ask(state=HostState.ONBOARDED)
    settle()
    host.refresh_from_db()
    assert (host.current_state, host.host_status, host.host_status_indicator) == (
        HostState.ONBOARDED, "There it is", Indicator.IDLE,
    )  # fmt: skip
    assert work() is None and ends.seen == [HostState.ONBOARDED]


def test_a_worker_killed_before_the_end_leaves_neither_a_fact_nor_an_operator_who_is_never_told(
    host, ends, monkeypatch
):
    class Killed(BaseException):
        pass

    def killed(work):
        raise Killed

    ends.act = lambda host: Done("There it is", state=HostState.ONBOARDED)
    host.ask(state=HostState.ONBOARDED)
    tasks.hear()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(models, "finish", killed)
        engine.run(models.claim(Queue.RECONCILE, timedelta(seconds=1)))
    host.refresh_from_db()
    assert (host.current_state, host.host_status) == (HostState.REGISTERED, "Not Connected")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET leased_until = now() - interval '1 second'")
    settle()
    host.refresh_from_db()
    assert (host.current_state, host.host_status) == (HostState.ONBOARDED, "There it is") and work() is None


def test_wish_journal_and_ring_are_one_transaction(host):
    Event.objects.all().delete()

    class Undone(Exception):
        pass

    from django.db import transaction

    with pytest.raises(Undone), transaction.atomic():
        host.ask(state=HostState.ONBOARDED)
        raise Undone
    assert not Event.objects.exists() and not Ring.objects.exists()
    host.ask(state=HostState.ONBOARDED)
    assert [event.verb for event in Event.objects.all()] == ["asked"] and Ring.objects.count() == 1


def test_a_wake_during_the_work_is_not_lost(host, ends):
    """The race that an epoch alone loses: finish() deletes only the generation that was claimed."""

    def meanwhile_somebody_asks_again(seen):
        seen.observe(state=HostState.ONBOARDED)
        in_thread(connection.schema_name, lambda: Host.objects.get(pk=seen.pk).ask(state=HostState.DELETED))
        in_thread("public", tasks.hear)
        return Done()

    ends.act = meanwhile_somebody_asks_again
    host.ask(state=HostState.ONBOARDED)
    tasks.hear()
    engine.run(models.claim(Queue.RECONCILE, LEASE))
    assert work() is not None and work().leased_until is None
    ends.act = lambda seen: seen.observe(state=HostState.DELETED) and Done()
    settle()
    assert ends.seen == [HostState.ONBOARDED, HostState.DELETED] and not Host.objects.filter(pk=host.pk).exists()


def test_a_refusal_is_shown_and_not_retried_until_a_new_wish(host, ends):
    def refuse(host):
        raise Refused("It has no battery")

    ends.act = refuse
    host.ask(state=HostState.ONBOARDED)
    settle()
    host.refresh_from_db()
    assert (host.host_status, host.host_status_indicator) == ("It has no battery", Indicator.ERROR)
    host.name = "renamed"
    host.save()
    assert settle() == [] and len(ends.seen) == 1
    host.ask(state=HostState.ONBOARDED)  # the same wish once more is a wish
    settle()
    assert len(ends.seen) == 2


def test_refusing_an_old_wish_does_not_block_a_newer_one(host, ends):
    def refuse_while_she_changes_her_mind(seen):
        ends.act = lambda host: Done()
        in_thread(connection.schema_name, lambda: Host.objects.get(pk=seen.pk).ask(state=HostState.DELETED))
        in_thread("public", tasks.hear)
        raise Refused("no")

    ends.act = refuse_while_she_changes_her_mind
    host.ask(state=HostState.ONBOARDED)
    settle()
    host.refresh_from_db()
    assert ends.seen == [HostState.ONBOARDED, HostState.DELETED] and host.host_status != "no"


def test_a_fault_is_tried_again_with_growing_pauses_of_at_most_five_minutes(host, ends):
    ends.act = lambda host: 1 / 0
    host.ask(state=HostState.ONBOARDED)
    pauses = []
    tasks.hear()
    for _ in range(11):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE workers_work SET due_at = now()")
        engine.run(models.claim(Queue.RECONCILE, LEASE))
        with connection.cursor() as cursor:
            cursor.execute("SELECT round(extract(epoch FROM due_at - now())) FROM workers_work")
            pauses.append(int(cursor.fetchone()[0]))
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert work().attempts == 11 and work().why == "ZeroDivisionError: division by zero"


def test_later_means_later_and_a_ring_does_not_wait_for_it(host, ends):
    ends.act = lambda host: Later(timedelta(minutes=4), "Waiting for the machine")
    host.ask(state=HostState.ONBOARDED)
    settle()
    assert len(ends.seen) == 1 and work().why == "Waiting for the machine"
    host.ask(state=HostState.DELETED)
    settle()
    assert ends.seen[-1] == HostState.DELETED


def test_only_one_worker_has_a_row_at_a_time(host):
    host.ask(state=HostState.ONBOARDED)
    tasks.hear()
    mine = models.claim(Queue.RECONCILE, LEASE)
    assert mine is not None and in_thread("public", lambda: models.claim(Queue.RECONCILE, LEASE)) is None


def test_a_dead_workers_row_is_taken_over_when_its_lease_ran_out(host):
    host.ask(state=HostState.ONBOARDED)
    tasks.hear()
    dead = models.claim(Queue.RECONCILE, timedelta(seconds=-1))
    heir = models.claim(Queue.RECONCILE, LEASE)
    assert heir.pk == dead.pk and heir.epoch == dead.epoch + 1
    models.finish(dead)
    models.postpone(dead, timedelta(), "nonsense")
    assert (work().why, work().epoch) == ("", heir.epoch) and work().leased_until is not None


def test_a_worker_whose_lease_ran_out_writes_nothing(host, ends):
    def too_slow(seen):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE workers_work SET leased_until = now() - interval '1 second'")
        seen.observe(state=HostState.ONBOARDED)
        raise AssertionError("observe() should have raised LeaseLost")

    ends.act = too_slow
    host.ask(state=HostState.ONBOARDED)
    tasks.hear()
    engine.run(models.claim(Queue.RECONCILE, LEASE))
    host.refresh_from_db()
    assert host.current_state == HostState.REGISTERED and fence.get() is None


def test_a_lost_message_costs_a_tick_and_no_wish(host, ends):
    """Nobody hears the bell: the ring is a row, and a tick finds it."""
    ends.act = lambda host: host.observe(state=HostState.ONBOARDED) and Done()
    host.ask(state=HostState.ONBOARDED)
    assert Ring.objects.count() == 1
    tasks.tick()
    tasks.run(Queue.RECONCILE)
    host.refresh_from_db()
    assert host.current_state == HostState.ONBOARDED


def test_a_tenant_that_can_not_be_compared_is_told_and_keeps_no_audit_from_the_others(committed, caplog):
    for _ in schema.dropping(committed.schema_name):
        pass
    tasks.audit(parts=1)
    assert [line.schema for line in caplog.records if line.levelname == "ERROR"] == [committed.schema_name]
    assert connection.schema_name == "public"


def test_the_audit_finds_what_even_the_rings_lost(host, ends, monkeypatch):
    ends.act = lambda host: host.observe(state=HostState.ONBOARDED) and Done()
    host.ask(state=HostState.ONBOARDED)
    Ring.objects.all().delete()
    assert settle() == []
    from tenants.models import Project

    part = Project.objects.get(schema_name=connection.schema_name).pk % tasks.AUDIT_PARTS
    monkeypatch.setattr(tasks.time, "time", lambda: part * 60)
    tasks.audit()
    settle()
    host.refresh_from_db()
    assert host.current_state == HostState.ONBOARDED


def test_the_doorbell_names_a_task_that_exists(host):
    from celery import current_app

    current_app.loader.import_default_modules()
    assert {"workers.wake", "workers.tick", "workers.run", "workers.audit", "workers.clean"} <= current_app.tasks.keys()


def test_deleting_is_a_wish_too_and_the_row_goes_when_it_is_so(host):
    host.ask(state=HostState.DELETED)
    assert Host.objects.filter(pk=host.pk).exists()
    host.observe(state=HostState.DELETED)
    assert not Host.objects.filter(pk=host.pk).exists()


def test_a_fact_that_arrives_during_a_request_survives_it(host):
    as_the_request_read_it = Host.objects.get(pk=host.pk)
    host.observe(state=HostState.ONBOARDED, host_status=Status("Running", Indicator.IDLE))
    as_the_request_read_it.name = "rack 7"
    as_the_request_read_it.ask(state=HostState.ONBOARDED)
    host.refresh_from_db()
    assert (host.name, host.current_state, host.host_status) == ("rack 7", HostState.ONBOARDED, "Running")


def test_an_impossible_wish_is_refused_by_what_is_so_and_not_by_what_was_read(host):
    as_the_request_read_it = Host.objects.get(pk=host.pk)
    host.observe(state=HostState.UNTRUSTED)
    with pytest.raises(
        errors.TransitionNotAllowed, match=f"{host} can't become HOST_STATE_ONBOARDED: it is .*UNTRUSTED"
    ):
        as_the_request_read_it.ask(state=HostState.ONBOARDED)


@contextmanager
def refused():
    with pytest.raises(errors.NotYours):
        yield


def test_no_way_of_writing_passes_ask_and_observe_by(host):
    with refused():
        Host.objects.update(desired_state=HostState.DELETED)
    with refused():
        Host.objects.filter(pk=host.pk).update(host_status="lie")
    with refused():
        Host.objects.bulk_update([host], ["current_state"])
    with refused():
        Host.objects.bulk_create([Host(serial_number="SN00002")])
    with refused():
        Host(serial_number="SN00002", desired_state=HostState.ONBOARDED).save()
    with refused():
        Host.objects.create(serial_number="SN00002", host_status="lie")
    with refused():
        host.observe(name="a wish of the operator")
    host.desired_state, host.current_state, host.host_status = HostState.DELETED, HostState.DELETED, "lie"
    host.save()
    host.refresh_from_db()
    assert (host.desired_state, host.current_state) == (HostState.REGISTERED, HostState.REGISTERED)
    assert host.host_status != "lie"


def test_every_wish_has_its_columns_and_a_reconciler():
    from django.apps import apps

    from inventory.models import Resource

    resources = [model for model in apps.get_models() if issubclass(model, Resource)]
    managed = {(reconciler.model.__name__, reconciler.pair) for reconciler in engine.registry.values()}
    assert {(model.__name__, pair) for model in resources for pair in model.wishes} <= managed
    for model in resources:
        for column in model.guarded():
            assert isinstance(model._meta.get_field(column), orm.Field)


def test_tenants_are_served_in_turn_however_many_rows_one_of_them_has(committed):
    """They are nobody's to reconcile here: a worker puts each off as it comes to it."""
    for name, rows in (("t_few", 2), ("t_many", 30), ("t_one", 1)):
        for target in range(rows):
            models.wake(name, "Nobody", Queue.RECONCILE, [(target, "", False)])
    assert tasks.run(Queue.RECONCILE) == 33
    put_off = Work.objects.filter(reconciler="Nobody").order_by("due_at")
    served = [*put_off.values_list("schema", flat=True)]
    put_off.delete()
    assert max(served.index("t_one"), served.index("t_few")) <= 2
    assert len({*served[:3]}) == 3 and served[5:] == ["t_many"] * 28


def test_of_a_tenants_rows_the_one_that_has_been_due_longest_comes_first_and_what_is_leased_or_not_due_is_passed_by(
    public,
):
    for target, due in enumerate(("-1", "-3", "-2", "60")):
        models.wake("t_a", "Nobody", Queue.RECONCILE, [(target, "", False)])
        Work.objects.filter(target=target).update(due_at=timezone.now() + timedelta(seconds=int(due)))
    models.wake("t_b", "Nobody", Queue.BUILD, [(9, "", False)])
    claimed = [models.claim(Queue.RECONCILE, LEASE, after="t_a") for _ in range(4)]
    assert [work and work.target for work in claimed] == [1, 2, 0, None]


def test_the_log_of_a_reconciliation_names_tenant_reconciler_and_resource(host, ends, there, monkeypatch, caplog):
    told = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: told.append(json.loads(Json().format(record))))
    caplog.set_level("INFO")
    ends.act = lambda host: 1 / 0
    host.ask(state=HostState.ONBOARDED)
    settle()
    failed, reconciled = (line for line in told if line["logger"] == "workers.engine")
    for line in (failed, reconciled):
        assert (line["schema"], line["resource_id"]) == (there.schema_name, host.resource_id)
        assert line["reconciler"] == "HostEnds"
    assert "ZeroDivisionError" in failed["exception"] and reconciled["outcome"] == "failed"


@pytest.mark.parametrize("after", ["", "t_a", "t_z"])
def test_a_claim_reads_no_more_rows_however_many_are_outstanding(public, after):
    """Also as long as Postgres takes the table for empty, as after a heap has come at once."""
    models.wake("t_a", "Nobody", Queue.RECONCILE, [(0, "", False)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE workers_work")
    models.wake("t_a", "Nobody", Queue.RECONCILE, [(target, "", False) for target in range(3000)])
    models.wake("t_b", "Nobody", Queue.RECONCILE, [(target, "", False) for target in range(30)])
    with CaptureQueriesContext(connection) as asked:
        assert models.claim(Queue.RECONCILE, LEASE, after=after).schema == ("t_b" if after == "t_a" else "t_a")
    with connection.cursor() as cursor:
        claim = asked.captured_queries[0]["sql"].partition(";")[2]
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {claim}")
        [[[plan]]] = cursor.fetchall()
    nodes = [plan["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
        read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        assert read <= 10, json.dumps(node)

"""A host gets its operating system, action by action, by either generation of the worker."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO
from uuid import uuid4

import grpc
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import set_script_prefix
from django_tenants.utils import schema_context

from inventory.errors import LeaseLost
from inventory.models import HostState, Indicator, InstanceState
from inventory.models.base import fence
from provisioning import polls, verbs, workflow
from provisioning.models import Workflow, WorkflowState
from tenants import credentials
from tenants.models import EdgeCredential, User
from tests.conftest import client_of, settle, token_with
from tests.southbound import MAC, Node, registered, wanted
from wire import tink
from workers import southbound
from workers.models import Work


@pytest.fixture
def node(southbound_address, there):
    """A machine that is onboarded and is to get an operating system."""
    node = Node(southbound_address)
    node.instance = wanted(registered(node))
    node.onboard()
    settle()
    return node


def shown(instance):
    instance.refresh_from_db()
    return instance.provisioning_status


def test_a_host_waits_for_its_machine_without_work_outstanding(southbound_address, there):
    instance = wanted(registered(Node(southbound_address)))
    assert settle() == [] and not Workflow.objects.exists()
    assert shown(instance) == "Not Provisioned"


def test_a_worker_that_lost_its_lease_starts_no_workflow(southbound_address, there):
    """It might be one for an instance that was deleted meanwhile, and would hold the machine for ever."""
    node = Node(southbound_address)
    instance = wanted(registered(node))
    node.onboard()
    instance.refresh_from_db()

    def lost():
        raise LeaseLost("yesterday's")

    token = fence.set(lost)
    try:
        with pytest.raises(LeaseLost):
            workflow.start(instance)
    finally:
        fence.reset(token)
    assert not Workflow.objects.exists() and shown(instance) == "Not Provisioned"


def test_the_old_worker_is_led_through_all_actions_and_the_operator_reads_along(node):
    [context] = node.contexts()
    assert (context.current_worker, context.current_action_index) == (MAC, 0)
    actions = node.actions(context.workflow_id)
    names = [action.name for action in actions]
    assert names[0] == "secure-boot-status-flag-read" and names[2] == "stream-os-image" and names[-1] == "reboot"
    for action in actions:
        node.report(context.workflow_id, action.name, "STATE_RUNNING")
        if action.name == "stream-os-image":
            assert shown(node.instance) == "Provisioning In Progress: 3/7: Streaming OS image"
        node.report(context.workflow_id, action.name, "STATE_SUCCESS")
    assert node.contexts() == []
    settle()
    assert shown(node.instance) == "Provisioned"
    assert node.instance.current_state == InstanceState.RUNNING
    node.instance.host.refresh_from_db()
    assert node.instance.host.host_status == "Rebooting"


def test_a_report_heard_while_the_loop_looks_is_not_shown_as_what_was_before(node):
    [context] = node.contexts()
    read_before = workflow.latest(node.instance)
    for action in node.actions(context.workflow_id)[:2]:
        node.report(context.workflow_id, action.name, "STATE_SUCCESS")
    workflow.show(read_before)
    assert shown(node.instance) == "Provisioning In Progress: 3/7: Streaming OS image"


def test_the_new_worker_gets_one_action_at_a_time(node):
    def ask():
        return node.new["GetAction"](tink.new.ActionRequest(agent_id=MAC), **node.auth)

    seen = []
    while len(seen) < 7:
        action = ask()
        seen.append(action.name)
        for state in (2, 5):  # running, success
            node.new["ReportActionStatus"](
                tink.new.ActionStatusRequest(
                    workflow_id=action.workflow_id, action_id=action.action_id, action_name=action.name,
                    agent_id=MAC, action_state=state,
                ), **node.auth,
            )  # fmt: skip
    assert seen[-1] == "reboot"
    with pytest.raises(grpc.RpcError) as nothing:
        ask()
    assert nothing.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_secret_reaches_the_machine_and_is_nowhere_at_rest(node):
    secret = credentials.secret_of(node.uuid)
    [context] = node.contexts()
    contents = next(
        value for action in node.actions(context.workflow_id) if action.name == "install-cloud-init"
        for value in action.environment if value.startswith("CONTENTS=")
    )  # fmt: skip
    assert secret in contents
    with connection.cursor() as cursor:
        for table in ("provisioning_workflow", "tenants_edgecredential", "tenants_event"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{secret}%"])
            assert cursor.fetchone() == (0,)


def test_a_failed_action_fails_the_workflow_with_its_message_and_a_new_wish_tries_again(node):
    [context] = node.contexts()
    why = "sha256 is aa, the image's is bb"
    for name in ("secure-boot-status-flag-read", "erase-non-removable-disk"):
        node.report(context.workflow_id, name, "STATE_SUCCESS")
    node.report(context.workflow_id, "stream-os-image", "STATE_FAILED", why)
    settle()
    assert shown(node.instance) == f"Provisioning Failed: 3/7: Streaming OS image failed: {why}"
    assert node.instance.provisioning_status_indicator == Indicator.ERROR
    assert node.contexts() == []
    assert settle() == []  # a refusal isn't retried by itself
    verbs.retry(node.instance, "ann")
    settle()
    [again] = node.contexts()
    assert again.workflow_id != context.workflow_id and Workflow.objects.get(workflow_id=again.workflow_id).attempt == 2
    node.work_through()
    settle()
    assert shown(node.instance) == "Provisioned"


def test_a_machine_that_comes_back_from_an_older_attempt_changes_nothing(node):
    [context] = node.contexts()
    node.report(context.workflow_id, "secure-boot-status-flag-read", "STATE_FAILED")
    settle()
    verbs.retry(node.instance, "ann")
    settle()
    with pytest.raises(grpc.RpcError) as stale:
        node.report(context.workflow_id, "erase-non-removable-disk", "STATE_SUCCESS")
    assert stale.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "has ended" in stale.value.details()
    assert [w.current for w in Workflow.objects.filter(state__in=["STATE_PENDING", "STATE_RUNNING"])] == [0]


def test_an_action_out_of_turn_is_refused_by_name(node):
    [context] = node.contexts()
    with pytest.raises(grpc.RpcError) as early:
        node.report(context.workflow_id, "reboot", "STATE_SUCCESS")
    assert "'secure-boot-status-flag-read'" in early.value.details() and "'reboot'" in early.value.details()


def test_a_node_sees_and_reports_no_workflow_but_its_own(node, southbound_address):
    other = Node(southbound_address, serial="SN0000002")
    registered(other)
    other.onboard()
    assert other.contexts() == []
    [context] = node.contexts()
    for call in (
        lambda: other.actions(context.workflow_id),
        lambda: other.report(context.workflow_id, "secure-boot-status-flag-read", "STATE_SUCCESS"),
    ):
        with pytest.raises(grpc.RpcError):
            call()
    assert Workflow.objects.get(workflow_id=context.workflow_id).current == 0


def test_a_poll_without_work_is_one_question_that_an_index_answers(node, there, django_assert_num_queries):
    node.work_through()
    others = [
        Workflow(schema=there.schema_name, workflow_id=f"other-{number}", host_uuid=uuid4(), worker_id=MAC)
        for number in range(500)
    ]
    Workflow.objects.bulk_create(others)
    assert workflow.for_worker(MAC, node.uuid) is None  # which takes the connection into the schema
    with django_assert_num_queries(1) as asked:
        assert workflow.for_worker(MAC, node.uuid) is None
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE provisioning_workflow")
        cursor.execute(f"EXPLAIN {asked[0]['sql']}")
        assert "using one_active_run_a_host" in str(cursor.fetchall())


def test_machines_that_ask_at_once_are_asked_about_in_one_question_that_an_index_answers(
    node, there, django_assert_num_queries
):
    others = [
        Workflow(schema=there.schema_name, workflow_id=f"other-{number}", host_uuid=uuid4(), worker_id=MAC)
        for number in range(500)
    ]
    Workflow.objects.bulk_create(others)
    with schema_context("public"):
        polls.with_runs([node.uuid])  # which takes the connection into public
        asked_about = [node.uuid, others[0].host_uuid, *(uuid4() for _ in range(20))]
        with django_assert_num_queries(1) as asked:
            found = polls.with_runs(asked_about)
        assert found == {(there.schema_name, node.uuid), (there.schema_name, others[0].host_uuid)}
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE provisioning_workflow")
            cursor.execute(f"EXPLAIN {asked[0]['sql']}")
            plan = str(cursor.fetchall())
        assert "one_active_run_a_host" in plan, plan


def test_polls_that_come_while_others_are_asked_about_go_together(node, southbound_address, monkeypatch):
    other = Node(southbound_address, serial="SN0000002")
    registered(other)
    other.onboard()
    node.contexts(), other.contexts()  # who they are, is known after that
    over, asked, enter = threading.Event(), [], southbound._enter
    monkeypatch.setattr(southbound, "_enter", lambda *args: asked.append(args[-2]) or enter(*args))
    for _ in range(southbound.POLLS):
        southbound._polls.submit(over.wait, 30)
    with ThreadPoolExecutor(20) as machines:
        answers = [machines.submit((node, other)[number % 2].contexts) for number in range(20)]
        while southbound._polls._work_queue.empty():
            time.sleep(0.01)
        with suppress(grpc.RpcError):
            node.heartbeat()  # by another thread: the polls that were sent before have come by now
        over.set()
        found = [len(answer.result()) for answer in answers]
    assert found == [1, 0] * 10
    assert asked.count(polls.with_runs) < 10, "most of them went with others"


def test_a_poll_that_cannot_be_answered_is_refused_and_the_next_one_is_answered(node, monkeypatch):
    node.contexts()
    monkeypatch.setattr(southbound, "AT_ONCE", 0)
    with pytest.raises(grpc.RpcError) as refused:
        node.contexts()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    monkeypatch.undo()
    assert len(node.contexts()) == 1


def test_a_report_costs_few_statements_also_when_what_operators_read_changes(node):
    def statements(action, state):
        with CaptureQueriesContext(connection) as made:
            workflow.report(node.uuid, workflow.Report(run.workflow_id, action, state))
        return len([one for one in made if "search_path" not in one["sql"]])

    run = Workflow.objects.get()
    names = [action["name"] for action in run.actions]
    node.report(run.workflow_id, names[0], "STATE_RUNNING")
    node.report(run.workflow_id, names[0], "STATE_SUCCESS")
    before = shown(node.instance)
    # Begin, the run, locked, what became of it, commit; and the instance, locked, what is shown of it, the journal.
    assert statements(names[1], WorkflowState.RUNNING) == 4
    assert statements(names[1], WorkflowState.SUCCESS) == 7
    assert shown(node.instance) == "Provisioning In Progress: 3/7: " + workflow.PROGRESS[names[2]] != before


def test_a_poll_is_answered_while_all_that_is_reported_waits(node):
    node.contexts()  # who it is, is known after that
    over = threading.Event()
    busy = [southbound._pool.submit(over.wait, 30) for _ in range(southbound.THREADS)]
    try:
        assert len(node.contexts()) == 1
        assert not any(thread.done() for thread in busy)
    finally:
        over.set()


def test_a_token_that_is_no_machines_gets_no_workflow(node, there):
    node.token = token_with(f"{there.uuid}_en-agent-rw")
    with pytest.raises(grpc.RpcError) as refused:
        node.contexts()
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(("token", "expected"), [("", "UNAUTHENTICATED"), ("x.y.z", "UNAUTHENTICATED")])
def test_without_a_good_token_there_is_no_workflow(node, token, expected):
    node.token = token
    with pytest.raises(grpc.RpcError) as refused:
        node.contexts()
    assert refused.value.code().name == expected


def test_a_machine_gone_silent_fails_with_the_reason(node, settings):
    assert node.contexts()
    settings.WORKFLOW_SILENCE = 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET due_at = now()")
    assert settle() == ["InstanceOnHost"]
    assert "no word from the machine for 0 s" in shown(node.instance)
    assert Work.objects.get().refused == InstanceState.RUNNING
    assert Workflow.objects.get().state == WorkflowState.TIMEOUT


def test_a_deleted_instance_ends_its_workflow_and_goes(node):
    node.instance.ask(state=InstanceState.DELETED)
    settle()
    assert not type(node.instance).objects.filter(pk=node.instance.pk).exists()
    assert Workflow.objects.get().state == WorkflowState.CANCELLED and node.contexts() == []


def test_a_host_not_trusted_any_more_gets_no_new_secret_and_its_workflow_ends(node):
    [context] = node.contexts()
    node.instance.host.ask(state=HostState.UNTRUSTED)
    credentials.revoke(node.uuid)  # before the workflow is ended, as another worker may do that
    with pytest.raises(grpc.RpcError) as refused:
        node.actions(context.workflow_id)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    settle()
    assert not EdgeCredential.objects.exists() and node.contexts() == []
    assert shown(node.instance) == "Provisioning Failed: the host is not trusted any more"
    assert Workflow.objects.get().state == WorkflowState.CANCELLED
    node.instance.ask(state=InstanceState.DELETED)
    settle()
    assert not type(node.instance).objects.exists()


def test_what_a_machine_boots_follows_from_what_the_server_knows_now(node):
    uuid = str(node.uuid)
    assert not workflow.boots_from_disk(uuid, "")
    node.work_through()
    settle()
    assert workflow.boots_from_disk(uuid, "") and not workflow.boots_from_disk("nonsense", "")


def test_stored_actions_are_plain_data_without_what_they_are_given(node):
    [run] = Workflow.objects.all()
    assert json.loads(json.dumps(run.actions)) == run.actions
    image = workflow.environments_of(run)[2]
    assert "environment" not in run.actions[2]
    assert image["IMG_URL"].startswith("https://127.0.0.1:") and image["COMPRESSED"] == "true"


@pytest.fixture
def failed(node):
    [context] = node.contexts()
    node.report(context.workflow_id, "secure-boot-status-flag-read", "STATE_FAILED", "secure boot is off")
    settle()
    return node.instance


def test_trying_again_is_a_call_of_the_api(failed, there):
    api = client_of(there, "im-rw")
    path = f"{api.base}/compute/instances/{failed}/retry"
    assert client_of(there, "im-r").post(path).status_code == 403
    assert api.post(path).json()["attempt"] == 2
    settle()
    assert shown(failed).startswith("Provisioning In Progress")
    answer = api.post(f"{api.base}/compute/instances/inst-00000000/retry")
    assert answer.status_code == 404 and answer.json()["message"] == "instance_resource not found"


def test_trying_again_is_a_command_too_and_says_what_it_cannot_try(failed, there):
    out, err = StringIO(), StringIO()
    said = {"stdout": out, "stderr": err}
    with pytest.raises(CommandError, match="retry of 1 of 2 hosts is not possible"):
        call_command("provisioning", "retry", failed.host_id, "host-00000000", project=there.name, **said)
    assert f"{failed.host_id}: workflow-" in out.getvalue() and "host-00000000: " in err.getvalue()
    with pytest.raises(CommandError, match="There is no project 'nobody'"):
        call_command("provisioning", "retry", failed.host_id, project="nobody")


def test_trying_again_is_an_action_of_the_admin(failed, there, client):
    client.force_login(User.objects.create_superuser(f"root{there.name}", password="x"))
    run = workflow.latest(failed)
    page = f"/p/{there.name}/admin/provisioning/workflow/"
    try:
        answer = client.post(page, {"action": "retry", "_selected_action": [run.pk]}, follow=True)
    finally:
        set_script_prefix("/")
    assert "attempt 2" in answer.content.decode()
    assert Workflow.objects.filter(instance_id=str(failed)).count() == 2


def test_an_installed_machine_is_not_tried_again(node):
    node.work_through()
    settle()
    with pytest.raises(verbs.NotNow, match="is INSTANCE_STATE_RUNNING"):
        verbs.retry(node.instance, "ann")

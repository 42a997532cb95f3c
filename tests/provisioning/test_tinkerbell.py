"""PROVISIONING_ENGINE=tinkerbell: the same wishes become objects of a Kubernetes API, and their states become ours.

By the official client, over HTTP, against tests/provisioning/kubernetes_api.py.
"""

import threading
import time

import pytest
import yaml
from django.db.models.functions import Now
from django_tenants.utils import schema_context

from inventory.models import HostState, InstanceState
from provisioning import workflow
from provisioning.engines import tinkerbell
from provisioning.models import Workflow, WorkflowState
from tenants import credentials
from tests.conftest import settle
from tests.provisioning.kubernetes_api import Refusal, serving
from tests.southbound import MAC, Node, registered, wanted
from workers.models import Work


@pytest.fixture
def cluster(tmp_path, settings, monkeypatch):
    with serving() as (cluster, address):
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": address}}],
            "users": [{"name": "eim", "user": {"token": "t"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "eim"}}],
        }))  # fmt: skip
        settings.PROVISIONING_ENGINE, settings.TINKERBELL_KUBECONFIG = "tinkerbell", kubeconfig
        tinkerbell._api.cache_clear()
        yield cluster
        tinkerbell._api.cache_clear()


@pytest.fixture
def instance(southbound_address, there, cluster):
    """Wished for on a host that is onboarded."""
    node = Node(southbound_address)
    wished = wanted(registered(node))
    node.onboard()
    settle()
    wished.refresh_from_db()
    return wished


@pytest.fixture
def run(instance) -> Workflow:
    return Workflow.objects.get()


def told(run: Workflow, *states: str, whole: str = "RUNNING", **of_the_last) -> dict:
    """A Workflow's status: its first actions are as given, the others pending."""
    actions = [{"name": action["name"], "image": action["image"], "state": "PENDING"} for action in run.actions]
    for action, state in zip(actions, states, strict=False):
        action["state"] = state
    actions[len(states) - 1 if states else 0] |= of_the_last
    return {"state": whole, "tasks": [{"name": "OS provisioning", "agentID": MAC, "actions": actions}]}


def test_a_wish_becomes_a_template_a_hardware_and_a_workflow(cluster, instance, run):
    [template], [hardware], [made] = (cluster.of(plural).values() for plural in ("templates", "hardware", "workflows"))
    assert made["spec"]["templateRef"] == template["metadata"]["name"] == run.workflow_id
    assert made["spec"]["hardwareRef"] == hardware["metadata"]["name"]
    [interface] = hardware["spec"]["interfaces"]
    assert interface["dhcp"]["mac"] == MAC and interface["netboot"]["allowWorkflow"]
    document = yaml.safe_load(template["spec"]["data"].replace('{{"{{"}}', "{{"))
    [task] = document["tasks"]
    assert (document["version"], task["name"], task["worker"]) == ("0.1", "OS provisioning", MAC)
    assert [action["name"] for action in task["actions"]] == [action["name"] for action in run.actions]
    assert all(action["timeout"] > 0 and action["image"] for action in task["actions"])
    assert credentials.secret_of(instance.host.uuid) in template["spec"]["data"]
    settle()  # once more
    assert len(cluster.of("workflows")) == 1


def test_what_looks_like_a_go_template_in_a_text_is_none(run):
    text = tinkerbell.template_text({"contents": "{{ ds.meta_data }} and {{{{"})
    assert yaml.safe_load(text.replace('{{"{{"}}', "{{")) == {"contents": "{{ ds.meta_data }} and {{{{"}
    assert text.count('{{"{{"}}') == 3 and "{{ ds" not in text.replace('{{"{{"}}', "")


def test_the_workflows_progress_is_shown_and_its_success_ends_the_run_and_the_objects(cluster, instance, run):
    cluster.set_status(run.workflow_id, told(run, "SUCCESS", "RUNNING", message="running action"))
    tinkerbell.look(run)
    instance.refresh_from_db()
    assert instance.provisioning_status.startswith(f"Provisioning In Progress: 2/{len(run.actions)}: ")
    states = ["SUCCESS"] * len(run.actions)
    times = {"executionStart": "2026-11-24T10:00:00Z", "executionDuration": "1m2.5s"}
    cluster.set_status(run.workflow_id, told(run, *states, whole="POST", **times))
    tinkerbell.look(run)
    settle()
    instance.refresh_from_db()
    run.refresh_from_db()
    assert (instance.current_state, instance.provisioning_status) == (InstanceState.RUNNING, "Provisioned")
    assert run.actions[-1]["seconds"] == 62.5
    assert not cluster.objects


@pytest.mark.parametrize("prefix", ["", "STATE_"], ids=["newer", "older"])
@pytest.mark.parametrize("how", ["FAILED", "TIMEOUT"])
def test_a_workflow_that_fails_fails_the_run_with_its_reason(cluster, instance, run, prefix, how):
    status = told(run, f"{prefix}SUCCESS", f"{prefix}{how}", whole=f"{prefix}{how}", message="disk is gone")
    for action in status["tasks"][0]["actions"] if prefix else ():
        action["status"] = action.pop("state")
    cluster.set_status(run.workflow_id, status)
    tinkerbell.look(run)
    settle()
    instance.refresh_from_db()
    run.refresh_from_db()
    assert run.state == f"STATE_{how}" and instance.provisioning_status.startswith("Provisioning Failed: 2/")
    assert not cluster.objects


def test_a_template_that_tinkerbell_cannot_render_fails_the_run_with_its_words(cluster, instance, run):
    condition = {"type": "TemplateRenderedSuccess", "status": "False", "reason": "Error", "message": "no such function"}
    cluster.set_status(run.workflow_id, {"state": "FAILED", "conditions": [condition]})
    tinkerbell.look(run)
    settle()
    instance.refresh_from_db()
    assert "no such function" in instance.provisioning_status


@pytest.mark.parametrize("state", ["PENDING", "PREPARING", "POST", "SOMETHING_NEWER"])
def test_states_on_the_way_end_nothing(cluster, run, state):
    status = told(run, "SUCCESS", whole=state if state != "SOMETHING_NEWER" else "RUNNING")
    cluster.set_status(run.workflow_id, status)
    found = cluster.of("workflows")[run.workflow_id]
    found["status"]["state"] = state
    workflow.follow(run, tinkerbell.seen(found, run))
    run.refresh_from_db()
    assert run.state in (WorkflowState.PENDING, WorkflowState.RUNNING)


def test_a_workflow_that_somebody_deletes_is_a_failure_and_not_waited_for(cluster, instance, run):
    cluster.set_status(run.workflow_id, told(run, "RUNNING"))
    tinkerbell.look(run)
    cluster.delete(("tinkerbell", "workflows", run.workflow_id))
    run.refresh_from_db()
    tinkerbell.look(run)
    settle()
    instance.refresh_from_db()
    assert "the Workflow was deleted from Tinkerbell's namespace" in instance.provisioning_status


def test_an_instance_that_is_deleted_takes_its_objects_with_it(cluster, instance):
    instance.ask(state=InstanceState.DELETED)
    settle()
    assert not cluster.objects


def test_an_object_of_that_name_that_is_not_ours_is_left_alone(cluster, run):
    cluster.delete(("tinkerbell", "templates", run.workflow_id))
    theirs = tinkerbell.objects(run)["templates"] | {"spec": {"data": "theirs"}}
    theirs["metadata"] = theirs["metadata"] | {"labels": {}}
    cluster.create("tinkerbell", "templates", theirs)
    with pytest.raises(tinkerbell.Refused, match="is there already, and isn't ours"):
        tinkerbell.begin(run)
    assert cluster.of("templates")[run.workflow_id]["spec"]["data"] == "theirs"


def test_a_cluster_that_refuses_is_tried_again_and_named(cluster, southbound_address, there):
    cluster.refusing = [Refusal(503, "ServiceUnavailable", "etcd is away")] * 100
    node = Node(southbound_address)
    instance = wanted(registered(node))
    node.onboard()
    settle()
    assert not cluster.of("workflows")
    with schema_context("public"):
        outstanding = Work.objects.filter(schema=there.schema_name, target=instance.pk)
        assert "answered 503: etcd is away" in outstanding.get().why
        outstanding.update(due_at=Now())
    cluster.refusing = []
    settle()
    assert cluster.of("workflows")


def test_an_object_that_the_cluster_does_not_take_is_refused_for_good(cluster, run):
    run.worker_id = "no mac"
    cluster.objects.clear()
    with pytest.raises(tinkerbell.Refused, match=r"answered 422: hardware .*mac"):
        tinkerbell.begin(run)


# The watch --------------------------------------------------------------------------------------------------------


@pytest.fixture
def heard(cluster):
    """What the watch has told so far; it runs on a thread, and ends with the cluster."""
    found, failed = [], []

    def listen():
        try:
            for one in tinkerbell.watch():
                found.append(one)
        except tinkerbell.ClusterAway as away:
            failed.append(away)

    threading.Thread(target=listen, daemon=True).start()
    until(lambda: cluster.watches)
    return found


def until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def last(heard) -> str:
    return heard[-1].get("status", {}).get("state", "") if heard else "nothing"


def test_the_watch_hears_each_change_also_after_it_broke_off_or_the_server_forgot(cluster, run, heard):
    until(lambda: [one["metadata"]["name"] for one in heard] == [run.workflow_id])  # from the list
    cluster.set_status(run.workflow_id, {"state": "RUNNING"})
    until(lambda: last(heard) == "RUNNING")
    cluster.end_watches()
    cluster.set_status(run.workflow_id, {"state": "POST"})
    until(lambda: last(heard) == "POST")
    cluster.end_watches()
    cluster.set_status(run.workflow_id, {"state": "SUCCESS"})
    cluster.forget()
    until(lambda: last(heard) == "SUCCESS")  # by the list: 410 Gone


def test_what_is_heard_is_written_down_in_its_tenant(cluster, instance, run):
    cluster.set_status(run.workflow_id, told(run, *["SUCCESS"] * len(run.actions), whole="SUCCESS"))
    for found in cluster.of("workflows").values():
        tinkerbell.hear(found)
    settle()
    instance.refresh_from_db()
    assert instance.current_state == InstanceState.RUNNING
    assert instance.host.current_state == HostState.ONBOARDED


def test_what_is_heard_of_an_unknown_or_ended_run_changes_nothing(cluster, run):
    [found] = cluster.of("workflows").values()
    found["status"] = told(run, "FAILED", whole="FAILED")
    found["metadata"]["labels"][tinkerbell.TENANT] = "t_other"
    tinkerbell.hear(found)
    run.refresh_from_db()
    assert run.state == WorkflowState.PENDING

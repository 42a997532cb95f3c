"""What operators do to installations, and what a machine that doesn't know of it yet may still say."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.urls import set_script_prefix
from django.utils import timezone

from inventory.models import CustomConfig, HostState, InstanceState
from provisioning import verbs, workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from provisioning.verbs import NotNow
from tenants import credentials
from tenants.models import Claim, User
from tests.conftest import client_of, settle
from tests.provisioning.machines import machine, system

NAMES = [
    "secure-boot-status-flag-read", "erase-non-removable-disk", "stream-os-image", "install-cloud-init",
    "cloud-init-ds-identity", "efibootset-for-diskboot", "reboot",
]  # fmt: skip


@pytest.fixture
def instance(acme):
    """One that is being installed."""
    instance = machine()
    settle()
    return instance


def say(instance, name, state, message="", run=None):
    told = workflow.Report((run or workflow.latest(instance)).workflow_id, name, f"STATE_{state}", message)
    workflow.report(instance.host.uuid, told)


def do(instance, number):
    for name in NAMES[:number]:
        say(instance, name, "SUCCESS")


def shown(instance):
    settle()
    instance.refresh_from_db()
    return instance.provisioning_status


def look_again():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers_work SET due_at = now()")
    settle()


def states(run):
    return [action["state"].removeprefix("STATE_") for action in run.actions]


def test_trying_again_goes_on_where_it_failed_and_knows_who_asked(instance):
    do(instance, 3)
    say(instance, NAMES[3], "FAILED", "no space left")
    assert shown(instance) == "Provisioning Failed: 4/7: Installing cloud-init failed: no space left"
    run = verbs.retry(instance, "ann")
    assert states(run) == ["SUCCESS"] * 3 + ["PENDING"] * 4 and (run.attempt, run.who) == (2, "ann")
    assert workflow.of(instance).last().reason.endswith("no space left")
    say(instance, NAMES[3], "RUNNING")
    assert shown(instance) == "Provisioning In Progress: 4/7: Installing cloud-init"


def test_trying_again_repeats_what_would_be_done_otherwise_now(instance, settings):
    do(instance, 4)
    say(instance, NAMES[4], "FAILED")
    settings.ACTION_IMAGE_OVERRIDES = {"image2disk": "registry.example/image2disk:2"}
    assert states(verbs.retry(instance, "ann")) == ["SUCCESS"] * 2 + ["PENDING"] * 5
    assert states(verbs.retry(instance, "ann", from_start=True)) == ["PENDING"] * 7


def test_an_abort_ends_it_until_somebody_tries_again(instance):
    do(instance, 2)
    run = verbs.abort(instance, "ann")
    assert shown(instance) == "Provisioning Failed: aborted by ann"
    with pytest.raises(workflow.StaleReport, match="has ended"):
        say(instance, NAMES[2], "SUCCESS", run=run)
    with pytest.raises(NotNow, match="Nothing is being installed"):
        verbs.abort(instance, "ann")
    assert states(verbs.retry(instance, "ann"))[:3] == ["SUCCESS", "SUCCESS", "PENDING"]


def test_during_a_pause_what_was_begun_ends_and_nothing_begins(instance):
    say(instance, NAMES[0], "RUNNING")
    verbs.pause(instance, "ann")
    assert shown(instance) == "Provisioning In Progress: 1/7: Verifying Secure Boot settings, paused by ann"
    say(instance, NAMES[0], "SUCCESS")
    with pytest.raises(workflow.StaleReport, match="has to wait: STATE_PAUSED"):
        say(instance, NAMES[1], "RUNNING")
    with pytest.raises(NotNow, match="is STATE_PAUSED"):
        verbs.pause(instance, "ann")
    assert verbs.resume(instance, "ann").state == WorkflowState.PENDING
    say(instance, NAMES[1], "RUNNING")
    with pytest.raises(NotNow, match="is STATE_RUNNING"):
        verbs.resume(instance, "ann")


def installed(instance):
    do(instance, 7)
    assert shown(instance) == "Provisioned" and instance.current_state == InstanceState.RUNNING
    return instance


def test_an_installed_machine_is_installed_anew_with_another_system_and_stays_the_same_host(instance):
    installed(instance)
    uuid = str(instance.host.uuid)
    assert workflow.boots_from_disk(uuid, "")
    other = system("debian-13")
    run = verbs.reprovision(instance, "ann", other)
    assert not workflow.boots_from_disk(uuid, "")  # from this moment on, whatever the loop has seen of it
    settle()
    instance.refresh_from_db()
    assert (instance.current_state, instance.os_id) == (InstanceState.UNSPECIFIED, other.resource_id)
    assert (run.attempt, run.os_id) == (2, other.resource_id) and states(run) == ["PENDING"] * 7
    assert [each.state for each in workflow.of(instance)] == [WorkflowState.PENDING, WorkflowState.SUCCESS]
    installed(instance)
    assert Claim.objects.filter(resource_id=instance.host_id).count() == 1


def test_an_abort_before_the_machine_began_leaves_it_installed(instance):
    installed(instance)
    verbs.reprovision(instance, "ann")
    settle()
    verbs.abort(instance, "ann")
    assert shown(instance) == "Provisioned" and instance.current_state == InstanceState.RUNNING


def test_an_abort_after_it_began_does_not(instance):
    installed(instance)
    verbs.reprovision(instance, "ann")
    say(instance, NAMES[0], "SUCCESS")
    verbs.abort(instance, "ann")
    assert shown(instance) == "Provisioning Failed: aborted by ann"


def test_what_hinders_an_installation_is_told_and_once_mended_it_can_be_tried_again(acme):
    instance = machine()
    config = CustomConfig(name="mine", config="packages: [")
    config.ask()
    instance.custom_config.set([config])
    settle()
    assert shown(instance).startswith("Provisioning Failed: The custom config mine isn't YAML")
    assert not Workflow.objects.exists()
    with pytest.raises(verbs.CannotInstall):
        verbs.retry(instance, "ann")
    instance.custom_config.set([])
    verbs.retry(instance, "ann")
    do(instance, 7)
    assert shown(instance) == "Provisioned"


@pytest.mark.parametrize("columns", [{"image_url": "http://169.254.169.254/x"}, {"image_url": "http://localhost/x"}])
def test_an_image_that_points_inward_is_refused_on_the_instance(columns, acme):
    instance = machine(os=system("bad", **columns))
    assert "loopback" in shown(instance) or "link-local" in shown(instance)
    assert not Workflow.objects.exists()


def test_only_one_run_of_a_host_can_be_on_its_way(instance):
    [run] = Workflow.objects.all()
    run.pk, run.workflow_id = None, "workflow-another"
    with pytest.raises(IntegrityError, match="one_active_run_a_host"), transaction.atomic():
        run.save(force_insert=True)


def test_a_host_that_is_not_onboarded_is_not_installed_anew(instance):
    installed(instance)
    instance.host.observe(state=HostState.UNTRUSTED)
    with pytest.raises(NotNow, match="must be onboarded first"):
        verbs.reprovision(instance, "ann")


# Deadlines ------------------------------------------------------------------------------------------------------------


def earlier(instance, seconds):
    """As if all that happened had happened so long ago."""
    run = workflow.latest(instance)
    for name in ("placed_at", "heard_at", "started_at", "paused_at"):
        if at := getattr(run, name):
            setattr(run, name, at - timedelta(seconds=seconds))
    for action in run.actions:
        if "started" in action:
            action["started"] -= seconds
    run.save()


def test_a_machine_that_never_says_a_word_has_longer_than_one_that_falls_silent(instance, settings):
    earlier(instance, settings.WORKFLOW_FIRST_WORD - 5)
    look_again()
    assert workflow.latest(instance).state == WorkflowState.PENDING
    do(instance, 1)
    earlier(instance, settings.WORKFLOW_SILENCE + 5)
    look_again()
    why = "Erasing data from all non-removable disks timeout: no word from the machine for 600 s"
    assert shown(instance) == f"Provisioning Failed: 2/7: {why}"


def test_an_action_that_takes_too_long_is_ended_for_a_worker_that_does_not(instance, settings):
    do(instance, 2)
    say(instance, NAMES[2], "RUNNING")
    earlier(instance, settings.WORKFLOW_SILENCE + 5)  # it may be silent while it streams
    look_again()
    assert workflow.latest(instance).state == WorkflowState.RUNNING
    earlier(instance, 9800 + settings.WORKFLOW_GRACE)
    look_again()
    assert "Streaming OS image timeout: it took longer than 9800 s" in shown(instance)
    run = workflow.latest(instance)
    assert (run.state, states(run)[2]) == (WorkflowState.TIMEOUT, "TIMEOUT")


def test_a_short_action_has_only_its_own_time(instance, settings):
    do(instance, 3)
    say(instance, NAMES[3], "RUNNING")
    earlier(instance, 90 + settings.WORKFLOW_GRACE + 1)
    look_again()
    assert shown(instance) == (
        "Provisioning Failed: 4/7: Installing cloud-init timeout: Action timed out after 90 s"
    )


def test_a_worker_that_has_shown_signs_of_life_is_missed_also_while_its_action_runs(instance, settings):
    do(instance, 2)
    say(instance, NAMES[2], "RUNNING")
    say(instance, NAMES[2], "RUNNING", "512 of 2048 MiB")
    earlier(instance, settings.WORKFLOW_SILENCE + 5)
    look_again()
    assert "no word from the machine for 600 s" in shown(instance)
    log = workflow.latest(instance).actions[2]["log"]
    assert [line["message"] for line in log][:2] == ["", "512 of 2048 MiB"]


def test_a_pause_ends_too_and_its_time_does_not_count(instance, settings):
    do(instance, 1)
    verbs.pause(instance, "ann")
    earlier(instance, 50_000)
    look_again()
    assert workflow.latest(instance).state == WorkflowState.PAUSED
    run = verbs.resume(instance, "ann")
    assert workflow.deadline(run)[0] > timezone.now()
    verbs.pause(instance, "ann")
    earlier(instance, settings.WORKFLOW_PAUSE + 1)
    look_again()
    assert "it was paused for 86400 s" in shown(instance)


# What is kept of reports ----------------------------------------------------------------------------------------------


def test_an_end_that_is_reported_twice_is_heard_once(instance):
    do(instance, 7)
    finished = workflow.latest(instance).finished_at
    say(instance, "reboot", "SUCCESS")  # its answer was lost
    assert workflow.latest(instance).finished_at == finished


def test_messages_are_kept_bounded_and_without_the_machines_secret(instance):
    secret = credentials.secret_of(instance.host.uuid)
    for number in range(workflow.LOG_LINES + 20):
        say(instance, NAMES[0], "RUNNING", f"{number} {'x' * 3000}")
    say(instance, NAMES[0], "FAILED", f"client_secret: {secret}")
    action = workflow.latest(instance).actions[0]
    assert len(action["log"]) == workflow.LOG_LINES and action["log"][0]["message"].startswith("0 ")
    assert max(len(line["message"]) for line in action["log"]) == workflow.LOG_MESSAGE
    assert action["message"] == "client_secret: ***" and secret not in shown(instance)


def test_what_actions_get_is_sealed_while_it_is_needed_and_gone_after(acme):
    instance = machine()
    config = CustomConfig(name="mine", config="password: hunter2\n")
    config.ask()
    instance.custom_config.set([config])
    settle()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM provisioning_workflow w WHERE w::text LIKE '%%hunter2%%'")
        assert cursor.fetchone() == (0,)
    assert "hunter2" in str(workflow.environments_of(workflow.latest(instance)))
    for action in workflow.latest(instance).actions:
        say(instance, action["name"], "SUCCESS")
    assert workflow.latest(instance).inputs_sealed == ""


def test_of_many_attempts_the_newest_are_kept(instance):
    for _ in range(workflow.ATTEMPTS + 3):
        verbs.retry(instance, "ann")
    attempts = [run.attempt for run in workflow.of(instance)]
    assert attempts[0] == workflow.ATTEMPTS + 4 and len(attempts) <= workflow.ATTEMPTS + 1
    assert Workflow.objects.filter(state__in=ACTIVE).count() == 1


# By API, command and admin --------------------------------------------------------------------------------------------


def test_each_verb_is_a_call_of_the_api(instance, acme):
    api = client_of(acme, "im-rw")
    path = f"{api.base}/compute/instances/{instance}"
    assert api.post(f"{path}/pause").json()["state"] == "STATE_PAUSED"
    assert api.post(f"{path}/resume").json()["state"] == "STATE_PENDING"
    assert api.post(f"{path}/abort").json()["reason"] == f"aborted by {api.who}"
    assert api.post(f"{path}/retry", {"fromStart": True}).json()["attempt"] == 2
    other = system("debian-13")
    again = api.post(f"{path}/reprovision", {"osID": other.resource_id}).json()
    assert (again["osId"], again["askedBy"]) == (other.resource_id, api.who)
    refused = api.post(f"{path}/resume")
    assert refused.status_code == 400 and refused.json()["code"] == "InvalidArgument"
    assert "is STATE_PENDING" in refused.json()["message"]


@pytest.mark.parametrize(("verb", "body", "status"), [
    ("retry", {"fromStart": "perhaps"}, 400), ("retry", [], 400), ("reprovision", {"osID": "os-00000000"}, 404),
    ("reprovision", {"osID": "host-00000000"}, 400), ("reprovision", {"osID": 5}, 400),
    ("retry", {"fromStart": None}, 400),
])  # fmt: skip
def test_a_body_that_is_wrong_is_refused_and_changes_nothing(verb, body, status, instance, acme):
    api = client_of(acme, "im-rw")
    answer = api.post(f"{api.base}/compute/instances/{instance}/{verb}", body, format="json")
    assert answer.status_code == status and answer.json()["message"]
    assert Workflow.objects.count() == 1


def test_history_and_logs_are_read_by_the_api_and_what_actions_get_is_not(instance, acme):
    do(instance, 1)
    say(instance, NAMES[1], "FAILED", "the disk is gone")
    verbs.retry(instance, "ann")
    api = client_of(acme, "im-r")
    listed = api.get(f"{api.base}/compute/workflows", {"instanceID": str(instance)}).json()
    assert [run["attempt"] for run in listed["workflows"]] == [2, 1] and listed["totalElements"] == 2
    [first] = [run for run in listed["workflows"] if run["attempt"] == 1]
    whole = api.get(f"{api.base}/compute/workflows/{first['workflowId']}").json()
    assert whole["actions"][1]["log"][-1]["message"] == "the disk is gone"
    assert whole["progress"] == "2/7: Erasing data from all non-removable disks failed: the disk is gone"
    assert "environment" not in str(whole) and "CONTENTS" not in str(whole)
    assert api.get(f"{api.base}/compute/workflows", {"state": "STATE_ODD"}).status_code == 400
    assert api.get(f"{api.base}/compute/workflows", {"hostID": "odd"}).status_code == 400
    for page in ("workflows", f"workflows/{first['workflowId']}"):
        assert "<html" in api.get(f"{api.base}/compute/{page}", HTTP_ACCEPT="text/html").content.decode()


def command(*words, project):
    out, err = StringIO(), StringIO()
    call_command("provisioning", *words, project=project.name, stdout=out, stderr=err)
    return out.getvalue()


def test_each_verb_is_a_command(instance, acme):
    host = instance.host_id
    assert "attempt 1  STATE_PENDING" in command("list", project=acme)
    command("pause", host, project=acme)
    assert "paused by manage.py provisioning" in command("list", project=acme)
    command("resume", host, project=acme)
    command("abort", host, project=acme)
    assert command("list", project=acme) == "" and "aborted by" in command("list", host, project=acme)
    command("retry", host, "--from-start", project=acme)
    other = system("debian-13")
    assert "attempt 3" in command("reprovision", host, "--os", other.resource_id, project=acme)
    for words, why in (
        (["resume", host], "resume of 1 of 1 hosts is not possible"), (["pause"], "pause which hosts"),
        (["reprovision", host, "--os", "os-00000000"], "no operating system os-00000000"),
        (["pause", host, "--from-start"], "takes neither"),
    ):  # fmt: skip
        with pytest.raises(CommandError, match=why):
            command(*words, project=acme)


def test_each_verb_is_an_action_of_the_admin_and_the_steps_are_read_there(instance, acme, client):
    client.force_login(User.objects.create_superuser("root", password="x"))
    do(instance, 1)
    say(instance, NAMES[1], "RUNNING", "sda: <b>erasing</b>")
    run = workflow.latest(instance)
    page = f"/p/{acme.name}/admin/provisioning/workflow/"
    try:
        for action, told in (
            ("pause", "is paused"), ("resume", "is pending"), ("abort", "is cancelled"), ("resume", "Nothing is being"),
            ("retry", "attempt 2"), ("retry_from_start", "attempt 3"), ("reprovision", "attempt 4"),
        ):  # fmt: skip
            answer = client.post(page, {"action": action, "_selected_action": [run.pk]}, follow=True)
            assert told in answer.content.decode(), action
        shown = client.get(f"{page}{run.pk}/change/").content.decode()
    finally:
        set_script_prefix("/")
    assert "sda: &lt;b&gt;erasing" in shown and run.inputs_sealed not in shown

"""The maintenance manager's door: what agents tell of updates becomes facts and runs, and what they are told follows

policies, images and schedules. Each answer is what the archived agents take.
"""

import json
import time
from types import SimpleNamespace
from uuid import uuid4

import grpc
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.models import (
    Host,
    HostState,
    Instance,
    OperatingSystem,
    OsUpdatePolicy,
    OsUpdateRun,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
)
from inventory.models.policy import OPEN
from inventory.models.schedule import LATEST
from tenants import credentials, tokens
from tests.southbound import Node, registered, wanted
from wire import maintmgr_pb2 as mm
from workers import answers, southbound, update_runs, updates
from workers.servicers.maintenance import _COLUMNS, _HOSTS, MaintenanceManager

Told = mm.UpdateStatus
DAILY = {
    "duration_seconds": 3600, "cron_minutes": "0", "cron_hours": "3", "cron_day_month": "*", "cron_month": "*",
    "cron_day_week": "*",
}  # fmt: skip


class Machine:
    """An installed machine with Debian, at a site in a region in a region, as the current schema knows it."""

    def __init__(self, machine):
        self.machine, self.uuid = machine, machine.uuid
        outer = Region(name="outer")
        outer.ask()
        inner = Region(name="inner", parent_region=outer)
        inner.ask()
        site = Site(name="here", region=inner)
        site.ask()
        self.host = registered(machine)
        self.host.site = site
        self.host.save()
        self.instance = wanted(self.host)
        self.host.observe(state=HostState.ONBOARDED)
        self.instance.observe(state="INSTANCE_STATE_RUNNING")
        self.places = {"target_host": self.host, "target_site": site, "target_region": outer}

    def ask(self, request):
        """What the handler answers, without the way there."""
        node = southbound.Node(connection.schema_name, self.uuid, credentials.client_id_of(self.uuid))
        return MaintenanceManager.PlatformUpdateStatus.__wrapped__(None, node, request).message


class Remote(Machine):
    """The same, with a token, over the wire."""

    def __init__(self, machine, project):
        super().__init__(machine)
        with schema_context("public"):
            machine.token = tokens.for_node(credentials.client_id_of(machine.uuid), project.uuid)

    def ask(self, request):
        return self.machine.maintenance.PlatformUpdateStatus(request, **self.machine.auth)


@pytest.fixture
def node(acme):
    return Machine(SimpleNamespace(uuid=uuid4(), serial="SN0000001"))


@pytest.fixture
def remote(southbound_address, there, monkeypatch):
    monkeypatch.setattr(answers, "LOOK_EVERY", 0)  # what changes is in the next answer, not in that of a second later
    return Remote(Node(southbound_address), there)


def system(image_id: str, profile="emt", **columns) -> OperatingSystem:
    os = OperatingSystem(**{
        "name": f"{profile} {image_id}", "sha256": f"{len(image_id):064x}", "image_url": f"emt/{image_id}.raw.gz",
        "image_id": image_id, "profile_name": profile, "profile_version": image_id, "os_type": "OS_TYPE_IMMUTABLE",
        "os_provider": "OS_PROVIDER_KIND_INFRA", **columns,
    })  # fmt: skip
    os.ask()
    return os


def policy(**columns) -> OsUpdatePolicy:
    made = OsUpdatePolicy(**{"name": "p", "update_policy": "UPDATE_POLICY_TARGET", **columns})
    made.ask()
    return made


def schedule(kind=RepeatedSchedule, status="SCHEDULE_STATUS_OS_UPDATE", **columns):
    made = kind(schedule_status=status, **columns)
    made.ask()
    return made


def runs(node, os=None, policy=None):
    """The machine has this operating system, and this policy."""
    instance = Instance.objects.get(pk=node.instance.pk)
    instance.os, instance.os_update_policy = os or node.instance.os, policy
    instance.save()
    return instance


def poll(node, kind=Told.STATUS_TYPE_UP_TO_DATE, **told):
    request = mm.PlatformUpdateStatusRequest(
        host_guid=str(node.uuid), update_status=Told(status_type=kind, **told)
    )
    return node.ask(request)


def instance_of(node) -> Instance:
    return Instance.objects.select_related("os").get(pk=node.instance.pk)


def refused(call, *args, **kwargs) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refusal:
        call(*args, **kwargs)
    return refusal.value.code()


def test_each_part_of_an_answer_is_there_even_if_it_is_empty(node):
    answer = poll(node)
    parts = ("update_source", "update_schedule", "os_profile_update_source")
    assert all(answer.HasField(part) for part in parts)
    assert answer.os_type == mm.PlatformUpdateStatusResponse.OS_TYPE_MUTABLE
    assert not answer.update_schedule.HasField("single_schedule")  # or an agent would keep the job it has


def test_packages_and_sources_of_a_policy_are_for_a_mutable_system(node):
    wanted = policy(
        update_packages="vim\nhtop", update_sources=["Types: deb\nURIs: http://x"], update_kernel_command="quiet a=b"
    )
    runs(node, policy=wanted)
    schedule(target_host=node.host, **DAILY)
    answer = poll(node)
    assert (answer.installed_packages, answer.update_source.kernel_command) == ("vim\nhtop", "quiet a=b")
    assert [*answer.update_source.custom_repos] == ["Types: deb\nURIs: http://x"]
    assert answer.update_schedule.repeated_schedules[0].cron_hours == "3"
    assert answer.os_profile_update_source == mm.OSProfileUpdateSource()


def test_windows_of_the_host_its_site_and_all_regions_around_are_sent_and_no_others(node):
    for hour, (target, place) in enumerate(node.places.items()):
        schedule(**DAILY | {"cron_hours": str(hour)}, **{target: place})
    other = Host(uuid="7f0f1c1e-2a52-4c3b-9d6e-1f2a3b4c5d6e")
    other.ask(state=HostState.REGISTERED)
    schedule(target_host=other, **DAILY | {"cron_hours": "9"})
    answer = poll(node).update_schedule
    assert {repeated.cron_hours for repeated in answer.repeated_schedules} == {"0", "1", "2"}
    assert answer.repeated_schedule == answer.repeated_schedules[0]  # what older agents read


def test_of_single_windows_the_nearest_is_sent(node):
    now = int(time.time())
    for start in (now + 9000, now + 600, now + 5000):
        schedule(SingleSchedule, target_site=node.places["target_site"], start_seconds=start, end_seconds=start + 60)
    single = poll(node).update_schedule.single_schedule
    assert (single.start_seconds, single.end_seconds) == (now + 600, now + 660)
    SingleSchedule.objects.get(start_seconds=now + 600).delete()
    assert poll(node).update_schedule.single_schedule.start_seconds == now + 5000


def test_a_window_without_end_has_one_that_agents_execute(node):
    schedule(SingleSchedule, target_host=node.host, start_seconds=int(time.time()) + 60)
    assert poll(node).update_schedule.single_schedule.end_seconds == LATEST


def test_windows_for_something_else_are_none_for_updates(node):
    for status in ("SHIPPING", "FIRMWARE_UPDATE", "CLUSTER_UPDATE"):
        schedule(status=f"SCHEDULE_STATUS_{status}", target_host=node.host, **DAILY)
    assert not poll(node).update_schedule.repeated_schedules
    schedule(status="SCHEDULE_STATUS_MAINTENANCE", target_host=node.host, **DAILY)
    assert len(poll(node).update_schedule.repeated_schedules) == 1


def test_a_broken_window_is_left_out_and_the_operator_reads_which(node):
    schedule(target_host=node.host, **DAILY)
    broken = schedule(target_host=node.host, **DAILY)
    RepeatedSchedule.objects.filter(pk=broken.pk).update(cron_hours="25")
    assert len(poll(node).update_schedule.repeated_schedules) == 1
    instance = instance_of(node)
    assert instance.update_status.startswith(f"No new updates available; {broken}: cron_hours")
    assert instance.update_status_indicator == "STATUS_INDICATION_ERROR"
    broken.delete()
    poll(node)
    assert instance_of(node).update_status == "No new updates available"


def test_the_latest_image_of_the_profile_is_offered_and_the_target_of_a_policy_instead(node):
    old, new = system("3.0.20250717.0732"), system("3.0.20250717.1200")
    system("3.0.20250718-rc1", retracted=True)
    system("4.0", profile="other")
    runs(node, old, policy(name="latest", update_policy="UPDATE_POLICY_LATEST"))
    schedule(target_host=node.host, **DAILY)
    answer = poll(node)
    assert answer.os_profile_update_source == mm.OSProfileUpdateSource(
        os_image_url=new.image_url, os_image_id=new.image_id, os_image_sha=new.sha256, profile_name="emt",
        profile_version=new.image_id,
    )  # fmt: skip
    assert (answer.os_type, len(answer.update_schedule.repeated_schedules)) == (2, 1)
    assert instance_of(node).os_update_available == new.name
    runs(node, new, policy(target_os=old))
    assert poll(node).os_profile_update_source.os_image_id == old.image_id
    assert instance_of(node).os_update_available == ""


def test_without_anything_to_install_no_window_is_sent(node):
    os = system("1.0.0")
    schedule(target_host=node.host, **DAILY)
    schedule(SingleSchedule, target_host=node.host, start_seconds=int(time.time()) + 60)
    runs(node, os)
    assert poll(node).update_schedule == mm.UpdateSchedule()
    runs(node, os, policy(target_os=os))
    answer = poll(node)
    assert answer.update_schedule == mm.UpdateSchedule() and answer.os_profile_update_source.os_image_id == "1.0.0"


@pytest.mark.parametrize("os_type", ["OS_TYPE_MUTABLE", "OS_TYPE_IMMUTABLE", "OS_TYPE_UNSPECIFIED"])
def test_a_policy_that_has_lost_its_target_is_told_to_the_operator_and_not_to_the_machine(node, os_type):
    target = system("2.0.0")
    aim = policy(target_os=target)
    runs(node, system("1.0.0", profile="p", os_type="OS_TYPE_MUTABLE"), aim)
    OperatingSystem.objects.filter(profile_name="p")._update([
        (OperatingSystem._meta.get_field("os_type"), None, os_type)
    ])  # fmt: skip
    target.delete()
    schedule(target_host=node.host, **DAILY)
    answer = poll(node)
    assert answer.update_schedule == mm.UpdateSchedule() and not answer.os_profile_update_source.os_image_id
    instance = instance_of(node)
    assert instance.update_status_indicator == "STATUS_INDICATION_ERROR" and "; os" in instance.update_status


def test_a_kernel_command_is_all_that_is_offered_and_its_end_is_believed(node):
    os = system("1.0.0")
    runs(node, os, policy(target_os=system("2.0.0"), update_kernel_command="isolcpus=1,2"))
    schedule(target_host=node.host, **DAILY)
    answer = poll(node)
    assert (answer.update_source.kernel_command, answer.os_profile_update_source.os_image_id) == ("isolcpus=1,2", "")
    assert answer.update_schedule.repeated_schedules
    poll(node, Told.STATUS_TYPE_STARTED)
    poll(node, Told.STATUS_TYPE_UPDATED, profile_name="emt", os_image_id="1.0.0")
    [run] = OsUpdateRun.objects.all()
    assert (instance_of(node).update_status, run.status) == ("Update completed", "Update completed")
    assert run.end_time < OPEN


def test_a_kernel_command_with_letters_that_agents_refuse_is_kept_from_them(node):
    runs(node, policy=policy(update_kernel_command='a="b"', update_packages="vim"))
    answer = poll(node)
    assert (answer.update_source.kernel_command, answer.installed_packages) == ("", "vim")
    assert "updateKernelCommand" in instance_of(node).update_status


def test_an_update_of_an_image_goes_from_download_to_the_new_system_and_is_one_run(node):
    old, new = system("1.0.0"), system("1.0.1", existing_cves='[{"cve_id":"CVE-1"}]')
    aim = policy(target_os=new)
    runs(node, old, aim)
    for kind, text, indicator in (
        (Told.STATUS_TYPE_UP_TO_DATE, "No new updates available", "IDLE"),
        (Told.STATUS_TYPE_DOWNLOADING, "Downloading artifacts", "IDLE"),
        (Told.STATUS_TYPE_DOWNLOADED, "Download complete", "IDLE"),
        (Told.STATUS_TYPE_STARTED, "Updating", "IN_PROGRESS"),
    ):
        poll(node, kind, profile_name="emt", os_image_id="1.0.0")
        instance = instance_of(node)
        assert (instance.update_status, instance.update_status_indicator) == (text, f"STATUS_INDICATION_{indicator}")
    [run] = OsUpdateRun.objects.all()
    assert (run.status, run.end_time, run.applied_policy_id) == ("Updating", OPEN, str(aim))
    assert run.name.startswith(f"{node.host.name[:13]} update ") and run.description == f"OS update for {old.name}"
    answer = poll(node, Told.STATUS_TYPE_UPDATED, profile_name="emt", os_image_id="1.0.1")
    assert answer.os_profile_update_source.os_image_id == "1.0.1"
    instance = instance_of(node)
    assert (instance.os_id, instance.existing_cves) == (str(new), new.existing_cves)
    run.refresh_from_db()
    assert (run.status, run.status_indicator) == ("Update completed", "STATUS_INDICATION_IDLE")
    assert run.start_time <= run.end_time <= time.time()


def test_an_updated_that_was_lost_is_made_up_for_by_the_next_report(node):
    old, new = system("1.0.0"), system("1.0.1")
    runs(node, old, policy(target_os=new))
    poll(node, Told.STATUS_TYPE_STARTED)
    poll(node, profile_name="emt", os_image_id="1.0.1")
    assert instance_of(node).os_id == str(new)
    [run] = OsUpdateRun.objects.all()
    assert run.end_time < OPEN  # or the next update would be taken for this one
    poll(node, profile_name="emt", os_image_id="an image that nobody knows")
    assert instance_of(node).os_id == str(new)


LOG = [
    {"update_type": "application", "package_name": "vim", "status": "installed", "version": "9", "action": "upgrade"}
]
SHAPES = {
    "as clients know it": ({"update_log": LOG}, LOG),
    "of the update agent": ({"UpdateLog": [LOG[0] | {"status": "SUCCESS"}]}, LOG),
    "of the manageability daemon": (
        {"UpdateLog": [{"StatusDetail.Status": "SUCCESS", "Version": "1.0.1"}]},
        [{"update_type": "os", "status": "installed", "version": "1.0.1"}],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_log_in_any_of_the_three_shapes_is_kept_in_the_one_that_clients_know(node, shape):
    sent, kept = SHAPES[shape]
    poll(node, Told.STATUS_TYPE_STARTED)
    poll(node, Told.STATUS_TYPE_UPDATED, status_detail=json.dumps(sent))
    [run] = OsUpdateRun.objects.all()
    assert json.loads(run.status_details) == {"update_log": kept}
    assert run.status == "Update completed - 1 package(s) updated/installed" and run.end_time < OPEN
    assert instance_of(node).update_status == "Update completed"


@pytest.mark.parametrize("log", [
    "", "[]", "{}", '{"update_log": [{"status": "odd"}]}', '{"update_log": [3]}', "[" * 99_999, '{"UpdateLog": 7}',
    '{"update_log": [{"version": 7}]}',
])  # fmt: skip
def test_what_is_no_log_leaves_the_details_as_they_were(log):
    assert update_runs.read_log(log) is None


def test_a_failure_leaves_a_run_with_its_reason_also_if_nobody_told_of_its_beginning(node):
    poll(node, Told.STATUS_TYPE_FAILED, status_detail="no space left")
    poll(node, Told.STATUS_TYPE_FAILED, status_detail="no space left, again")
    [run] = OsUpdateRun.objects.all()
    assert (run.status, run.status_indicator) == ("Update failed", "STATUS_INDICATION_ERROR")
    assert run.end_time == run.start_time
    assert json.loads(run.status_details)["update_log"][0]["failure_log"] == "no space left"


def test_packages_that_could_be_upgraded_are_kept_over_a_change_of_status(node):
    upgradable = json.dumps([{"name": "vim", "available_version": "9", "architecture": "amd64"}])
    poll(node, os_update_available=upgradable)
    poll(node, Told.STATUS_TYPE_STARTED, os_update_available=upgradable)
    assert instance_of(node).os_update_available == upgradable


def test_a_poll_that_says_nothing_new_costs_no_statement_until_something_changes(remote, monkeypatch):
    poll(remote)
    before = poll(remote)  # made anew, for the one before wrote something
    monkeypatch.setattr(answers, "LOOK_EVERY", 3600)
    worked = []
    in_database = southbound._enter
    monkeypatch.setattr(southbound, "_enter", lambda *args: worked.append(args) or in_database(*args))
    assert poll(remote) == before and not worked
    monkeypatch.setattr(answers, "LOOK_EVERY", 0)
    schedule(target_region=remote.places["target_region"], **DAILY)
    assert poll(remote) != before
    region = Region(name="elsewhere")
    region.ask()
    site = remote.places["target_site"]
    site.region = region
    site.save()
    assert poll(remote) == before


def test_an_answer_costs_the_same_however_many_windows_and_regions_there_are(node):
    for number in range(20):
        schedule(target_region=node.places["target_region"], **DAILY | {"cron_hours": str(number)})
    with CaptureQueriesContext(connection) as statements:
        host = _HOSTS.filter(uuid=node.uuid).only(*_COLUMNS, "resource_id", "instance__host").get()
        updates.plan_for(host.instance)
        updates.windows_of(host.resource_id, host.site_id)
    assert len(statements) == 4, [one["sql"] for one in statements]


def test_the_history_of_an_instance_is_limited(node, settings):
    settings.UPDATE_RUNS_KEPT = 2
    for _ in range(4):
        poll(node, Told.STATUS_TYPE_STARTED)
        poll(node, Told.STATUS_TYPE_FAILED)
    assert OsUpdateRun.objects.count() == 2
    assert update_runs.forget_old(time.time()) == 0
    assert update_runs.forget_old(time.time() + settings.UPDATE_RUNS_DAYS * 86400 + 60) == 1
    assert OsUpdateRun.objects.count() == 1, "the last of an instance is never too old"


def test_each_refusal_is_the_right_one(remote, southbound_address):
    empty = mm.PlatformUpdateStatusRequest(host_guid=str(remote.uuid))
    assert refused(remote.ask, empty) == grpc.StatusCode.INVALID_ARGUMENT
    assert refused(poll, remote, profile_name="x" * 129) == grpc.StatusCode.INVALID_ARGUMENT
    mine, other = remote.uuid, uuid4()
    for uuid, code in (("x", grpc.StatusCode.INVALID_ARGUMENT), (other, grpc.StatusCode.PERMISSION_DENIED)):
        remote.uuid = uuid
        assert refused(poll, remote) == code
    remote.uuid = mine
    assert poll(remote)
    remote.instance.observe(state="INSTANCE_STATE_UNSPECIFIED")
    assert refused(poll, remote) == grpc.StatusCode.FAILED_PRECONDITION
    Instance.objects.get().delete()
    assert refused(poll, remote) == grpc.StatusCode.NOT_FOUND
    host = Host.objects.get(uuid=mine)
    host.ask(state=HostState.UNTRUSTED)
    assert refused(poll, remote) == grpc.StatusCode.UNAUTHENTICATED
    host.delete()
    assert refused(poll, remote) == grpc.StatusCode.NOT_FOUND
    remote.machine.token = "x.y.z"
    assert refused(poll, remote) == grpc.StatusCode.UNAUTHENTICATED

"""The agent's updates against the real server: from an operator's policy and window to the run that tells of it."""

import asyncio
import json
import time
from uuid import uuid4

import grpc
import pytest
from django_tenants.utils import schema_context

from edge.agent import updates as agent_updates
from edge.agent.failure import UpdateFailed
from edge.agent.memory import Job, Memory, Wanted
from edge.agent.updates import Updates
from inventory.models import HostState, OsUpdatePolicy, OsUpdateRun, SingleSchedule
from inventory.models.policy import OPEN
from provisioning.apt_repository import Repository
from tenants import credentials, tokens
from tests.southbound import Node, registered, wanted
from wire import maintmgr_pb2 as mm
from wire import maintmgr_pb2_grpc
from workers import answers

MUTABLE = mm.PlatformUpdateStatusResponse.OS_TYPE_MUTABLE


class Installed:
    """A token that is valid as long as the test."""

    def __init__(self, uuid, project):
        self.uuid = uuid
        with schema_context("public"):
            self.text = tokens.for_node(credentials.client_id_of(uuid), project.uuid)

    async def metadata(self):
        return (("authorization", f"Bearer {self.text}"),)


class Remembering:
    """A system that notes what it was to do, and does what its script says: an outcome, or what it raises."""

    os_type = MUTABLE

    def __init__(self, *script):
        self.script, self.installed, self.kept = [*script], [], 0

    def asked_for(self, answer):
        return Wanted(packages=[answer.installed_packages])

    def available(self):
        return ""

    def refresh(self):
        """Nothing to look at."""

    def is_prepared(self, wanted):
        return True

    def install(self, job):
        self.installed.append(job.wanted)
        job.log = [{"package_name": "hello", "version": "2", "status": "installed"}]
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def after_reboot(self, job):
        if self.script:
            raise self.script.pop(0)

    def keep(self, job):
        self.kept += 1


@pytest.fixture
def host(southbound_address, there, monkeypatch):
    monkeypatch.setattr(answers, "LOOK_EVERY", 0)
    host = registered(Node(southbound_address, uuid=uuid4()))
    host.instance_wanted = wanted(host)
    host.observe(state=HostState.ONBOARDED)
    host.instance_wanted.observe(state="INSTANCE_STATE_RUNNING")
    host.token = Installed(host.uuid, there)
    host.address = southbound_address
    return host


def ask_for(host, **policy):
    """As an operator: a policy for its instance, and a window over it, which is open by the clock of `inside`."""
    asked = OsUpdatePolicy(name="newer", update_policy="UPDATE_POLICY_TARGET", **policy)
    asked.ask()
    host.instance_wanted.os_update_policy = asked
    host.instance_wanted.save()
    window = SingleSchedule(
        schedule_status="SCHEDULE_STATUS_OS_UPDATE", target_host=host,
        start_seconds=int(time.time()) + 60, end_seconds=int(time.time()) + 3600,
    )  # fmt: skip
    window.ask()
    return window


def inside() -> float:
    return time.time() + 300


async def polls(updates, host, until, most=200):
    async with grpc.aio.insecure_channel(host.address) as channel:
        stub = maintmgr_pb2_grpc.MaintmgrServiceStub(channel)
        for _ in range(most):
            await updates.poll(stub)
            if until():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"it doesn't come so far: {updates.memory.__dict__}")


def run(updates, host, until=None):
    """Poll until it is up to date again, or as far as it is wanted."""
    over = until or (lambda: updates.memory.status == "UP_TO_DATE" and updates.memory.history)

    async def go():
        updates.resume()
        await polls(updates, host, over)
        if updates.is_busy:
            updates.working.cancel()

    asyncio.run(go())


def status(host):
    host.instance_wanted.refresh_from_db()
    return host.instance_wanted.update_status


def test_an_operators_policy_changes_a_packages_version_and_leaves_a_run(host, packages, repository, apt_root):
    packages.install(Job(Wanted(sources=[Repository.source(f"file:{repository.folder}")], packages=["hello"]), 1.0))
    repository.publish("hello", "2.0")
    ask_for(host, update_packages="hello", update_sources=[Repository.source(f"file:{repository.folder}")])
    run(Updates(packages, packages.memory, host.token, str(host.uuid), clock=inside), host)
    assert (apt_root / "usr/share/hello/version").read_text() == "2.0\n"
    assert status(host) == "No new updates available"
    [done] = OsUpdateRun.objects.all()
    assert done.status == "Update completed - 1 package(s) updated/installed" and done.end_time != OPEN
    assert done.applied_policy == host.instance_wanted.os_update_policy
    [entry] = json.loads(done.status_details)["update_log"]
    assert (entry["package_name"], entry["version"], entry["status"]) == ("hello", "2.0", "installed")


def test_one_that_fails_says_why_and_is_not_tried_again_in_its_window(host, tmp_path):
    window = ask_for(host, update_packages="hello")
    system = Remembering(UpdateFailed("apt-get: E: no such thing", "download"), False)
    updates = Updates(system, Memory(tmp_path / "agent.json"), host.token, str(host.uuid), clock=inside)
    run(updates, host)
    [failed] = OsUpdateRun.objects.all()
    assert failed.status == "Update failed"
    *_, entry = json.loads(failed.status_details)["update_log"]
    assert (entry["failure_reason"], entry["failure_log"]) == ("download", "apt-get: E: no such thing")
    run(updates, host)
    assert len(system.installed) == 1
    window.delete()
    ask_for(host, update_packages="hello jq")  # another wish is another update, in the same window
    run(updates, host, lambda: len(updates.memory.history) == 2 and updates.memory.status == "UP_TO_DATE")
    assert [wish.packages for wish in system.installed] == [["hello"], ["hello jq"]]


def test_outside_of_its_window_nothing_is_done_whatever_the_clock_says(host, tmp_path):
    ask_for(host, update_packages="hello")
    system, moment = Remembering(False, False), [time.time() - 10_000]
    memory = Memory(tmp_path / "agent.json")
    updates = Updates(system, memory, host.token, str(host.uuid), clock=lambda: moment[0])
    run(updates, host, lambda: True)
    assert not system.installed
    moment[0] = time.time() + 1000  # the clock is set: it is within the window now
    run(updates, host)
    moment[0] = time.time() + 900  # and jumps back: that isn't another window
    run(updates, host)
    assert len(system.installed) == 1
    memory.done = {key: time.time() + 10**8 for key in memory.done}  # by a clock that was years ahead
    run(updates, host, lambda: len(memory.history) == 2)
    assert len(system.installed) == 2


def test_a_reboot_is_part_of_the_update_and_power_cuts_only_delay_it(host, tmp_path, monkeypatch):
    ask_for(host, update_packages="hello")
    file, restarts = tmp_path / "agent.json", []

    def boot(system, number):
        """The machine as it starts, with what is on its disk."""
        monkeypatch.setattr(agent_updates, "boot_id", lambda: f"boot {number}")
        return Updates(
            system, Memory(file), host.token, str(host.uuid), restart=lambda: restarts.append(number),
            clock=inside,
        )  # fmt: skip

    system = Remembering(KeyboardInterrupt(), True)
    cut_off = boot(system, 1)
    job = Job(Wanted(packages=["hello"]), began=time.time(), tries=1)
    cut_off.memory.job, cut_off.memory.status = job, "STARTED"
    cut_off.memory.save()  # the power goes while packages are installed
    system.script = [True]
    run(boot(system, 2), host, lambda: restarts)
    assert status(host) == "Updating" and restarts == [2]
    run(boot(system, 2), host, lambda: len(restarts) == 2)  # only the agent came back, the machine didn't go down
    ended = boot(system, 3)
    run(ended, host)
    assert len(system.installed) == 1 and system.kept == 1
    [done] = OsUpdateRun.objects.all()
    assert done.status.startswith("Update completed") and done.end_time != OPEN


def test_one_that_the_machine_went_back_from_says_so(host, tmp_path):
    ask_for(host, update_packages="hello")
    memory = Memory(tmp_path / "agent.json")
    memory.job = Job(Wanted(packages=["hello"]), time.time(), "rebooting", 1, "the boot before")
    memory.status = "STARTED"
    system = Remembering(UpdateFailed("rolled back: it didn't reach the server", "criticalservices", "rolledback"))
    run(Updates(system, memory, host.token, str(host.uuid), clock=inside), host)
    assert status(host) == "No new updates available" and system.kept == 0
    failed = OsUpdateRun.objects.get()
    [entry] = json.loads(failed.status_details)["update_log"]
    assert failed.status == "Update failed" and entry["status"] == "rolledback"
    assert entry["failure_log"] == "rolled back: it didn't reach the server"


def test_one_that_is_cut_off_again_and_again_fails_in_the_end(host, tmp_path):
    ask_for(host, update_packages="hello")
    memory = Memory(tmp_path / "agent.json")
    memory.job, memory.status = Job(Wanted(packages=["hello"]), time.time(), tries=3), "STARTED"
    system = Remembering(False)
    run(Updates(system, memory, host.token, str(host.uuid), clock=inside), host)
    assert not system.installed
    assert "cut off 3 times" in OsUpdateRun.objects.get().status_details


def test_a_system_of_the_other_kind_is_left_alone_and_says_so(host, tmp_path):
    ask_for(host, update_packages="hello")
    system = Remembering(False)
    system.os_type = mm.PlatformUpdateStatusResponse.OS_TYPE_IMMUTABLE
    updates = Updates(system, Memory(tmp_path / "agent.json"), host.token, str(host.uuid), clock=inside)
    run(updates, host, lambda: "OS_TYPE_MUTABLE" in updates.memory.detail)
    assert not system.installed


def test_a_memory_that_cant_be_read_is_put_aside(tmp_path):
    (tmp_path / "agent.json").write_text('{"job": {"stage": "half')
    assert Memory(tmp_path / "agent.json").status == "UP_TO_DATE"
    assert (tmp_path / "agent.unreadable").exists()

"""The maintenance manager's door: how far a machine is with its updates, and what it is to install, and when.

A machine asks every few seconds. What it tells is written down if it is news; what it is told is kept until something
changes that it was made of (workers/answers.py).
"""

import grpc
from django.db import transaction

from inventory.models import Host, Indicator, Instance, OperatingSystem, OsType, Status
from wire import maintmgr_pb2 as wire
from wire import maintmgr_pb2_grpc
from workers import rules, update_runs, updates
from workers.answers import Answer, kept
from workers.reporting import INVALID, guid, provisioned_instance, reporting_host
from workers.southbound import Node, Refusal

Told = wire.UpdateStatus
STATUS = {
    Told.STATUS_TYPE_UP_TO_DATE: Status("No new updates available", Indicator.IDLE),
    Told.STATUS_TYPE_STARTED: Status("Updating", Indicator.IN_PROGRESS),
    Told.STATUS_TYPE_UPDATED: Status("Update completed", Indicator.IDLE),
    Told.STATUS_TYPE_FAILED: Status("Update failed", Indicator.ERROR),
    Told.STATUS_TYPE_DOWNLOADING: Status("Downloading artifacts", Indicator.IDLE),
    Told.STATUS_TYPE_DOWNLOADED: Status("Download complete", Indicator.IDLE),
}  # any other value reads "Unknown"
RUNS_ITS_IMAGE = {Told.STATUS_TYPE_UPDATED, Told.STATUS_TYPE_UP_TO_DATE}  # the one that the agent names

_OS = (
    "resource_id", "name", "os_type", "profile_name", "profile_version", "image_id", "image_url", "sha256", "retracted",
)  # fmt: skip
_POLICY = ("resource_id", "update_policy", "update_packages", "update_sources", "update_kernel_command")
_COLUMNS = (
    "name", "site_id", "instance__update_status", "instance__update_status_indicator", "instance__os_update_available",
    *(f"instance__os__{column}" for column in _OS),
    *(f"instance__os_update_policy__{column}" for column in _POLICY),
    *(f"instance__os_update_policy__target_os__{column}" for column in _OS),
)  # fmt: skip
_HOSTS = Host.objects.select_related("instance__os", "instance__os_update_policy__target_os")


def host_in(request: wire.PlatformUpdateStatusRequest):
    host_uuid = guid(request.host_guid)
    if not request.HasField("update_status"):
        raise Refusal(INVALID, "update_status is missing")
    rules.check(request)
    return host_uuid


class MaintenanceManager(maintmgr_pb2_grpc.MaintmgrServiceServicer):
    @kept(host_in)
    def PlatformUpdateStatus(self, node: Node, request) -> Answer:
        host = reporting_host(node, host_in(request), *_COLUMNS, rows=_HOSTS)
        if getattr(host, "instance", None) is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "The host has no instance")
        instance = provisioned_instance(host)
        learn_what_runs(instance, request.update_status)
        plan, windows = updates.plan_for(instance), updates.windows_of(host.resource_id, host.site_id)
        note(instance, request.update_status, plan, windows.wrong)
        message = updates.answer(instance, plan, windows)
        return Answer(message, (host.resource_id, instance.resource_id), windows.lasts)


def learn_what_runs(instance: Instance, told: Told) -> None:
    """The agent says only once that it has updated, and names ever after the image that it has updated to."""
    named = told.profile_name, told.os_image_id
    runs = instance.os
    if told.status_type not in RUNS_ITS_IMAGE or not all(named) or named == (runs.profile_name, runs.image_id):
        return
    if runs.os_type == OsType.IMMUTABLE:
        found = OperatingSystem.objects.filter(profile_name=named[0], image_id=named[1], os_type=OsType.IMMUTABLE)
        if (os := found.only(*_OS).first()) is not None:
            instance.now_runs(os)


def note(instance: Instance, told: Told, plan: updates.Plan, wrong: list[str]) -> None:
    """Write down what is news."""
    base = STATUS.get(told.status_type, Status("Unknown"))
    status = update_runs.outcome(base.text, [*plan.wrong, *wrong], base.indicator)
    facts: dict = {}
    if (instance.update_status, instance.update_status_indicator) != status:
        facts["update_status"] = status
    if instance.os.os_type == OsType.IMMUTABLE:
        newer = plan.newest is not None and plan.newest.resource_id != instance.os_id
        available = plan.newest.name if newer and plan.newest else ""
    else:
        available = told.os_update_available
    if instance.os_update_available != available:
        facts["os_update_available"] = available
    if (cves := known_cves(instance)) is not None:
        facts["existing_cves"] = cves
    if facts:
        write(instance, told, base, facts)


def known_cves(instance: Instance) -> str | None:
    """Those of its operating system, if they aren't written down as its own yet. Of a mutable one only those that the

    image came with: what its packages have since, nobody knows here.
    """
    is_new = instance.update_status_indicator == Indicator.UNSPECIFIED
    if instance.os.os_type != OsType.IMMUTABLE and not is_new:
        return None
    of_os = OperatingSystem.objects.filter(pk=instance.os.pk).exclude(
        existing_cves__in=Instance.objects.filter(pk=instance.pk).values("existing_cves")
    )
    return of_os.values_list("existing_cves", flat=True).first()


@transaction.atomic
def write(instance: Instance, told: Told, base: Status, facts: dict) -> None:
    """With the run that it belongs to. Locked, or two reports at once would begin two runs."""
    before = Instance.objects.select_for_update(of=("self",)).values_list("update_status", flat=True).get(
        pk=instance.pk
    )  # fmt: skip
    instance.observe(**facts)
    if before != base.text and not before.startswith(f"{base.text};"):
        with_packages = instance.os.os_type == OsType.MUTABLE
        update_runs.record(instance, told, base, with_packages=with_packages)


def add_to(server) -> None:
    maintmgr_pb2_grpc.add_MaintmgrServiceServicer_to_server(MaintenanceManager(), server)

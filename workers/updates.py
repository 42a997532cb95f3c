"""What a machine is to install, and when: from its operating system, its update policy and the schedules over it.

What is stored may be wrong: entered by an older release, or gone out of step. Then the rest is answered, and what is
wrong is told in words, for the operator.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError

from inventory.models import Instance, OperatingSystem, OsType, RepeatedSchedule, ScheduleStatus, SingleSchedule
from inventory.models import UpdatePolicy as Policy
from inventory.models.os import version_key
from inventory.models.schedule import LATEST, over
from inventory.profiles import NOT_PINNED
from wire import maintmgr_pb2 as wire

# Windows for something else. Whoever says nothing, or "maintenance", means updates as well.
NOT_FOR_UPDATES = {ScheduleStatus.SHIPPING, ScheduleStatus.FIRMWARE_UPDATE, ScheduleStatus.CLUSTER_UPDATE}
KERNEL_COMMAND = re.compile(r"[A-Za-z0-9\-_=.,/ ]*")  # an agent drops the whole answer if it has any other letter
CRON = ("cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week")


@dataclass
class Plan:
    """What to install. `image` is of an immutable system; of a mutable one, nothing named means all that is newer."""

    kernel_command: str = ""
    sources: list[str] = field(default_factory=list)
    packages: str = ""
    image: OperatingSystem | None = None
    installs: bool = False  # or there is no reason to name a time
    newest: OperatingSystem | None = None  # of an immutable system's profile
    wrong: list[str] = field(default_factory=list)

    def kernel(self, policy) -> bool:
        if KERNEL_COMMAND.fullmatch(policy.update_kernel_command):
            self.kernel_command = policy.update_kernel_command
        else:
            self.wrong.append(f"{policy}: no agent takes the letters of its updateKernelCommand")
        return bool(policy.update_kernel_command)


def plan_for(instance: Instance) -> Plan:
    """Two statements, if the system is immutable one."""
    match instance.os.os_type:
        case OsType.MUTABLE:
            return _of_mutable(instance)
        case OsType.IMMUTABLE:
            return _of_immutable(instance)
    return Plan(wrong=[f"{instance.os}: its osType is neither mutable nor immutable"])


def _of_mutable(instance: Instance) -> Plan:
    policy, plan = instance.os_update_policy, Plan(installs=True)
    if policy is None or policy.update_policy == Policy.LATEST:
        return plan
    plan.kernel(policy)
    plan.sources, plan.packages = policy.update_sources, policy.update_packages
    plan.installs = bool(plan.kernel_command or plan.sources or plan.packages)
    if not plan.installs and not plan.wrong:
        target = f"it updates to {policy.target_os}, " if policy.target_os else ""
        plan.wrong.append(f"{policy}: {target}no packages or sources are named, and {instance.os} is mutable")
    return plan


def _of_immutable(instance: Instance) -> Plan:
    os, policy = instance.os, instance.os_update_policy
    plan = Plan(newest=newest(os))
    if policy is None:
        return plan
    if plan.kernel(policy):
        plan.installs = bool(plan.kernel_command)
        return plan
    image = plan.newest if policy.update_policy == Policy.LATEST else policy.target_os
    if image is None:
        plan.wrong.append(f"{policy}: it names no operating system to update to (targetOs)")
    elif image.os_type != OsType.IMMUTABLE:
        plan.wrong.append(f"{policy}: it updates to {image}, which is not immutable")
    elif image.sha256 == NOT_PINNED:
        plan.wrong.append(f"{image}: it has no digest yet, so nobody installs it")
    else:
        plan.image, plan.installs = image, image.resource_id != os.resource_id
    return plan


def newest(os: OperatingSystem) -> OperatingSystem:
    """Of its profile, of those that have not been withdrawn; never one that is older than it."""
    columns = "resource_id", "name", "os_type", "sha256", "image_id", "image_url", "profile_name", "profile_version"
    found = OperatingSystem.objects.filter(profile_name=os.profile_name, retracted=False, os_type=OsType.IMMUTABLE)
    rows = found.exclude(sha256=NOT_PINNED).exclude(profile_name="").only(*columns).order_by("resource_id")
    return max([os, *rows], key=lambda row: version_key(row.image_id))


@dataclass
class Windows:
    """When a machine may install: the nearest single window, and all that come again and again."""

    single: SingleSchedule | None
    repeated: list[RepeatedSchedule]
    lasts: float  # seconds, until another single one is the nearest
    wrong: list[str]


def windows_of(host_id: str, site_id: str | None) -> Windows:
    """Three statements, however many regions lie around the site."""
    here = over(host=host_id, site=site_id or "")
    now, wrong = time.time(), list[str]()
    singles = _sound(SingleSchedule.objects.filter(here), wrong)
    open_yet = [single for single in singles if single.end_seconds == 0 or single.end_seconds > now]
    single, lasts = _nearest(open_yet, now)
    return Windows(single, list(_sound(RepeatedSchedule.objects.filter(here), wrong)), lasts, wrong)


def _sound(schedules, wrong: list[str]) -> Iterable:
    for schedule in schedules.exclude(schedule_status__in=NOT_FOR_UPDATES).order_by("resource_id"):
        if broken := _broken(schedule):
            wrong.append(f"{schedule}: {broken}")
        else:
            yield schedule


def _broken(schedule: SingleSchedule | RepeatedSchedule) -> str:
    try:
        if isinstance(schedule, RepeatedSchedule):
            schedule.clean_fields({f.name for f in schedule._meta.fields} - {*CRON, "duration_seconds"})
        elif not 0 < schedule.start_seconds <= LATEST or 0 < schedule.end_seconds <= schedule.start_seconds:
            return "it doesn't end after its start"
    except ValidationError as broken:
        return "; ".join(f"{name} {' '.join(why)}" for name, why in broken.message_dict.items())
    return ""


def _nearest(singles: Iterable[SingleSchedule], now: float) -> tuple[SingleSchedule | None, float]:
    """The one whose start is nearest to now, and for how many seconds it stays that."""
    rows = sorted(singles, key=lambda single: abs(single.start_seconds - now))
    if not rows:
        return None, float("inf")
    nearest = rows[0]
    ends = [nearest.end_seconds] if nearest.end_seconds else []
    halfway = [(nearest.start_seconds + other.start_seconds) / 2 for other in rows[1:]]
    return nearest, min((moment - now for moment in [*ends, *halfway] if moment > now), default=float("inf"))


def answer(instance: Instance, plan: Plan, windows: Windows) -> wire.PlatformUpdateStatusResponse:
    """All its parts are there, if empty: an agent drops an answer in which one that it looks for is absent."""
    told = wire.PlatformUpdateStatusResponse(
        update_source=wire.UpdateSource(kernel_command=plan.kernel_command, custom_repos=plan.sources),
        update_schedule=_schedule(windows) if plan.installs else wire.UpdateSchedule(),
        installed_packages=plan.packages,
        os_type=wire.PlatformUpdateStatusResponse.OSType.Value(instance.os.os_type),
        os_profile_update_source=wire.OSProfileUpdateSource(),
    )
    if (image := plan.image) is not None:
        told.os_profile_update_source.MergeFrom(wire.OSProfileUpdateSource(
            os_image_url=image.image_url, os_image_id=image.image_id, os_image_sha=image.sha256,
            profile_name=image.profile_name, profile_version=image.profile_version,
        ))  # fmt: skip
    return told


def _schedule(windows: Windows) -> wire.UpdateSchedule:
    told = wire.UpdateSchedule(repeated_schedules=[
        wire.RepeatedSchedule(
            duration_seconds=repeated.duration_seconds, **{name: getattr(repeated, name) for name in CRON}
        ) for repeated in windows.repeated
    ])  # fmt: skip
    if windows.repeated:
        told.repeated_schedule.CopyFrom(told.repeated_schedules[0])
    if windows.single:
        # An agent takes a window without end for one that is over when it begins. This one ends in the year 2106; it
        # is the same each time it is asked for, or agents would take it for another window.
        start, end = windows.single.start_seconds, windows.single.end_seconds or LATEST
        told.single_schedule.CopyFrom(wire.SingleSchedule(start_seconds=start, end_seconds=end))
    return told

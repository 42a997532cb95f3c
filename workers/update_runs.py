"""The history of updates: a run for each, from when the machine begins until it tells how it ended."""

import json
import time
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef

from inventory.models import Indicator, Instance, OsUpdateRun, Status
from inventory.models.policy import OPEN
from wire.maintmgr_pb2 import UpdateStatus as Told

BEGINS = {Told.STATUS_TYPE_DOWNLOADING, Told.STATUS_TYPE_STARTED}
ENDS = {Told.STATUS_TYPE_UPDATED, Told.STATUS_TYPE_FAILED}
SILENT = {Told.STATUS_TYPE_UNSPECIFIED, Told.STATUS_TYPE_DOWNLOADED}  # neither begins nor ends one


def record(instance: Instance, told: Told, status: Status, *, with_packages: bool) -> None:
    """Write down that this was told: it differs from what was told before. The instance is locked.

    An end whose beginning nobody told of is a run of no length. One that is up to date again without a word on how it
    ended is over all the same, or the next update would be taken for this one.
    """
    kind = told.status_type
    now = int(time.time())
    run = OsUpdateRun.objects.filter(instance=instance, end_time=OPEN).order_by("-start_time", "-pk").first()
    if run is None and kind in BEGINS | ENDS:
        run = _begin(instance, told.status_detail, now)
    if run is None:
        return
    facts: dict[str, Any] = {}
    if kind in ENDS:
        log = read_log(told.status_detail, failed=kind == Told.STATUS_TYPE_FAILED)
        if log is not None:
            facts["status_details"] = json.dumps({"update_log": log}, separators=(",", ":"))
            if kind == Told.STATUS_TYPE_UPDATED and with_packages:
                done = sum(entry.get("status") == "installed" for entry in log)
                status = Status(f"{status.text} - {done} package(s) updated/installed", status.indicator)
    if kind not in BEGINS | SILENT:
        facts["end_time"] = now
    run.observe(status=status, **facts)


def _begin(instance: Instance, detail: str, now: int) -> OsUpdateRun:
    when = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    run = OsUpdateRun(
        name=f"{instance.host.name[:13]} update {when}", description=f"OS update for {instance.os.name}"[:200],
        instance=instance, applied_policy_id=instance.os_update_policy_id, start_time=now,
    )  # fmt: skip
    run.ask()
    run.observe(end_time=OPEN, status_details=detail)
    kept = OsUpdateRun.objects.filter(instance=instance).order_by("-start_time", "-pk")
    for old in kept[settings.UPDATE_RUNS_KEPT :]:
        old.delete()
    return run


def forget_old(now: float) -> int:
    """Those of the current schema that ended too long ago, but for the last of each instance. Returns how many went."""
    ended_before = int(now) - settings.UPDATE_RUNS_DAYS * 86400
    later = OsUpdateRun.objects.filter(instance=OuterRef("instance"), pk__gt=OuterRef("pk"))
    old = OsUpdateRun.objects.filter(Exists(later), start_time__lt=ended_before, end_time__lt=ended_before)[:1000]
    for run in old:
        run.delete()
    return len(old)


# What machines tell of single packages ------------------------------------------------------------------------------

_WORDS = {
    "update_type": {"os", "application", "firmware", "container", "configuration"},
    "action": {"upgrade", "install"},
    "status": {"installed", "failed", "rolledback"},
    "failure_reason": {
        "unspecified", "nofailure", "download", "bootloader", "insufficientstorage", "rsauthentication",
        "signaturecheck", "utwrite", "utbootconfiguration", "criticalservices", "inbm", "oscommit",
    },
}  # fmt: skip
_TEXTS = {"package_name", "update_time", "version", "failure_log"}
_STATUS = {"success": "installed", "fail": "failed", "failure": "failed", "rollback": "rolledback"}


def read_log(detail: str, *, failed: bool = False) -> list[dict[str, str]] | None:
    """A log in any of the three forms that are in use, in the first of them. None if it is in none of them.

    {"update_log": [...]} is what clients know. {"UpdateLog": [...]} comes with the same keys and other words from one
    agent, and with `StatusDetail.Status`, `Version` and `FailureReason` from another. Of a failure that is told in
    free text, the text is the log.
    """
    try:
        log = json.loads(detail) if detail else None
    except (ValueError, RecursionError):
        return [{"update_type": "os", "status": "failed", "failure_log": detail}] if failed else None
    if not isinstance(log, dict):
        return None
    entries = log.get("update_log", log.get("UpdateLog"))
    if not isinstance(entries, list):
        return None
    read = [_entry(entry) for entry in entries]
    return None if None in read else [entry for entry in read if entry is not None]


def _entry(told: Any) -> dict[str, str] | None:
    if not isinstance(told, dict):
        return None
    if {"StatusDetail.Status", "StatusDetail"} & told.keys():
        nested = told.get("StatusDetail")
        status = told.get("StatusDetail.Status") or (nested.get("Status") if isinstance(nested, dict) else None)
        told = {"update_type": "os", "status": status, "version": told.get("Version"),
                "failure_reason": told.get("FailureReason")}  # fmt: skip
    entry: dict[str, str] = {}
    for key in [*_WORDS, *_TEXTS]:
        value = told.get(key)
        if value in (None, ""):
            continue
        if not isinstance(value, str):
            return None
        if key in _WORDS:
            value = value.lower()
            value = _STATUS.get(value, value) if key == "status" else value
            if value not in _WORDS[key]:
                return None
        entry[key] = value
    return entry


def outcome(text: str, wrong: list[str], indicator: str) -> Status:
    """What the operator reads: what the machine tells, and what of our own data keeps it from more."""
    if wrong and indicator in (Indicator.IDLE, Indicator.UNSPECIFIED):
        return Status(f"{text}; {'; '.join(wrong)}"[:1024], Indicator.ERROR)
    return Status(text, indicator)

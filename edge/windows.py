"""When a machine may update itself: the maintenance windows of its server's answer, in UTC, as agents read them."""

import time
from collections.abc import Iterator

from wire import maintmgr_pb2 as mm

MINUTE, DAY = 60, 86_400  # seconds
EARLIER_BY = 6 * 3600  # seconds, the most that an image is downloaded before its window


def opened_at(schedule: mm.UpdateSchedule, now: float) -> float | None:
    """When the window that is open now was opened, in seconds since 1970; None if none is.

    Windows that touch are one. One that has been open for longer than a day counts as opened a day ago, so that what
    is always allowed is done daily.
    """
    single = schedule.single_schedule
    opened = [float(single.start_seconds)] if single.start_seconds <= now < single.end_seconds else []
    since = [_open_since(repeated, now) for repeated in _repeated(schedule)]
    opened += [start for start in since if start is not None]
    return min(opened, default=None)


def opens_at(schedule: mm.UpdateSchedule, now: float, within: float = EARLIER_BY) -> float | None:
    """When the next window opens that begins after now, if it does so within so many seconds."""
    single = schedule.single_schedule
    coming = [float(single.start_seconds)] if now < single.start_seconds <= now + within else []
    for repeated in _repeated(schedule):
        coming += list(_triggers(repeated, now + MINUTE, MINUTE, within))[:1]
    return min(coming, default=None)


def _open_since(repeated: mm.RepeatedSchedule, now: float) -> float | None:
    since = None
    for trigger in _triggers(repeated, now, -MINUTE, DAY):
        ends = trigger + (repeated.duration_seconds or MINUTE)
        if ends <= now if since is None else ends < since:
            break  # as do all before it: they last no longer
        since = trigger
    return since


def _repeated(schedule: mm.UpdateSchedule) -> list[mm.RepeatedSchedule]:
    old = [schedule.repeated_schedule] if schedule.HasField("repeated_schedule") else []
    return list(schedule.repeated_schedules) or old


def _triggers(repeated: mm.RepeatedSchedule, start: float, step: int, within: float) -> Iterator[float]:
    """The minutes at which it begins, from `start` on in steps of one minute forwards or backwards."""
    first = start - start % MINUTE
    for number in range(int(within) // MINUTE + 1):
        minute = first + number * step
        if _begins(repeated, minute):
            yield minute


def _begins(repeated: mm.RepeatedSchedule, at: float) -> bool:
    minute = time.gmtime(at)
    today = {
        "cron_minutes": minute.tm_min, "cron_hours": minute.tm_hour, "cron_day_month": minute.tm_mday,
        "cron_month": minute.tm_mon, "cron_day_week": (minute.tm_wday + 1) % 7,
    }  # fmt: skip
    said = {name: getattr(repeated, name) for name in today}
    return all(said[name] in ("", "*") or str(number) in said[name].split(",") for name, number in today.items())

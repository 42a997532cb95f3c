"""Schedules as a calendar: which windows open when, for what, and which are in each other's way.

Schedules are kept in UTC. They are shown, and said, in the time zone that the page is asked for: the browser's own, by
the cookie that console.js sets, if none is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.views.decorators.http import require_POST

from console.frame import page
from console.schedule_form import ScheduleForm
from inventory.models import Region, RepeatedSchedule, SingleSchedule
from inventory.models.schedule import over
from tenants.errors import ResourceError

Schedule = SingleSchedule | RepeatedSchedule

MOST = 300  # schedules of each kind on a page; whoever has more chooses a target
MOST_STARTS = 2_000  # of one schedule on a page; one that begins each minute has windows that are one
MOST_TOLD = 20  # windows that are in each other's way
A_DAY = timedelta(days=1)
LOOKS = {"SCHEDULE_STATUS_MAINTENANCE": "maintenance", "SCHEDULE_STATUS_OS_UPDATE": "update"}  # a class of CSS
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)


@dataclass
class Window:
    """A time in which a schedule lasts. Without an end, until it is deleted."""

    schedule: Schedule
    start: datetime
    end: datetime | None
    meets: bool = False  # another one, of the same machines

    @property
    def look(self) -> str:
        return LOOKS.get(self.schedule.schedule_status, "other")

    @property
    def target(self) -> str:
        return called(self.schedule)

    @cached_property
    def link(self) -> str:
        return reverse("console:schedule", args=[self.schedule.resource_id])


@dataclass
class Day:
    at: date
    windows: list[Window] = field(default_factory=list)
    blocks: list[dict] = field(default_factory=list)  # of a week: a window's part of this day, and where it is drawn
    outside: bool = False  # of the month that is shown
    today: bool = False


class Calendar:
    """A month or a week of one time zone, whole weeks from Monday on."""

    def __init__(self, at: date, view: str, zone: ZoneInfo) -> None:
        self.at, self.view, self.zone = at, view, zone
        first = at.replace(day=1) if view == "month" else at
        self.first = first - timedelta(days=first.weekday())
        after = _next_month(at) if view == "month" else self.first + 7 * A_DAY
        self.days = -(-(after - self.first).days // 7) * 7

    @property
    def begin(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.first + self.days * A_DAY, time(), self.zone)

    @property
    def before(self) -> date:
        return self.at.replace(day=1) - A_DAY if self.view == "month" else self.at - 7 * A_DAY

    @property
    def after(self) -> date:
        return _next_month(self.at) if self.view == "month" else self.at + 7 * A_DAY

    def weeks(self, windows: list[Window]) -> list[list[Day]]:
        today = datetime.now(self.zone).date()
        days = [
            Day(at, outside=self.view == "month" and at.month != self.at.month, today=at == today)
            for at in (self.first + n * A_DAY for n in range(self.days))
        ]
        for window in windows:
            begins = window.start.astimezone(self.zone).date()
            for day in days[max((begins - self.first).days, 0) :]:
                if window.end and window.end <= datetime.combine(day.at, time(), self.zone):
                    break
                day.windows.append(window)
        if self.view == "week":
            for day in days:
                day.blocks = _laid_out(day, self.zone)
        return [days[n : n + 7] for n in range(0, self.days, 7)]


def overview(request: HttpRequest) -> HttpResponse:
    zone = zone_of(request)
    view = "week" if request.GET.get("view") == "week" else "month"
    calendar = Calendar(_date(request.GET.get("at", "")) or datetime.now(zone).date(), view, zone)
    chosen = request.GET.get("for", "").strip()[:64]
    schedules, cut = _schedules(calendar, chosen)
    windows = sorted(
        (window for schedule in schedules for window in windows_of(schedule, calendar.begin, calendar.end)),
        key=lambda window: window.start,
    )
    meeting = [*islice(in_each_others_way(windows), MOST_TOLD)]
    for pair in meeting:
        for window in pair:
            window.meets = True
    return page(
        request, "console/schedules.html", title="Calendar", calendar=calendar, weeks=calendar.weeks(windows),
        empty=not windows, zone=zone, zones=zones(), meeting=meeting, chosen=chosen, cut=cut, most=MOST,
        hours=[f"{hour:02}:00" for hour in range(0, 24, 3)],
    )  # fmt: skip


def one(request: HttpRequest, resource_id: str) -> HttpResponse:
    schedule, now = _found(resource_id), datetime.now(UTC)
    upcoming = windows_of(schedule, now, now + 400 * A_DAY)
    return page(
        request, "console/schedule.html", title=schedule.name or resource_id, schedule=schedule,
        target=called(schedule), upcoming=[*islice(upcoming, 10)], zone=zone_of(request),
        again=isinstance(schedule, RepeatedSchedule),
        edit=reverse(f"project:inventory_{schedule._meta.model_name}_change", args=[schedule.pk]),
    )  # fmt: skip


def new(request: HttpRequest) -> HttpResponse:
    zone = zone_of(request)
    now = datetime.now(zone)
    at = max(_date(request.GET.get("at", "")) or now.date() + A_DAY, now.date())
    begin = {"zone": zone.key, "start_date": at, "target": request.GET.get("for", "")[:64]}
    form = ScheduleForm(request.POST or None, initial=begin)
    if request.method == "POST" and form.is_valid():
        schedule = form.schedule()
        try:
            schedule.ask()
        except (ValidationError, ResourceError) as wrong:
            form.add_error(None, getattr(wrong, "messages", [str(wrong)]))
        else:
            return HttpResponseRedirect(reverse("console:schedule", args=[schedule.resource_id]))
    told = {"zones": zones(), "title": "New schedule", "form": form}
    return page(request, "console/schedule_new.html", 400 if form.errors else 200, **told)


@require_POST
def end(request: HttpRequest, resource_id: str) -> HttpResponse:
    """It goes; a window that is open ends with it."""
    _found(resource_id).delete()
    return HttpResponseRedirect(reverse("console:schedules"))


# What is shown -----------------------------------------------------------------------------------------------------


def windows_of(schedule: Schedule, begin: datetime, end: datetime) -> Iterator[Window]:
    """Those that last at some time between the two, in order. What follows without a pause is one window."""
    if isinstance(schedule, SingleSchedule):
        start = datetime.fromtimestamp(schedule.start_seconds, UTC)
        ends = datetime.fromtimestamp(schedule.end_seconds, UTC) if schedule.end_seconds else None
        if start < end and (ends is None or ends > begin):
            yield Window(schedule, start, ends)
        return
    lasts = timedelta(seconds=schedule.duration_seconds)
    last: Window | None = None
    for start in islice(schedule.starts(begin.astimezone(UTC) - lasts, end.astimezone(UTC)), MOST_STARTS):
        if last and last.end and start <= last.end:
            last.end = start + lasts
            continue
        if last:
            yield last
        last = Window(schedule, start, start + lasts)
    if last:
        yield last


def in_each_others_way(windows: list[Window]) -> Iterator[tuple[Window, Window]]:
    """Pairs of different schedules that last at the same time for the same machines. windows: by their start."""
    parents = dict(Region.objects.values_list("resource_id", "parent_region_id"))
    around = {window.schedule.resource_id: _places(window.schedule, parents) for window in windows}
    open_: list[Window] = []
    for window in windows:
        open_ = [other for other in open_ if other.end is None or other.end > window.start]
        mine = around[window.schedule.resource_id]
        for other in open_:
            theirs = around[other.schedule.resource_id]
            if other.schedule != window.schedule and mine and theirs and (mine[0] in theirs or theirs[0] in mine):
                yield other, window
        open_.append(window)


def _places(schedule: Schedule, parents: dict[str, str | None]) -> list[str]:
    """The ids of its target and of all that this lies in, from the inside out."""
    if schedule.target_host:
        found, site = [schedule.target_host_id], schedule.target_host.site
    else:
        found, site = [], schedule.target_site
    if site:
        found.append(site.resource_id)
    region = site.region_id if site else schedule.target_region_id
    while region and region not in found:
        found.append(region)
        region = parents.get(region)
    return found


def called(schedule: Schedule) -> str:
    """What it is for, as people say it."""
    if schedule.target_host:
        return f"host {schedule.target_host.name}"
    if schedule.target_site:
        return f"site {schedule.target_site.name}"
    if schedule.target_region:
        return f"region {schedule.target_region.name}"
    return f"workload {schedule.target_workload_id}" if schedule.target_workload_id else "nothing"


def _schedules(calendar: Calendar, chosen: str) -> tuple[list[Schedule], bool]:
    """Those that may have windows in this time, and whether that are not all."""
    begin, end = int(calendar.begin.timestamp()), int(calendar.end.timestamp())
    targets = "target_host__site", "target_site", "target_region"
    wanted = _over(chosen)
    single = SingleSchedule.objects.filter(wanted, start_seconds__lt=end).exclude(end_seconds__range=(1, begin))
    repeated = RepeatedSchedule.objects.filter(wanted)
    found: list[list] = [
        [*rows.select_related(*targets).defer("target_host__hardware").order_by("-pk")[: MOST + 1]]
        for rows in (single, repeated)
    ]
    return [schedule for some in found for schedule in some[:MOST]], any(len(some) > MOST for some in found)


def _over(chosen: str) -> Q:
    """What is for this host, site or region, or for what it lies in; all if none is chosen."""
    kind = chosen.partition("-")[0]
    return over(**{kind: chosen}) if kind in ("host", "site", "region") else Q()


def _laid_out(day: Day, zone: ZoneInfo) -> list[dict]:
    """The windows of a day as parts of its height, in per cent; those of the same time side by side."""
    blocks = []
    for window in day.windows:
        begins, ends = window.start.astimezone(zone), window.end and window.end.astimezone(zone)
        top = _minute(begins) if begins.date() == day.at else 0
        bottom = _minute(ends) if ends and ends.date() == day.at else 24 * 60
        blocks.append({"window": window, "top": top, "bottom": max(bottom, top + 30)})
    lanes: list[int] = []  # until when each is taken
    for block in blocks:
        block["lane"] = next((n for n, until in enumerate(lanes) if until <= block["top"]), len(lanes))
        lanes[block["lane"] : block["lane"] + 1] = [block["bottom"]]
    for block in blocks:
        block["left"], block["width"] = round(100 * block["lane"] / len(lanes), 2), round(100 / len(lanes), 2)
        block["height"] = round((block["bottom"] - block["top"]) / 14.4, 2)
        block["top"] = round(block["top"] / 14.4, 2)
    return blocks


def _minute(at: datetime) -> int:
    return at.hour * 60 + at.minute


def _date(text: str) -> date | None:
    try:
        at = date.fromisoformat(text)
    except ValueError:
        return None
    return min(max(at, EARLIEST), LATEST)


def _next_month(at: date) -> date:
    return (at.replace(day=1) + 32 * A_DAY).replace(day=1)


@cache
def zones() -> list[str]:
    return sorted(available_timezones() - {"localtime", "Factory"})


def zone_of(request: HttpRequest) -> ZoneInfo:
    """The one that is asked for, else the browser's."""
    for named in (request.GET.get("zone"), unquote(request.COOKIES.get("zone", ""))):
        if named in zones():
            return ZoneInfo(named)
    return ZoneInfo("UTC")


def _found(resource_id: str) -> Schedule:
    model = SingleSchedule if resource_id.startswith(f"{SingleSchedule.prefix}-") else RepeatedSchedule
    rows = model.objects.select_related("target_host__site", "target_site", "target_region")
    if schedule := rows.filter(resource_id=resource_id).first():
        return schedule
    raise Http404(f"There is no schedule {resource_id}")

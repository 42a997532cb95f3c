"""The form of a new schedule: said in somebody's time zone, kept in UTC.

A day of somebody's time zone begins on another day in UTC. Days of the week move along; a day of the month, or a month,
can't always be said for that, and is then refused with the way out.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.db.models import Q
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from inventory.models import Host, Region, RepeatedSchedule, SingleSchedule, Site
from inventory.models.schedule import LONGEST, ScheduleStatus

ONCE, WEEKLY, MONTHLY = "once", "weekly", "monthly"
WHAT = [
    (ScheduleStatus.MAINTENANCE, "Maintenance"), (ScheduleStatus.OS_UPDATE, "Update of the operating system"),
    (ScheduleStatus.FIRMWARE_UPDATE, "Update of the firmware"), (ScheduleStatus.SHIPPING, "Shipping"),
]  # fmt: skip
WEEKDAYS = [("1", "Monday"), ("2", "Tuesday"), ("3", "Wednesday"), ("4", "Thursday"), ("5", "Friday"),
            ("6", "Saturday"), ("0", "Sunday")]  # fmt: skip
MONTHS = [(str(month), datetime(2000, month, 1).strftime("%B")) for month in range(1, 13)]
LAST_SURE_DAY = 28  # of a month: all have it


def _input(kind: str) -> UnfoldAdminTextInputWidget:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    widget.input_type = kind
    return widget


class ScheduleForm(forms.Form):
    name = forms.CharField(label="Name", max_length=63, widget=_input("text"))
    what = forms.ChoiceField(label="What for", choices=WHAT, widget=UnfoldAdminSelectWidget())
    target = forms.CharField(
        label="Of which host, site or region", max_length=128, widget=_input("text"),
        help_text="Its name, id or, of a host, serial number. What is for a region or a site is for all that is in it.",
    )  # fmt: skip
    zone = forms.CharField(
        label="Time zone",
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "zones", "autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        label="How often", choices=[(ONCE, "Once"), (WEEKLY, "On days of the week"), (MONTHLY, "On days of the month")],
        initial=ONCE, widget=UnfoldAdminRadioSelectWidget(),
    )  # fmt: skip
    start_date = forms.DateField(label="Begins on", required=False, widget=_input("date"))
    start_time = forms.TimeField(label="At", initial="02:00", widget=_input("time"))
    hours = forms.IntegerField(
        label="Lasts, hours", min_value=0, max_value=24 * 366, initial=1, widget=UnfoldAdminIntegerFieldWidget()
    )
    minutes = forms.IntegerField(
        label="and minutes", min_value=0, max_value=59, initial=0, widget=UnfoldAdminIntegerFieldWidget()
    )
    open_end = forms.BooleanField(label="Until it is ended by hand", required=False)
    weekdays = forms.MultipleChoiceField(
        label="Days of the week", choices=WEEKDAYS, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )
    days = forms.RegexField(
        r"^\s*\d{1,2}(\s*,\s*\d{1,2})*\s*$", label="Days of the month", required=False, widget=_input("text"),
        help_text="Numbers with commas between them, like 1,15.",
        error_messages={"invalid": "Numbers from 1 to 31 with commas between them, like 1,15."},
    )  # fmt: skip
    months = forms.MultipleChoiceField(
        label="Months",
        choices=MONTHS,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="None chosen: all of them.",
    )

    def clean_zone(self) -> ZoneInfo:
        if (named := self.cleaned_data["zone"].strip()) not in available_timezones():
            raise forms.ValidationError("There is no such time zone; one is Europe/Berlin, another UTC.")
        return ZoneInfo(named)

    def clean_target(self) -> tuple[str, object]:
        """The one that has this name, serial number or id."""
        said = self.cleaned_data["target"].strip()
        found: list[tuple[str, object]] = []
        for column, model, also in (
            ("target_host", Host, Q(serial_number=said)), ("target_site", Site, Q()), ("target_region", Region, Q()),
        ):  # fmt: skip
            rows = model.objects.filter(Q(name=said) | Q(resource_id=said) | also).only("resource_id", "name")
            found += [(column, row) for row in rows[:2]]
        if not found:
            raise forms.ValidationError(f"There is no host, site or region called {said}.")
        if len(found) > 1:
            ids = ", ".join(str(row) for _, row in found)
            raise forms.ValidationError(f"Several are called {said}: say which by its id ({ids}).")
        return found[0]

    def clean(self):
        said = super().clean()
        if self.errors:
            return said
        lasts = timedelta(hours=said["hours"], minutes=said["minutes"])
        if not lasts and not said["open_end"]:
            self.add_error("hours", "How long does it last?")
        check = {ONCE: self._clean_once, WEEKLY: self._clean_weekly, MONTHLY: self._clean_monthly}
        if said["kind"] != ONCE and lasts > timedelta(seconds=LONGEST):
            self.add_error("hours", "What comes again and again lasts a day at most.")
        check[said["kind"]](said)
        return said

    def _clean_once(self, said: dict) -> None:
        if not said["start_date"]:
            self.add_error("start_date", "On which day?")

    def _clean_weekly(self, said: dict) -> None:
        if not said["weekdays"]:
            self.add_error("weekdays", "On which days?")
        elif said["months"] and self._moved():
            self.add_error(
                "months", f"In UTC, in which it is kept, {self._moves()}: choose all months, or say it in UTC."
            )

    def _clean_monthly(self, said: dict) -> None:
        days = [int(day) for day in said["days"].split(",")] if said["days"] else []
        if not days or not all(1 <= day <= 31 for day in days):
            return self.add_error("days", "On which days? Numbers from 1 to 31 with commas between them, like 1,15.")
        moved = self._moved()
        if moved and (said["months"] or not all(1 <= day + moved <= LAST_SURE_DAY for day in days)):
            self.add_error(
                "days", f"In UTC, in which it is kept, {self._moves()}, which can be another month: choose days from 2 "
                f"to {LAST_SURE_DAY - 1} and all months, another time of the day, or say it in UTC.",
            )  # fmt: skip
        said["days"] = days

    def schedule(self) -> SingleSchedule | RepeatedSchedule:
        """What it says, not saved yet."""
        said = self.cleaned_data
        column, target = said["target"]
        known = {"name": said["name"], "schedule_status": said["what"], column: target}
        lasts = 3600 * said["hours"] + 60 * said["minutes"]
        if said["kind"] == ONCE:
            start = int(datetime.combine(said["start_date"], said["start_time"], said["zone"]).timestamp())
            return SingleSchedule(**known, start_seconds=start, end_seconds=0 if said["open_end"] else start + lasts)
        begins, moved = self._in_utc(), self._moved()
        on = {"cron_day_month": "*", "cron_day_week": "*"}
        if said["kind"] == WEEKLY:
            on["cron_day_week"] = _cron((int(day) + moved) % 7 for day in said["weekdays"])
        else:
            on["cron_day_month"] = _cron(day + moved for day in said["days"])
        return RepeatedSchedule(
            **known, **on, duration_seconds=lasts, cron_minutes=str(begins.minute), cron_hours=str(begins.hour),
            cron_month=_cron(map(int, said["months"])) or "*",
        )  # fmt: skip

    def _in_utc(self) -> datetime:
        """The next such time of the day, by today's offset of the zone."""
        return self._today().astimezone(UTC)

    def _today(self) -> datetime:
        said = self.cleaned_data
        return datetime.combine(datetime.now(said["zone"]).date(), said["start_time"], said["zone"])

    def _moved(self) -> int:
        """By how many days its day is another one in UTC: -1, 0 or 1."""
        return (self._in_utc().date() - self._today().date()).days

    def _moves(self) -> str:
        return f"it begins on the day {'before' if self._moved() < 0 else 'after'}"


def _cron(numbers) -> str:
    return ",".join(map(str, sorted({*numbers})))

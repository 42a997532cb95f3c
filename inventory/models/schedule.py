"""When machines are maintained or updated: once, or again and again."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from inventory.models.base import Resource, name_field
from inventory.models.columns import at_most_one, said
from inventory.models.compute import Host
from inventory.models.location import Region, Site, places
from inventory.models.workload import Workload
from inventory.naming import camel

LATEST = 2**32 - 1  # seconds since 1970
LONGEST = 24 * 60 * 60  # seconds
TARGETS = ("target_host", "target_site", "target_region", "target_workload")


class ScheduleStatus(models.TextChoices):
    UNSPECIFIED = "SCHEDULE_STATUS_UNSPECIFIED"
    MAINTENANCE = "SCHEDULE_STATUS_MAINTENANCE"
    SHIPPING = "SCHEDULE_STATUS_SHIPPING"
    OS_UPDATE = "SCHEDULE_STATUS_OS_UPDATE"
    FIRMWARE_UPDATE = "SCHEDULE_STATUS_FIRMWARE_UPDATE"
    CLUSTER_UPDATE = "SCHEDULE_STATUS_CLUSTER_UPDATE"


def over(host: str = "", site: str = "", region: str = "") -> models.Q:
    """What is for this host, this site or this region, itself or what it lies in, of both kinds of schedules.

    A host's site is looked up unless it is named, too.
    """
    look_up = host and not site
    sites = Host.objects.filter(resource_id=host).values_list("site_id", flat=True) if look_up else [site]
    around = {f"target_{name}": ids for name, ids in places(*sites, region=region).items()}
    targets = {"target_host": [host], **around}
    return models.Q(
        *(models.Q(**{f"{name}__in": [one for one in ids if one]}) for name, ids in targets.items()),
        _connector=models.Q.OR,
    )


def target(model: type[Resource]) -> models.ForeignKey:
    """What a schedule is for. When that goes, the schedule stays, and is for nothing."""
    return models.ForeignKey(
        model, null=True, blank=True, on_delete=models.SET_NULL, related_name="%(class)ss", to_field="resource_id"
    )


def check_targets(schedule: Resource) -> None:
    if len(targets := said(schedule, *TARGETS)) > 1:
        raise ValidationError(f"a schedule has one target, not {' and '.join(map(camel, targets))}")


class SingleSchedule(Resource):
    prefix = "singlesche"

    schedule_status = models.CharField(
        max_length=40, choices=ScheduleStatus, default=ScheduleStatus.UNSPECIFIED
    )
    name = name_field()
    target_host, target_site = target(Host), target(Site)
    target_region, target_workload = target(Region), target(Workload)
    # Seconds since 1970, UTC. Without an end (0) it lasts until it is deleted.
    start_seconds = models.BigIntegerField(validators=[MinValueValidator(1), MaxValueValidator(LATEST)])
    end_seconds = models.BigIntegerField(default=0, validators=[MinValueValidator(0), MaxValueValidator(LATEST)])

    class Meta(Resource.Meta):
        constraints = [
            models.CheckConstraint(condition=at_most_one(*TARGETS), name="singleschedule_one_target"),
            models.CheckConstraint(
                condition=models.Q(end_seconds=0) | models.Q(end_seconds__gt=models.F("start_seconds")),
                name="singleschedule_ends_after_its_start",
            ),
        ]
        verbose_name = "single schedule"

    @staticmethod
    def in_force(at: int) -> models.Q:
        """Those that last at this second since 1970."""
        return models.Q(models.Q(end_seconds=0) | models.Q(end_seconds__gte=at), start_seconds__lte=at)

    def clean(self):
        check_targets(self)
        if self.end_seconds and self.end_seconds <= self.start_seconds:
            raise ValidationError(f"endSeconds {self.end_seconds} is not after startSeconds {self.start_seconds}")
        begun = SingleSchedule.objects.filter(pk=self.pk, start_seconds=self.start_seconds).exists()
        if self.start_seconds <= time.time() and not begun and not self.was_elsewhere:
            raise ValidationError(f"startSeconds {self.start_seconds} is in the past")


def numbers(least: int, most: int) -> models.CharField:
    """A part of a cron line: `*`, or numbers with commas between them; no ranges, steps or names."""
    number = "|".join(str(number) for number in reversed(range(least, most + 1)))
    return models.CharField(
        max_length=200,
        validators=[
            RegexValidator(rf"^(\*|({number})(,({number}))*)\Z", f"* or numbers from {least} to {most}, like 1,15")
        ],
    )


@lru_cache(1000)  # most schedules say the same
def said_of(numbers: str, all_numbers: range) -> tuple[int, ...]:
    """What a part of a cron line says, the last first."""
    said = all_numbers if numbers == "*" else map(int, numbers.split(","))
    return tuple(sorted(said, reverse=True))


class RepeatedSchedule(Resource):
    prefix = "repeatedsche"

    schedule_status = models.CharField(
        max_length=40, choices=ScheduleStatus, default=ScheduleStatus.UNSPECIFIED
    )
    name = name_field()
    target_host, target_site = target(Host), target(Site)
    target_region, target_workload = target(Region), target(Workload)
    duration_seconds = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(LONGEST)])
    # When it begins, in UTC.
    cron_minutes, cron_hours = numbers(0, 59), numbers(0, 23)
    cron_day_month, cron_month, cron_day_week = numbers(1, 31), numbers(1, 12), numbers(0, 6)

    class Meta(Resource.Meta):
        constraints = [
            models.CheckConstraint(condition=at_most_one(*TARGETS), name="repeatedschedule_one_target"),
            models.CheckConstraint(
                condition=models.Q(duration_seconds__range=(1, LONGEST)), name="repeatedschedule_duration"
            ),
        ]
        verbose_name = "repeated schedule"

    def lasts_at(self, at: int) -> bool:
        """Whether it lasts at this second since 1970. The second in which it begins is not part of it, the one in

        which it ends is.
        """
        moment = datetime.fromtimestamp(at, UTC)
        earliest = moment - timedelta(seconds=self.duration_seconds)
        begun = self._last_start(moment)  # no earlier one can last longer
        return begun is not None and begun >= earliest

    def starts(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """When it begins, in order, after the one moment and up to the other."""
        day = after.date()
        while day <= until.date():
            if self._begins_on(day):
                for hour in reversed(said_of(self.cron_hours, range(24))):
                    for minute in reversed(said_of(self.cron_minutes, range(60))):
                        if after < (start := datetime.combine(day, clock(hour, minute), UTC)) <= until:
                            yield start
            day += timedelta(days=1)

    def _last_start(self, before: datetime) -> datetime | None:
        """Of this day and the one before it: none lasts longer than a day."""
        for day in (before.date(), before.date() - timedelta(days=1)):
            if self._begins_on(day):
                for hour in said_of(self.cron_hours, range(24)):
                    for minute in said_of(self.cron_minutes, range(60)):
                        if (start := datetime.combine(day, clock(hour, minute), UTC)) < before:
                            return start
        return None

    def _begins_on(self, day: date) -> bool:
        """If both the day of the month and that of the week are said, one of them is enough, as in any cron."""
        of_month = day.day in said_of(self.cron_day_month, range(1, 32))
        of_week = day.isoweekday() % 7 in said_of(self.cron_day_week, range(7))
        either = "*" not in (self.cron_day_month, self.cron_day_week)
        of_year = day.month in said_of(self.cron_month, range(1, 13))
        return of_year and (of_month or of_week if either else of_month and of_week)

    def clean(self):
        check_targets(self)

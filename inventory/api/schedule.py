"""When machines are maintained or updated."""

from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory import errors
from inventory.api.base import (
    Nested,
    Pattern,
    Reference,
    ResourceSerializer,
    ResourceViewSet,
    Same,
    Whole,
)  # fmt: skip
from inventory.api.compute import HostSerializer
from inventory.api.location import RegionSerializer, SiteSerializer
from inventory.api.queries import ListQuery, PageQuery, PatchQuery, Query
from inventory.api.reading import reader
from inventory.models import Host, Region, RepeatedSchedule, SingleSchedule, Site
from inventory.models.schedule import LATEST, TARGETS, over

NOT_OF_TARGETS = {"site", "provider", "instance", "hostStorages", "hostNics", "hostUsbs", "hostGpus"}  # what hosts show


class ScheduleSerializer(ResourceSerializer):
    """What both kinds have in common: they are for a host, a site or a region."""

    targetHost = Nested(HostSerializer, source="target_host", without=NOT_OF_TARGETS)
    targetSite = Nested(SiteSerializer, source="target_site", without={"region"})
    targetRegion = Nested(RegionSerializer, source="target_region", without={"parentRegion"})
    targetHostId = Reference(source="target_host", queryset=Host.objects.all())
    targetSiteId = Reference(source="target_site", queryset=Site.objects.all())
    targetRegionId = Reference(source="target_region", queryset=Region.objects.all())

    class Meta(ResourceSerializer.Meta):
        pass

    def update(self, schedule, plain):
        return super().update(schedule, moved(plain, TARGETS))


def moved(plain: dict[str, Any], targets: tuple[str, ...]) -> dict[str, Any]:
    """The same changes; whoever names a new target means it instead of the one before."""
    named = any(plain.get(target) for target in targets)
    return {**dict.fromkeys(targets), **plain} if named else plain


class SingleScheduleSerializer(ScheduleSerializer):
    singleScheduleID = Same()
    endSeconds = Whole(source="end_seconds", required=False, min_value=1, max_value=LATEST)

    class Meta(ResourceSerializer.Meta):
        model = SingleSchedule
        writable = {"name", "scheduleStatus", "startSeconds"}
        needed = {"scheduleStatus"}


class RepeatedScheduleSerializer(ScheduleSerializer):
    repeatedScheduleID = Same()

    class Meta(ResourceSerializer.Meta):
        model = RepeatedSchedule
        writable = {
            "name", "scheduleStatus", "durationSeconds", "cronMinutes", "cronHours", "cronDayMonth", "cronMonth",
            "cronDayWeek",
        }  # fmt: skip
        needed = {"scheduleStatus"}


class PlaceAndTimeQuery(Query):
    hostId = Pattern(
        "^host-[0-9a-f]{8}$", required=False, help_text="Those for this host, its site, or a region that it lies in."
    )
    siteId = Pattern(
        "^site-[0-9a-f]{8}$", required=False, help_text="Those for this site or a region that it lies in."
    )
    regionId = Pattern(
        "^region-[0-9a-f]{8}$", required=False, help_text="Those for this region or one that it lies in."
    )
    unixEpoch = Pattern(
        "^[0-9]+$", required=False, max_length=10, help_text="Those that last at this second since 1970, UTC."
    )


class ScheduleQuery(PlaceAndTimeQuery, ListQuery):
    pass


class SchedulesQuery(PlaceAndTimeQuery, PageQuery):
    pass


def matching(model: type[SingleSchedule] | type[RepeatedSchedule], asked: dict[str, Any]) -> Q:
    """The condition of these query parameters. Raises InventoryError if they name more than one place."""
    places = {name: asked[f"{name}Id"] for name in ("host", "site", "region") if f"{name}Id" in asked}
    if len(places) > 1:
        raise errors.InventoryError(f"{' and '.join(f'{name}Id' for name in places)}: only one can be asked for")
    wanted = over(**places) if places else Q()
    if "unixEpoch" not in asked:
        return wanted
    at = int(asked["unixEpoch"])
    if model is SingleSchedule:
        return wanted & SingleSchedule.in_force(at)
    columns = "cron_minutes", "cron_hours", "cron_day_month", "cron_month", "cron_day_week", "duration_seconds"
    candidates = RepeatedSchedule.objects.filter(wanted).only(*columns)
    return Q(pk__in=[schedule.pk for schedule in candidates if schedule.lasts_at(at)])


class SingleScheduleViewSet(ResourceViewSet):
    """Single schedules: from one moment to another, or until they are deleted."""

    serializer_class = SingleScheduleSerializer
    collection, service, nouns = "singleSchedules", "ScheduleService", ("SingleSchedule", "SingleSchedules")
    examples = {
        "create": {
            "name": "new-disks", "scheduleStatus": "SCHEDULE_STATUS_MAINTENANCE", "startSeconds": 1893456000,
            "endSeconds": 1893459600, "targetHostId": "host-1a2b3c4d",
        },
        "partial_update": {"endSeconds": 1893463200},
    }  # fmt: skip
    queries = {"list": ScheduleQuery, "partial_update": PatchQuery}

    def narrowed(self, asked):
        return matching(SingleSchedule, asked)


class RepeatedScheduleViewSet(ResourceViewSet):
    """Repeated schedules: again and again, like cron, for a while each time. Times are UTC."""

    serializer_class = RepeatedScheduleSerializer
    collection, service, nouns = "repeatedSchedules", "ScheduleService", ("RepeatedSchedule", "RepeatedSchedules")
    examples = {
        "create": {
            "name": "nightly", "scheduleStatus": "SCHEDULE_STATUS_OS_UPDATE", "durationSeconds": 3600,
            "cronMinutes": "30", "cronHours": "2", "cronDayMonth": "*", "cronMonth": "*", "cronDayWeek": "1,2,3,4,5",
            "targetSiteId": "site-1a2b3c4d",
        },
        "partial_update": {"durationSeconds": 7200},
    }  # fmt: skip
    queries = {"list": ScheduleQuery, "partial_update": PatchQuery}

    def narrowed(self, asked):
        return matching(RepeatedSchedule, asked)


class SchedulesSerializer(serializers.Serializer):
    singleSchedules = SingleScheduleSerializer(many=True)
    repeatedSchedules = RepeatedScheduleSerializer(many=True)
    totalElements = serializers.IntegerField(help_text="Of both kinds, on all pages together.")
    hasNext = serializers.BooleanField(help_text="If more of either kind come after these.")

    class Meta:
        ref_name = "ListSchedulesResponse"


class ScheduleViewSet(GenericViewSet):
    """Schedules of both kinds. Each is paged by itself; to filter and order them, ask for one kind alone."""

    ending = ""
    service, nouns = "ScheduleService", ("Schedule", "Schedules")
    queries = {"list": SchedulesQuery}
    answers = {"list": SchedulesSerializer}

    def list(self, request, *args, **kwargs):
        asked = SchedulesQuery.read(request.query_params)
        offset, size = asked.get("offset", 0), asked.get("pageSize")
        answer: dict[str, Any] = {}
        total, has_next = 0, False
        for serializer, collection in (
            (SingleScheduleSerializer, "singleSchedules"),
            (RepeatedScheduleSerializer, "repeatedSchedules"),
        ):
            source = reader(serializer)
            rows = source.rows.filter(matching(serializer.Meta.model, asked)).order_by("resource_id")
            answer[collection] = source.page(rows[offset : offset + size if size else None])
            count = rows.count()
            total, has_next = total + count, has_next or offset + len(answer[collection]) < count
        return Response({**answer, "totalElements": total, "hasNext": has_next})

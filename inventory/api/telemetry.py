"""What machines measure and log."""

from django.db.models import Q
from rest_framework import exceptions

from inventory import errors
from inventory.api.base import (
    Choice,
    Nested,
    Pattern,
    Reference,
    ResourceSerializer,
    ResourceViewSet,
    Same,
    Texts,
    Whole,
    by_id,
)  # fmt: skip
from inventory.api.queries import ListQuery, PatchQuery, YesNo
from inventory.api.schedule import moved
from inventory.models import (
    Instance,
    Region,
    SeverityLevel,
    Site,
    TelemetryCollectorKind,
    TelemetryGroup,
    TelemetryProfile,
    TelemetryResourceKind,
)
from inventory.models.telemetry import SOURCE, TARGETS, over

METRICS, LOGS = TelemetryResourceKind.METRICS, TelemetryResourceKind.LOGS


class KindSerializer(ResourceSerializer):
    """Metrics and logs are resources of one kind to us, and of two to clients."""

    class Meta(ResourceSerializer.Meta):
        kind: TelemetryResourceKind

    def create(self, plain):
        return super().create({**plain, "kind": self.Meta.kind})


class OneKind(ResourceViewSet):
    """Shows those of the serializer's kind; the others aren't there."""

    serializer_class: type[KindSerializer]

    def get_queryset(self):
        return super().get_queryset().filter(kind=self.serializer_class.Meta.kind)

    def narrowed(self, asked):
        return Q(kind=self.serializer_class.Meta.kind)

    def retrieve(self, request, resource_id, *args, **kwargs):
        by_id(self.get_queryset(), resource_id)
        return super().retrieve(request, resource_id)


# Groups -----------------------------------------------------------------------------------------------------------


class GroupSerializer(KindSerializer):
    name = Pattern(r"^[a-zA-Z\-_0-9./: ]+$", min_length=1, max_length=50)
    collectorKind = Choice(source="collector_kind", choices=TelemetryCollectorKind.choices)
    groups = Texts(min_length=1, max_length=100, child=Pattern(rf"^{SOURCE}$", allow_blank=True, max_length=1000))

    class Meta(KindSerializer.Meta):
        model = TelemetryGroup
        hidden = {"kind"}


class MetricsGroupSerializer(GroupSerializer):
    telemetryMetricsGroupId = Same()

    class Meta(GroupSerializer.Meta):
        kind, ref_name = METRICS, "TelemetryMetricsGroupResource"


class LogsGroupSerializer(GroupSerializer):
    telemetryLogsGroupId = Same()

    class Meta(GroupSerializer.Meta):
        kind, ref_name = LOGS, "TelemetryLogsGroupResource"


class MetricsGroupViewSet(OneKind):
    """Telemetry groups of metrics: what is measured together. To change one, make another."""

    serializer_class = MetricsGroupSerializer
    collection, service = "telemetryMetricsGroups", "TelemetryMetricsGroupService"
    nouns = ("TelemetryMetricsGroup", "TelemetryMetricsGroups")
    examples = {"create": {
        "name": "Network Usage", "collectorKind": "TELEMETRY_COLLECTOR_KIND_HOST", "groups": ["net", "ethtool"],
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]


class LogsGroupViewSet(OneKind):
    """Telemetry groups of logs: what is collected together. To change one, make another."""

    serializer_class = LogsGroupSerializer
    collection, service = "telemetryLogsGroups", "TelemetryLogsGroupService"
    nouns = ("TelemetryLogsGroup", "TelemetryLogsGroups")
    examples = {"create": {
        "name": "System", "collectorKind": "TELEMETRY_COLLECTOR_KIND_HOST", "groups": ["syslog", "kernel"],
    }}  # fmt: skip
    http_method_names = ["get", "post", "delete", "head", "options"]


# Profiles ---------------------------------------------------------------------------------------------------------


class ProfileSerializer(KindSerializer):
    profileId = Same()
    targetInstance = Reference(source="instance", queryset=Instance.objects.all())
    targetSite = Reference(source="site", queryset=Site.objects.all())
    targetRegion = Reference(source="region", queryset=Region.objects.all())

    class Meta(KindSerializer.Meta):
        model = TelemetryProfile

    def validate(self, plain):
        if self.partial and not plain.keys() & {*TARGETS}:
            return plain
        if sum(1 for target in TARGETS if plain.get(target)) != 1:
            raise exceptions.ValidationError("exactly one of targetInstance, targetSite and targetRegion is needed")
        return plain

    def update(self, profile, plain):
        return super().update(profile, moved(plain, TARGETS))


class MetricsProfileSerializer(ProfileSerializer):
    metricsInterval = Whole(source="metrics_interval", min_value=1, help_text="Seconds between two measurements.")
    metricsGroupId = Reference(source="group", queryset=TelemetryGroup.objects.all(), required=True)
    metricsGroup = Nested(MetricsGroupSerializer, source="group")

    class Meta(ProfileSerializer.Meta):
        kind, hidden = METRICS, {"kind", "log_level", "metrics_interval"}
        ref_name = "TelemetryMetricsProfileResource"


class LogsProfileSerializer(ProfileSerializer):
    logLevel = Choice(source="log_level", choices=SeverityLevel.choices)
    logsGroupId = Reference(source="group", queryset=TelemetryGroup.objects.all(), required=True)
    logsGroup = Nested(LogsGroupSerializer, source="group")

    class Meta(ProfileSerializer.Meta):
        kind, hidden = LOGS, {"kind", "log_level", "metrics_interval"}
        ref_name = "TelemetryLogsProfileResource"


class ProfileQuery(ListQuery):
    instanceId = Pattern("^inst-[0-9a-f]{8}$", required=False, help_text="Those of this instance.")
    siteId = Pattern("^site-[0-9a-f]{8}$", required=False, help_text="Those of this site.")
    regionId = Pattern("^region-[0-9a-f]{8}$", required=False, help_text="Those of this region.")
    showInherited = YesNo(
        required=False, help_text="Also those of all that the one instance, site or region that is named lies in."
    )


class ProfileViewSet(OneKind):
    queries = {"list": ProfileQuery, "partial_update": PatchQuery}

    def narrowed(self, asked):
        places = {name: asked[f"{name}Id"] for name in TARGETS if f"{name}Id" in asked}
        if not asked.get("showInherited"):
            named = Q(*(Q(**{name: place}) for name, place in places.items()), _connector=Q.OR)
            return super().narrowed(asked) & named
        if len(places) != 1:
            raise errors.InventoryError("showInherited needs exactly one of instanceId, siteId and regionId")
        return super().narrowed(asked) & over(**places)


class MetricsProfileViewSet(ProfileViewSet):
    """Telemetry profiles of metrics: where a group is measured, and how often."""

    serializer_class = MetricsProfileSerializer
    collection, service = "telemetryMetricsProfiles", "TelemetryMetricsProfileService"
    nouns = ("TelemetryMetricsProfile", "TelemetryMetricsProfiles")
    examples = {
        "create": {
            "targetSite": "site-1a2b3c4d", "metricsGroupId": "telemetrygroup-5e6f7a8b", "metricsInterval": 300,
        },
        "partial_update": {"metricsInterval": 60},
    }  # fmt: skip


class LogsProfileViewSet(ProfileViewSet):
    """Telemetry profiles of logs: where a group is collected, and from which severity on."""

    serializer_class = LogsProfileSerializer
    collection, service = "telemetryLogsProfiles", "TelemetryLogsProfileService"
    nouns = ("TelemetryLogsProfile", "TelemetryLogsProfiles")
    examples = {
        "create": {
            "targetSite": "site-1a2b3c4d", "logsGroupId": "telemetrygroup-5e6f7a8b",
            "logLevel": "SEVERITY_LEVEL_WARN",
        },
        "partial_update": {"logLevel": "SEVERITY_LEVEL_DEBUG"},
    }  # fmt: skip

"""What machines measure and log: groups of sources, and profiles that say where, how often and how much."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from inventory.models.base import Resource, name_field
from inventory.models.columns import at_most_one, said, texts
from inventory.models.compute import Instance
from inventory.models.location import Region, Site, places

SOURCE = r'[a-zA-Z0-9\-_.:;=@?!#*()"\\ ]*'
TARGETS = ("instance", "site", "region")


def over(instance: str = "", site: str = "", region: str = "") -> models.Q:
    """The profiles of an instance, a site or a region, and those of all that it lies in.

    An instance's site is looked up unless it is named, too.
    """
    its_site = Instance.objects.filter(resource_id=instance).values_list("host__site_id", flat=True)
    around = places(*its_site if instance and not site else [site], region=region)
    targets = {"instance": [instance], **around}
    return models.Q(
        *(models.Q(**{f"{name}__in": [one for one in ids if one]}) for name, ids in targets.items()),
        _connector=models.Q.OR,
    )


class TelemetryResourceKind(models.TextChoices):
    UNSPECIFIED = "TELEMETRY_RESOURCE_KIND_UNSPECIFIED"
    METRICS = "TELEMETRY_RESOURCE_KIND_METRICS"
    LOGS = "TELEMETRY_RESOURCE_KIND_LOGS"


class TelemetryCollectorKind(models.TextChoices):
    UNSPECIFIED = "TELEMETRY_COLLECTOR_KIND_UNSPECIFIED"
    HOST = "TELEMETRY_COLLECTOR_KIND_HOST"
    CLUSTER = "TELEMETRY_COLLECTOR_KIND_CLUSTER"


class SeverityLevel(models.TextChoices):
    UNSPECIFIED = "SEVERITY_LEVEL_UNSPECIFIED"
    CRITICAL = "SEVERITY_LEVEL_CRITICAL"
    ERROR = "SEVERITY_LEVEL_ERROR"
    WARN = "SEVERITY_LEVEL_WARN"
    INFO = "SEVERITY_LEVEL_INFO"
    DEBUG = "SEVERITY_LEVEL_DEBUG"


class TelemetryGroup(Resource):
    """Sources that are collected together. To change one, make another."""

    prefix = "telemetrygroup"
    fixed = {"kind"}

    name = name_field(blank=False)
    kind = models.CharField(max_length=40, choices=TelemetryResourceKind)
    collector_kind = models.CharField(max_length=40, choices=TelemetryCollectorKind)
    groups = texts(SOURCE, 1000, blank=False)

    class Meta(Resource.Meta):
        verbose_name = "telemetry group"

    def clean(self):
        if self.kind == TelemetryResourceKind.UNSPECIFIED:
            raise ValidationError("kind is TELEMETRY_RESOURCE_KIND_METRICS or TELEMETRY_RESOURCE_KIND_LOGS")
        if self.collector_kind == TelemetryCollectorKind.UNSPECIFIED:
            raise ValidationError("collectorKind is TELEMETRY_COLLECTOR_KIND_HOST or TELEMETRY_COLLECTOR_KIND_CLUSTER")


class TelemetryProfile(Resource):
    """That a group is collected at an instance, or at all of a site or a region: metrics how often, logs how severe."""

    prefix = "telemetryprofile"
    fixed = {"kind"}

    resource_id = models.CharField(max_length=25, unique=True, editable=False)
    region = models.ForeignKey(
        Region, null=True, blank=True, on_delete=models.SET_NULL, related_name="telemetry_profiles",
        to_field="resource_id",
    )  # fmt: skip
    site = models.ForeignKey(
        Site, null=True, blank=True, on_delete=models.SET_NULL, related_name="telemetry_profiles",
        to_field="resource_id",
    )  # fmt: skip
    instance = models.ForeignKey(
        Instance, null=True, blank=True, on_delete=models.SET_NULL, related_name="telemetry_profiles",
        to_field="resource_id",
    )  # fmt: skip
    kind = models.CharField(max_length=40, choices=TelemetryResourceKind)
    metrics_interval = models.PositiveIntegerField(default=0, validators=[MinValueValidator(0)])  # seconds
    log_level = models.CharField(max_length=32, choices=SeverityLevel, default=SeverityLevel.UNSPECIFIED)
    group = models.ForeignKey(
        TelemetryGroup, on_delete=models.PROTECT, related_name="profiles", to_field="resource_id"
    )

    class Meta(Resource.Meta):
        constraints = [
            models.CheckConstraint(condition=at_most_one(*TARGETS), name="telemetryprofile_one_target"),
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(kind=TelemetryResourceKind.METRICS, metrics_interval__gt=0),
                    models.Q(kind=TelemetryResourceKind.LOGS) & ~models.Q(log_level=SeverityLevel.UNSPECIFIED),
                    _connector=models.Q.OR,
                ),
                name="telemetryprofile_interval_or_level",
            ),
        ]
        verbose_name = "telemetry profile"

    def clean(self):
        if len(targets := said(self, *TARGETS)) > 1:
            raise ValidationError(f"a telemetry profile has one target, not {' and '.join(targets)}")
        if self.kind == TelemetryResourceKind.METRICS and not self.metrics_interval:
            raise ValidationError("metricsInterval is needed: the seconds between two measurements")
        if self.kind == TelemetryResourceKind.LOGS and self.log_level in ("", SeverityLevel.UNSPECIFIED):
            raise ValidationError("logLevel is needed, SEVERITY_LEVEL_INFO for example")
        if self.group_id and self.group.kind != self.kind:
            raise ValidationError(f"{self.group_id} is of {self.group.kind}, not of {self.kind}")

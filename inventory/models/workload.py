"""What runs on several machines together, a cluster for example, and which instances are its members."""

from django.core.exceptions import ValidationError
from django.db import models

from inventory.models.base import Resource, name_field, status, wish
from inventory.models.columns import PLAIN, letters
from inventory.models.metadata import MetadataField


class WorkloadKind(models.TextChoices):
    UNSPECIFIED = "WORKLOAD_KIND_UNSPECIFIED"
    CLUSTER = "WORKLOAD_KIND_CLUSTER"
    DHCP = "WORKLOAD_KIND_DHCP"


class WorkloadState(models.TextChoices):
    UNSPECIFIED = "WORKLOAD_STATE_UNSPECIFIED"
    ERROR = "WORKLOAD_STATE_ERROR"
    DELETING = "WORKLOAD_STATE_DELETING"
    DELETED = "WORKLOAD_STATE_DELETED"
    PROVISIONED = "WORKLOAD_STATE_PROVISIONED"


class Workload(Resource):
    """Somebody else runs it, and tells here, in `status`, how it goes."""

    prefix = "workload"
    wishes = {"state": "state_status"}
    allowed = {"state": {
        current: {WorkloadState.DELETED}
        if current == WorkloadState.DELETED
        else {WorkloadState.PROVISIONED, WorkloadState.DELETED}
        for current in WorkloadState
    }}  # fmt: skip

    desired_state, current_state = wish(WorkloadState)
    state_status, state_status_indicator, state_status_timestamp = status()
    kind = models.CharField(max_length=32, choices=WorkloadKind)
    name = name_field()
    external_id = models.CharField(max_length=40, blank=True, validators=[letters(r"\-_./: ")])
    status = models.CharField(max_length=500, blank=True, validators=[letters(PLAIN)])
    metadata = MetadataField()
    class Meta(Resource.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["external_id"], condition=~models.Q(external_id=""), name="workload_external_id"
            )
        ]

    def clean(self):
        if self.kind == WorkloadKind.UNSPECIFIED:
            raise ValidationError("kind is WORKLOAD_KIND_CLUSTER or WORKLOAD_KIND_DHCP")

    def must_be_taken_down(self):
        """Nobody here has set up a cluster: who has takes it down."""
        return self.kind != WorkloadKind.CLUSTER and self.current_state != WorkloadState.UNSPECIFIED

    def duplicate_sentence(self):
        return f"There is a workload with externalId {self.external_id!r} already"


class WorkloadMemberKind(models.TextChoices):
    UNSPECIFIED = "WORKLOAD_MEMBER_KIND_UNSPECIFIED"
    CLUSTER_NODE = "WORKLOAD_MEMBER_KIND_CLUSTER_NODE"


class WorkloadMember(Resource):
    """An instance that is part of a workload; it is part of one only."""

    prefix = "workloadmember"
    fixed = {"kind", "workload", "instance"}

    kind = models.CharField(max_length=40, choices=WorkloadMemberKind)
    workload = models.ForeignKey(
        Workload, on_delete=models.PROTECT, related_name="members", to_field="resource_id"
    )
    instance = models.OneToOneField(
        "inventory.Instance", on_delete=models.PROTECT, related_name="workload_members", to_field="resource_id"
    )  # "members": filters have always called the one so

    class Meta(Resource.Meta):
        verbose_name = "workload member"

    def clean(self):
        if self.kind == WorkloadMemberKind.UNSPECIFIED:
            raise ValidationError("kind is WORKLOAD_MEMBER_KIND_CLUSTER_NODE")

    def duplicate_sentence(self):
        return f"{self.instance_id} is a member of a workload already"

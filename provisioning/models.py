"""Workflows, which install a machine action by action, and the artifacts that machines boot and install from."""

from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from inventory.models.base import Resource, status
from tenants.secrets import SealedField


class WorkflowState(models.TextChoices):
    """Where a run is. Each state on its way has a deadline (workflow.deadline), but QUEUED, which waits for others'."""

    QUEUED = "STATE_QUEUED"  # for a place among those that are installed at once
    PENDING = "STATE_PENDING"  # it has its place; the machine has not begun
    RUNNING = "STATE_RUNNING"
    PAUSED = "STATE_PAUSED"  # by an operator; an action that was begun goes on to its end
    SUCCESS = "STATE_SUCCESS"
    FAILED = "STATE_FAILED"
    TIMEOUT = "STATE_TIMEOUT"
    CANCELLED = "STATE_CANCELLED"


BUSY = [WorkflowState.PENDING, WorkflowState.RUNNING]  # they have a place
ACTIVE = [WorkflowState.QUEUED, *BUSY, WorkflowState.PAUSED]


class Workflow(models.Model):
    """One attempt to install one host: a run. Shared by all tenants, so that a poll is one indexed query.

    A report names its run, and each attempt is one of its own: the id is the epoch, by which a machine that comes back
    from the dead changes nothing of a newer attempt. actions: [{"name", "image", "timeout" in seconds, "volumes",
    "pid", "state", "message", "log": [{"at", "state", "message"}], "started" and "seconds" when known}]; times are
    seconds since 1970. What the actions get is sealed, and has markers where the machine's own secrets go.
    """

    schema = models.CharField(max_length=63)
    workflow_id = models.CharField(max_length=64, unique=True)  # on the wire
    instance_id = models.CharField(max_length=24)
    host_id = models.CharField(max_length=24)
    host_uuid = models.UUIDField()
    worker_id = models.CharField(max_length=17)  # the MAC address that the machine booted from, lower case
    attempt = models.PositiveIntegerField(default=1)
    template = models.CharField(max_length=63, blank=True, default="", db_default="")  # that the actions come from
    os_id = models.CharField(max_length=24, blank=True, default="", db_default="")
    who = models.CharField(max_length=255, blank=True, default="", db_default="")  # asked for this attempt
    state = models.CharField(max_length=24, choices=WorkflowState, default=WorkflowState.PENDING)
    actions = models.JSONField(default=list)
    inputs_sealed = SealedField(blank=True, default="", db_default="")  # JSON: the environment of each action, K -> V
    timeout = models.PositiveIntegerField(default=9800, db_default=9800)  # seconds, of the whole
    outside = models.BooleanField(default=False, db_default=False)  # the engine may have something of it elsewhere
    reason = models.TextField(blank=True)  # it failed, or waits
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(default=timezone.now, db_default=Now())
    placed_at = models.DateTimeField(null=True)  # it got its place
    heard_at = models.DateTimeField(null=True)  # the last time that the machine asked or reported
    started_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host_uuid"], condition=Q(state__in=ACTIVE), name="one_active_run_a_host"),
        ]
        indexes = [
            models.Index(fields=["state", "queued_at"], condition=Q(state__in=ACTIVE), name="runs_on_their_way"),
            models.Index(fields=["schema", "instance_id", "-id"], name="attempts_of_an_instance"),
            models.Index(fields=["schema", "-id"], name="runs_of_a_tenant"),
            models.Index(fields=["finished_at"], condition=~Q(state__in=ACTIVE), name="runs_that_ended"),
            models.Index(fields=["host_uuid", "-id"], condition=Q(state=WorkflowState.SUCCESS), name="installations"),
        ]

    def __str__(self):
        return f"{self.workflow_id} ({self.host_id}, attempt {self.attempt})"

    @property
    def current(self) -> int:
        """The index of the first action that isn't done; the number of actions if all are."""
        done = WorkflowState.SUCCESS
        return next((at for at, action in enumerate(self.actions) if action["state"] != done), len(self.actions))


class Artifact(Resource):
    """A step of what DKAM builds. The wish and the fact are digests of what goes in: other inputs are another wish.

    held: an operator went back to an earlier version, and it stays until they ask for a build.
    """

    prefix = "artifact"
    wishes = {"digest": "build_status"}

    name = models.CharField(max_length=63, unique=True)
    desired_digest = models.CharField(max_length=64, blank=True, editable=False)
    current_digest = models.CharField(max_length=64, blank=True, editable=False)
    held = models.BooleanField(default=False, db_default=False, editable=False)
    build_status, build_status_indicator, build_status_timestamp = status("Not Built")


class BootKey(models.Model):
    """A key of Secure Boot, of this installation and no tenant's. Two of a kind are in force while they overlap."""

    class Kind(models.TextChoices):
        PK = "PK", "Platform key"
        KEK = "KEK", "Key exchange key"
        DB = "db", "Signature database"

    kind = models.CharField(max_length=3, choices=Kind)
    certificate = models.TextField()  # PEM
    private_key_sealed = SealedField()  # PEM
    made_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)  # it signs nothing more, and no machine is told of it

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return f"{self.kind} {self.pk}"


class Mirrored(Resource):
    """A file of somebody else's that machines get from us: downloaded once, and served when its digest is right."""

    prefix = "mirrored"
    wishes = {"digest": "download_status"}
    observed = {"size_bytes"}
    fixed = {"url", "sha256"}

    url = models.CharField(max_length=2000, validators=[URLValidator(schemes=["http", "https"])])
    sha256 = models.CharField(max_length=64, unique=True, validators=[RegexValidator(r"^[a-f0-9]{64}\Z")])
    desired_digest = models.CharField(max_length=64, blank=True, editable=False)
    current_digest = models.CharField(max_length=64, blank=True, editable=False)
    size_bytes = models.BigIntegerField(default=0, editable=False)  # known as soon as the download begins
    download_status, download_status_indicator, download_status_timestamp = status("Not Downloaded")

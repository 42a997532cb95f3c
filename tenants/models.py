"""Organizations, projects (a project is a tenant: a UUID and a schema), who may do what in them, and the shared tables.

The shared tables (Claim, Ring, Event and, upstairs, Work and Workflow) hold rows of all tenants. Row-level security
(see migrations/0002) lets a connection see only the rows of the schema that its search_path begins with, and all of
them from public; a fresh connection, whose search_path is neither, sees none.
"""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django_tenants.models import TenantMixin


class User(AbstractUser):
    """A person. What they may do in a project is their memberships; is_superuser may do everything everywhere."""


class Organization(models.Model):
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=63, unique=True)
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.name


class Project(TenantMixin):
    """A tenant. Its schema is made by replaying the template (tenants/schema.py), never by saving the row."""

    class State(models.TextChoices):
        CREATING = "CREATING"
        READY = "READY"
        DELETING = "DELETING"

    auto_create_schema = False
    auto_drop_schema = False

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="projects")
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=63, unique=True)
    description = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.CREATING, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.name

    def save(self, *args, **kwargs):
        self.schema_name = self.schema_name or f"t_{self.uuid.hex}"
        super().save(*args, **kwargs)


class Role(models.TextChoices):
    READ = "im-r", "Read the inventory"
    WRITE = "im-rw", "Read and write the inventory"
    ONBOARD = "en-ob", "Onboard machines interactively"


class Membership(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "project", "role"], name="one_membership_a_role")]

    def __str__(self):
        return f"{self.user} {self.role} in {self.project}"


class SigningKey(models.Model):
    """What the embedded token service signs with. The newest one signs; older ones verify until they are deleted."""

    kid = models.CharField(max_length=32, unique=True)
    private_pem_sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.kid


class EdgeCredential(models.Model):
    """The client id and secret of one edge node, valid until it is revoked. The secret is sealed, not hashed,

    because it is written into the installed system a while after it was handed out for the first time.
    """

    schema = models.CharField(max_length=63)
    host_uuid = models.UUIDField()
    client_id = models.CharField(max_length=64, unique=True)
    secret_sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.client_id


class Claim(models.Model):
    """Which tenant's host owns this UUID or serial number: a machine belongs to one tenant, whoever asks."""

    schema = models.CharField(max_length=63)
    resource_id = models.CharField(max_length=24)
    uuid = models.UUIDField(null=True, unique=True)
    serial = models.CharField(max_length=128, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["schema", "resource_id"], name="one_claim_a_host"),
            models.UniqueConstraint(
                fields=["serial"], condition=models.Q(uuid=None), name="serial_unique_among_hosts_without_uuid"
            ),
        ]
        indexes = [models.Index(fields=["serial"], name="claim_by_serial")]

    def __str__(self):
        return f"{self.uuid or self.serial} is {self.resource_id} of {self.schema}"


class Event(models.Model):
    """The journal: what changed, appended in the transaction of the change itself.

    Ids are handed out before the commit, so a reader that resumes by id serves only rows whose `xid` lies below
    pg_snapshot_xmin(pg_current_snapshot()); a line committed late is skipped for ever otherwise.
    """

    schema = models.CharField(max_length=63)
    kind = models.CharField(max_length=32)
    resource_id = models.CharField(max_length=25)
    verb = models.CharField(max_length=16)
    who = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    xid = models.BigIntegerField(
        db_default=models.Func(
            function="pg_current_xact_id",
            output_field=models.BigIntegerField(),
            template="(%(function)s()::text::bigint)",
        )
    )

    class Meta:
        indexes = [models.Index(fields=["schema", "resource_id", "id"], name="event_by_resource")]

    def __str__(self):
        return f"{self.at:%F %T} {self.verb} {self.resource_id}"


class Ring(models.Model):
    """Somebody rang for this row; deleted when heard. Written with the change, so no lost message loses a wish."""

    schema = models.CharField(max_length=63)
    label = models.CharField(max_length=64)  # "inventory.Host"
    pk_rung = models.BigIntegerField()
    asked = models.BooleanField(default=False)  # a wish was made, if only once more; lifts a refusal

    def __str__(self):
        return f"{self.schema} {self.label} {self.pk_rung}"


class SchemaTemplate(models.Model):
    """The SQL that makes a tenant's schema, for each state of the migrations; whoever replays it needs no pg_dump."""

    head = models.CharField(max_length=64, unique=True)
    sql = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.head

"""Organizations and projects. A project is a tenant, a UUID and a schema, and is wished for like any resource."""

import uuid
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from tenants import errors
from tenants.resource import EpochField, Indicator, Resource, Resources, Status, status, wish

_name = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?\Z",
    "A name has lower-case letters, digits and hyphens, no hyphen first or last, and at most 62 of them",
)


class TenantState(models.TextChoices):
    UNSPECIFIED = "TENANT_STATE_UNSPECIFIED"
    CREATED = "TENANT_STATE_CREATED"
    DELETED = "TENANT_STATE_DELETED"


ALLOWED = {
    TenantState.UNSPECIFIED: {TenantState.CREATED, TenantState.DELETED},
    TenantState.CREATED: {TenantState.CREATED, TenantState.DELETED},
    TenantState.DELETED: {TenantState.DELETED},
}


class Named(Resource):
    """What an organization and a project have in common: a name for people, a UUID for machines."""

    called: ClassVar[str]  # in sentences
    wishes = {"state": "status"}
    allowed = {"state": ALLOWED}

    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[_name])
    description = models.CharField(max_length=200, blank=True)

    desired_state, current_state = wish(TenantState)
    status, status_indicator, status_timestamp = status()

    class Meta(Resource.Meta):
        abstract = True

    def __str__(self):
        return self.name

    def _allow(self, pair, value):
        """What is on its way out doesn't come back: its schema may be half gone."""
        super()._allow(pair, value)
        if self.desired_state == TenantState.DELETED != value:
            raise errors.TransitionNotAllowed(f"{self} is being deleted; make it anew when it is gone")

    def duplicate_sentence(self):
        return f"There is a {self.called.lower()} {self.name!r} already"

    @property
    def is_so(self) -> bool:
        return self.desired_state == self.current_state

    @property
    def is_going(self) -> bool:
        return self.desired_state == TenantState.DELETED

    def says(self, what: str) -> str:
        """A status about the wish that stands, as clients know it: "Project acme CREATE is complete"."""
        return f"{self.called} {self.name} {'DELETE' if self.is_going else 'CREATE'}{what}"

    @property
    def shown(self) -> tuple[Status, int]:
        """How the wish goes, and since when (seconds since 1970).

        Of a wish that nobody has looked at yet, the status still tells how the one before it went.
        """
        if self.status.startswith(self.says("")):
            return Status(self.status, self.status_indicator), self.status_timestamp
        asked_at = int(self.updated_at.timestamp())
        if self.is_so:
            return Status(self.says(" is complete"), Indicator.IDLE), asked_at
        return Status(self.says(" initiated"), Indicator.IN_PROGRESS), asked_at


class Organization(Named):
    prefix, called = "org", "Organization"

    def _allow(self, pair, value):
        """Its projects aren't taken along: each of them is a decision of its own."""
        super()._allow(pair, value)
        if value == TenantState.DELETED and self.pk:
            names = [*self.projects.order_by("name").values_list("name", flat=True)[:6]]
            if names:
                shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
                raise errors.InUse(f"Organization {self} has projects ({shown}): delete them first")


class Projects(Resources):
    def ready(self):
        """Those that are served: whole, and not on their way out."""
        return self.filter(desired_state=TenantState.CREATED, current_state=TenantState.CREATED)


class Project(Named):
    """A tenant. Its schema is made by replaying the template (tenants/schema.py), never by saving the row."""

    prefix, called = "project", "Project"
    observed = {"teardown_step", "teardown_since"}
    auto_drop_schema = False  # django-tenants asks; the tenant controller drops it, in batches

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="projects")
    schema_name = models.CharField(max_length=63, unique=True, editable=False)  # what django-tenants enters
    # Of one that is deleted: whether an administrator wants nobody to be waited for, and who is waited for since when
    # (workers/teardown.py).
    forced = models.BooleanField(default=False, db_default=False, editable=False)
    teardown_step = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    teardown_since = EpochField(default=0, db_default=0, editable=False)

    # Whether the exporter tells series of each single host: some thirty a host.
    host_metrics = models.BooleanField(default=False, db_default=False)

    objects = Projects.as_manager()

    def _insert(self):
        """Holds the organization's row, so that it isn't asked to go at the same moment."""
        organization = Organization.objects.select_for_update().get(pk=self.organization_id)
        if organization.is_going:
            raise errors.TransitionNotAllowed(f"Organization {organization} is being deleted")
        self.schema_name = f"t_{self.uuid.hex}"  # never made of what somebody typed
        super()._insert()

    @property
    def is_ready(self) -> bool:
        return self.is_so and not self.is_going

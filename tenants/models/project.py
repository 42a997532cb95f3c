"""Organizations and projects. A project is a tenant, a UUID and a schema, and is wished for like any resource."""

import uuid

from django.core.validators import RegexValidator
from django.db import models

from tenants import errors
from tenants.resource import Resource, Resources, status, wish

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
        return f"There is a {self.prefix} {self.name!r} already"


class Organization(Named):
    prefix = "org"


class Projects(Resources):
    def ready(self):
        """Those that are served: whole, and not on their way out."""
        return self.filter(desired_state=TenantState.CREATED, current_state=TenantState.CREATED)


class Project(Named):
    """A tenant. Its schema is made by replaying the template (tenants/schema.py), never by saving the row."""

    prefix = "project"
    auto_drop_schema = False  # django-tenants asks; the tenant controller drops it, in batches

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="projects")
    schema_name = models.CharField(max_length=63, unique=True, editable=False)  # what django-tenants enters

    objects = Projects.as_manager()

    def _insert(self):
        self.schema_name = f"t_{self.uuid.hex}"  # never made of what somebody typed
        super()._insert()

    @property
    def is_ready(self) -> bool:
        return self.desired_state == self.current_state == TenantState.CREATED

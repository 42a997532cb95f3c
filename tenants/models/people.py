"""People, and the roles that they and their groups have."""

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.db.models import Q

from tenants.models.project import Organization, Project


class User(AbstractUser):
    """A person. What they may do are their own grants and those of their groups; is_superuser may do everything."""


class Role(models.TextChoices):
    """Named as tokens name them, with the UUID of what they are about before them (tenants/roles.py)."""

    READ = "im-r", "Read the inventory"
    WRITE = "im-rw", "Read and write the inventory"
    ONBOARD = "en-ob", "Onboard machines interactively"
    AGENT = "en-agent-rw", "Report as a machine's agent"
    READ_PROJECTS = "project-read-role", "See the organization's projects"
    WRITE_PROJECTS = "project-write-role", "Make the organization's projects"
    DELETE_PROJECTS = "project-delete-role", "Delete the organization's projects"
    READ_ORGANIZATIONS = "org-read-role", "See all organizations"
    WRITE_ORGANIZATIONS = "org-write-role", "Make organizations"
    DELETE_ORGANIZATIONS = "org-delete-role", "Delete organizations"


IN_PROJECT = [Role.READ, Role.WRITE, Role.ONBOARD, Role.AGENT]
IN_ORGANIZATION = [Role.READ_PROJECTS, Role.WRITE_PROJECTS, Role.DELETE_PROJECTS]
EVERYWHERE = [Role.READ_ORGANIZATIONS, Role.WRITE_ORGANIZATIONS, Role.DELETE_ORGANIZATIONS]


class Grant(models.Model):
    """A role of a person or of a group: in one project, or for an organization.

    A project's role may be granted for the organization: then it is one in all its projects, later ones included.
    """

    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=32, choices=Role)
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    organization = models.ForeignKey(
        Organization, null=True, blank=True, on_delete=models.CASCADE, related_name="grants"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="granted_to_a_person_or_a_group", condition=Q(user=None) ^ Q(group=None),
                violation_error_message="A role is granted either to a person or to a group",
            ),
            models.CheckConstraint(
                name="granted_where_the_role_belongs",
                condition=Q(role__in=IN_PROJECT) & (Q(project=None) ^ Q(organization=None))
                | Q(role__in=IN_ORGANIZATION, project=None, organization__isnull=False)
                | Q(role__in=EVERYWHERE, project=None, organization=None),
                violation_error_message="im-* and en-* are granted in a project or for an organization, project-* for "
                "an organization, org-* for neither",
            ),
            models.UniqueConstraint(
                name="granted_once", fields=["user", "group", "role", "project", "organization"],
                nulls_distinct=False, violation_error_message="That role is granted already",
            ),
        ]  # fmt: skip

    def __str__(self):
        where = self.project or self.organization
        return f"{self.user or self.group}: {self.role}" + (f" in {where}" if where else "")

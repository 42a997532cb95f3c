"""People, and the roles that they and their groups have."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser, Group
from django.contrib.auth.password_validation import validate_password
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tenants.errors import LastAdministrator, NotFound
from tenants.models.project import Organization, Project


class User(AbstractUser):
    """A person. What they may do are their own grants and those of their groups; is_superuser may do everything.

    save() and delete() are the one place that takes access away: API, admin, commands and Django's own
    `changepassword` all pass through them.
    """

    ends_sessions: ClassVar[set[str]] = {"password", "is_active", "is_superuser"}

    # Sessions and tokens that began before this moment are no good. None: all are.
    sessions_valid_from = models.DateTimeField(null=True, editable=False)

    @transaction.atomic
    def save(self, *args, update_fields=None, **kwargs):
        """Ends the person's sessions and tokens when the password changes, or they are deactivated or demoted.

        Raises LastAdministrator rather than leave nobody who may do everything, NotFound if the person is gone.
        """
        if not self._state.adding and (update_fields is None or self.ends_sessions & {*update_fields}):
            before = self._before(losing=not (self.is_active and self.is_superuser))
            lost = any(getattr(before, right) > getattr(self, right) for right in ("is_active", "is_superuser"))
            ends = lost or before.password != self.password
            self.sessions_valid_from = timezone.now() if ends else before.sessions_valid_from
            update_fields = update_fields and {*update_fields, "sessions_valid_from"}
        super().save(*args, update_fields=update_fields, **kwargs)

    @transaction.atomic
    def delete(self, *args, **kwargs):
        """Raises LastAdministrator. The person's sessions, tokens, grants and memberships go with them."""
        self._before(losing=True)
        return super().delete(*args, **kwargs)

    def _before(self, losing: bool) -> "User":
        """The row as it is, locked with those of all administrators, or two of them could remove each other."""
        concerned = User.objects.filter(Q(pk=self.pk) | Q(is_active=True, is_superuser=True))
        rows = {row.pk: row for row in concerned.order_by("pk").select_for_update()}
        if self.pk not in rows:
            raise NotFound(f"There is no user {self} any more")
        before = rows.pop(self.pk)
        if losing and before.is_active and before.is_superuser and not rows:
            raise LastAdministrator(
                f"{self} is the only active administrator; make another one first (manage.py create_user --superuser)"
            )
        return before

    def change_password(self, password: str) -> None:
        """Raises ValidationError if it is too weak. Signs the person out everywhere."""
        validate_password(password, self)
        self.set_password(password)
        self.save(update_fields=["password"])

    def _get_session_auth_hash(self, secret=None):
        """What sessions keep, and tokens a stamp of; when it changes they end. Django's is of the password alone."""
        what = f"{self.password} {self.sessions_valid_from}"
        return salted_hmac("tenants.User", what, secret=secret, algorithm="sha256").hexdigest()


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
        return f"{self.user or self.group}: {self.what}"

    @property
    def what(self) -> str:
        where = self.project or self.organization
        return f"{self.role} in {where}" if where else self.role

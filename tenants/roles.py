"""What somebody may do, as tokens name it: "<project's uuid>_im-rw", "<organization's uuid>_project-read-role",

"org-read-role", and "<organization's uuid>_<project's uuid>_m" for whoever has any role in a project.

Nothing here is cached: whoever loses a role has lost it for the next question.
"""

from collections import defaultdict
from collections.abc import Collection

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from tenants.errors import NotFound
from tenants.models import Grant, Organization, Project, Role, User
from tenants.models.people import EVERYWHERE, IN_ORGANIZATION, IN_PROJECT

_Membership = User.groups.through


# What somebody has -----------------------------------------------------------------------------------------------


def grants_of(user: User) -> QuerySet[Grant]:
    """The person's own and their groups'."""
    return Grant.objects.filter(Q(user=user) | Q(group__in=_groups_of(user)))


def _groups_of(user: User) -> QuerySet:
    return _Membership.objects.filter(user=user).values("group")


def roles_of(user: User) -> set[str]:
    """All that this person may do, their groups' roles included. A superuser may do all but pose as a machine.

    Two queries and as many strings as there are roles: to ask about one project, ask roles_in_project().
    """
    if not user.is_active:
        return set()
    if user.is_superuser:
        return _roles_of_superusers()
    held, everywhere_in = set(), defaultdict(set)
    granted = grants_of(user).values_list(
        "role", "project__uuid", "project__organization__uuid", "organization__uuid", "organization"
    )
    for role, project, owner, organization, organization_pk in granted:
        if project:
            held |= {f"{project}_{role}", f"{owner}_{project}_m"}
        elif role in IN_PROJECT:
            everywhere_in[organization_pk].add(role)
        else:
            held.add(f"{organization}_{role}" if organization else role)
    if everywhere_in:
        theirs = Project.objects.filter(organization__in=everywhere_in).order_by()
        for project, owner, owner_pk in theirs.values_list("uuid", "organization__uuid", "organization"):
            held |= {f"{project}_{role}" for role in everywhere_in[owner_pk]} | {f"{owner}_{project}_m"}
    return held


def _roles_of_superusers() -> set[str]:
    held = {str(role) for role in EVERYWHERE}
    for organization in Organization.objects.order_by().values_list("uuid", flat=True):
        held |= {f"{organization}_{role}" for role in IN_ORGANIZATION}
    for project, owner in Project.objects.order_by().values_list("uuid", "organization__uuid"):
        held |= {f"{project}_{Role.WRITE}", f"{owner}_{project}_m"}
    return held


def roles_in_project(user: User, project: Project) -> set[str]:
    """The roles that this person has in this project, "im-r" and such. At most one query, by index."""
    return roles_by_project(user, [project])[project.pk]


def roles_by_project(user: User, projects: Collection[Project]) -> dict[int, set[str]]:
    """The same for each of some projects, by its pk. At most one query."""
    if not user.is_active:
        return {project.pk: set() for project in projects}
    if user.is_superuser:
        return {project.pk: {str(Role.WRITE)} for project in projects}
    here = Q(project__in=[project.pk for project in projects])
    around = Q(role__in=IN_PROJECT, organization__in={project.organization_id for project in projects})
    granted = [*grants_of(user).filter(here | around).values_list("role", "project", "organization")]
    return {
        project.pk: {
            role for role, pk, organization in granted if project.pk == pk or project.organization_id == organization
        }
        for project in projects
    }


def roles_in_organization(user: User, organization: Organization) -> set[str]:
    """The roles about its projects as such, "project-write-role" and such. At most one query, by index."""
    if not user.is_active:
        return set()
    if user.is_superuser:
        return {str(role) for role in IN_ORGANIZATION}
    granted = grants_of(user).filter(organization=organization, role__in=IN_ORGANIZATION)
    return {*granted.values_list("role", flat=True)}


def projects_of(user: User) -> QuerySet[Project]:
    """The projects that this person knows of: by a role in them, or one in their organization."""
    if not user.is_active:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    theirs = grants_of(user)
    return Project.objects.filter(
        Q(pk__in=theirs.filter(project__isnull=False).values("project"))
        | Q(organization__in=theirs.filter(organization__isnull=False).values("organization"))
    )


def managed_by(user: User) -> QuerySet[Organization]:
    """The organizations whose projects this person gives others roles in."""
    if not user.is_active:
        return Organization.objects.none()
    if user.is_superuser:
        return Organization.objects.all()
    return Organization.objects.filter(pk__in=grants_of(user).filter(role=Role.WRITE_PROJECTS).values("organization"))


# Giving and taking -------------------------------------------------------------------------------------------------


def grant(
    role: str, who: User | Group, project: Project | None = None, organization: Organization | None = None
) -> Grant:
    """Give a role; harmless if it is given already. Raises ValidationError if it doesn't belong there."""
    wanted = _grant(role, who, project, organization)
    wanted.clean_fields()
    _check_where_it_belongs(wanted)
    try:
        with transaction.atomic():
            found, _ = Grant.objects.get_or_create(
                user=wanted.user, group=wanted.group, role=role, project=project, organization=organization
            )
    except IntegrityError as gone:
        raise NotFound(f"{who}, or what the role is about, was deleted meanwhile") from gone
    return found


def revoke(
    role: str, who: User | Group, project: Project | None = None, organization: Organization | None = None
) -> bool:
    """Take a role; False if it wasn't given there."""
    taken = _grant(role, who, project, organization)
    gone, _ = Grant.objects.filter(
        user=taken.user, group=taken.group, role=role, project=project, organization=organization
    ).delete()
    return bool(gone)


def _grant(role: str, who: User | Group, project: Project | None, organization: Organization | None) -> Grant:
    user, group = (None, who) if isinstance(who, Group) else (who, None)
    return Grant(user=user, group=group, role=role, project=project, organization=organization)


def _check_where_it_belongs(wanted: Grant) -> None:
    belongs = next(c for c in Grant._meta.constraints if c.name == "granted_where_the_role_belongs")
    belongs.validate(Grant, wanted)

"""The groups that an organization and a project begin with, named and filled as the archived system's were:

"<organization's uuid>_Project-Manager-Group", "<project's uuid>_Host-Manager-Group" and so on.
"""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group
from django.db import transaction

from tenants.models import Grant, Organization, Project, Role
from tenants.models.people import IN_ORGANIZATION

OF_AN_ORGANIZATION: Mapping[str, Sequence[Role]] = {"Project-Manager-Group": IN_ORGANIZATION}
OF_A_PROJECT: Mapping[str, Sequence[Role]] = {
    "Edge-Manager-Group": [Role.READ],  # its other roles were about applications and clusters
    "Edge-Operator-Group": [Role.READ],
    "Edge-Onboarding-Group": [Role.ONBOARD],
    "Host-Manager-Group": [Role.WRITE],
    "Edge-Node-M2M-Service-Account": [Role.AGENT],
}


@transaction.atomic
def default_groups(of: Project | Organization) -> None:
    """Make those that aren't there, with their roles. Safe to repeat; what people have changed in them stays.

    Five statements at most, however many groups.
    """
    roles_by_name = _names(of)
    there = {*Group.objects.filter(name__in=roles_by_name).values_list("name", flat=True)}
    missing = roles_by_name.keys() - there
    if not missing:
        return
    Group.objects.bulk_create((Group(name=name) for name in sorted(missing)), ignore_conflicts=True)
    where = {"project": of} if isinstance(of, Project) else {"organization": of}
    Grant.objects.bulk_create(
        (
            Grant(group=group, role=role, **where)
            for group in Group.objects.filter(name__in=missing)
            for role in roles_by_name[group.name]
        ),
        ignore_conflicts=True,
    )


def remove_groups(of: Project | Organization) -> None:
    """Their memberships and grants go with them. Removing twice is harmless."""
    Group.objects.filter(name__in=_names(of)).delete()


def _names(of: Project | Organization) -> dict[str, Sequence[Role]]:
    kinds = OF_A_PROJECT if isinstance(of, Project) else OF_AN_ORGANIZATION
    return {f"{of.uuid}_{kind}": granted for kind, granted in kinds.items()}

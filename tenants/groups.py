"""The groups that an organization and a project begin with, named and filled as the archived system's were:

"<organization's uuid>_Project-Manager-Group", "<project's uuid>_Host-Manager-Group" and so on.
"""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import Group
from django.db import transaction

from tenants import roles
from tenants.models import Organization, Project, Role
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
def default_groups(of: Project | Organization) -> list[Group]:
    """Make those that aren't there, and give them their roles. Safe to repeat; what people added to them stays."""
    found = {group.name: group for group in Group.objects.filter(name__in=_names(of))}
    groups = []
    for name, granted in _names(of).items():
        group = found.get(name) or Group.objects.get_or_create(name=name)[0]
        for role in granted if name not in found else []:
            if isinstance(of, Project):
                roles.grant(role, group, project=of)
            else:
                roles.grant(role, group, organization=of)
        groups.append(group)
    return groups


def remove_groups(of: Project | Organization) -> None:
    """Their memberships and grants go with them. Removing twice is harmless."""
    Group.objects.filter(name__in=_names(of)).delete()


def _names(of: Project | Organization) -> dict[str, Sequence[Role]]:
    kinds = OF_A_PROJECT if isinstance(of, Project) else OF_AN_ORGANIZATION
    return {f"{of.uuid}_{kind}": granted for kind, granted in kinds.items()}

"""What somebody may do, as tokens name it: "<project's uuid>_im-rw", "<organization's uuid>_project-read-role",

"org-read-role", and "<organization's uuid>_<project's uuid>_m" for whoever has any role in a project.
"""

from django.db.models import Q

from tenants.models import Grant, Organization, Project, Role, User
from tenants.models.people import EVERYWHERE, IN_ORGANIZATION, IN_PROJECT


def roles_of(user: User) -> set[str]:
    """All that this person may do, their groups' roles included. A superuser may do all but pose as a machine."""
    if not user.is_active:
        return set()
    projects = dict(Project.objects.values_list("uuid", "organization__uuid"))
    if user.is_superuser:
        organizations = Organization.objects.values_list("uuid", flat=True)
        held = {str(role) for role in EVERYWHERE} | {f"{o}_{role}" for o in organizations for role in IN_ORGANIZATION}
        return held | {f"{uuid}_{Role.WRITE}" for uuid in projects} | {f"{o}_{p}_m" for p, o in projects.items()}
    held = set()
    theirs = Grant.objects.filter(Q(user=user) | Q(group__user=user))
    for role, project, organization in theirs.values_list("role", "project__uuid", "organization__uuid"):
        if role in IN_PROJECT:
            where = [project] if project else [uuid for uuid, owner in projects.items() if owner == organization]
            held |= {f"{uuid}_{role}" for uuid in where} | {f"{projects[uuid]}_{uuid}_m" for uuid in where}
        else:
            held.add(f"{organization}_{role}" if organization else role)
    return held

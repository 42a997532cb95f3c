"""What the commands about people share: whom and what a name means, and refusals as lines of text."""

import os
import secrets

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants.errors import ResourceError
from tenants.models import Organization, Project, Role, User


class PeopleCommand(BaseCommand):
    def execute(self, *args, **options):
        try:
            return super().execute(*args, **options)
        except ValidationError as wrong:
            raise CommandError(" ".join(wrong.messages)) from wrong
        except ResourceError as refused:
            raise CommandError(str(refused)) from refused


def find_user(name: str) -> User:
    return _find(User, "username", name, "`manage.py list_users` lists them, `manage.py create_user` makes one")


def find_group(name: str) -> Group:
    return _find(Group, "name", name, "/v1/groups and the admin list them")


def find_project(name: str) -> Project:
    return _find(Project, "name", name, "`manage.py create_project` makes one")


def find_ready_project(name: str) -> Project:
    """Whose schema can be entered: it is whole, and not on its way out."""
    project = find_project(name)
    if not project.is_ready:
        raise CommandError(f"Project {name} isn't served now: {project.shown[0].text}")
    return project


def find_organization(name: str) -> Organization:
    return _find(Organization, "name", name, "`manage.py create_project` makes one with its first project")


def _find(model, column: str, name: str, way_out: str):
    found = model.objects.filter(**{column: name}).first()
    if found is None:
        raise CommandError(f"There is no {model._meta.verbose_name} {name!r}: {way_out}")
    return found


def new_password(variable: str) -> tuple[str, bool]:
    """(a password, whether it was drawn here). From the environment, because others can read a command line."""
    given = os.environ.get(variable)
    return (given, False) if given else (secrets.token_urlsafe(12), True)


def add_grant_arguments(parser) -> None:
    parser.add_argument("role", choices=Role.values, metavar="ROLE", help=", ".join(Role.values))
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--user", metavar="NAME")
    to.add_argument("--group", metavar="NAME")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--project", metavar="NAME")
    where.add_argument("--org", metavar="NAME", help="a project's role: in all its projects, later ones too")


def what_is_meant(*, role: str, user: str, group: str, project: str, org: str, **_) -> dict:
    """The arguments of roles.grant() and roles.revoke()."""
    return {
        "role": role,
        "who": find_user(user) if user else find_group(group),
        "project": find_project(project) if project else None,
        "organization": find_organization(org) if org else None,
    }

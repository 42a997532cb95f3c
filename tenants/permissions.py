"""Who may: a bearer token's roles, or the grants of somebody who is logged in."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission

from tenants import tokens
from tenants.errors import BadToken
from tenants.models import Project, Role, User
from tenants.roles import roles_in_project, roles_of

READERS = {Role.READ.value, Role.WRITE.value}
WRITERS = {Role.WRITE.value}


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request):
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return tokens.verify(token.strip()), token
        except BadToken as wrong:
            raise AuthenticationFailed(str(wrong)) from wrong

    def authenticate_header(self, request):
        return 'Bearer realm="eim"'


def held(user: "tokens.Caller | User") -> set[str]:
    """All roles of whoever asks, as tokens name them (tenants/roles.py)."""
    if isinstance(user, tokens.Caller):
        return {f"{uuid}_{role}" for uuid, role in user.roles}
    return roles_of(user) if user.is_authenticated else set()


def roles_in(user: "tokens.Caller | User", project: Project) -> set[str]:
    """The roles that a token or a logged-in person has in this project."""
    if isinstance(user, tokens.Caller):
        return user.roles_in(project)
    return roles_in_project(user, project) if user.is_authenticated else set()


def roles_here(request) -> set[str]:
    """Those of whoever asks, in the project that the URL names: looked up once a request."""
    if not hasattr(request, "_roles_here"):
        request._roles_here = roles_in(request.user, request.project) if request.project else set()
    return request._roles_here


def person_of(user: "tokens.Caller | User") -> User | None:
    """The person behind a session or a token; None for machines, and for people who are gone or deactivated."""
    if not isinstance(user, tokens.Caller):
        return user if user.is_authenticated and user.is_active else None
    if user.name == user.client_id:  # a client of its own, as each edge node is
        return None
    return User.objects.filter(username=user.name, is_active=True).first()


def name_of(user: "tokens.Caller | User") -> str:
    """Who the journal says it was."""
    return user.name if isinstance(user, tokens.Caller) else user.get_username()


class HasProjectRole(BasePermission):
    """im-r reads, im-rw reads and writes, in the project that the URL names."""

    message = "You have no access to this project, or it doesn't exist."

    def has_permission(self, request, view):
        if not request.user or not request.user.is_authenticated or request.project is None:
            return False
        needed = READERS if request.method in SAFE_METHODS else WRITERS
        return bool(roles_in(request.user, request.project) & needed)

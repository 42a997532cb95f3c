"""Who may: a bearer token's roles, or the memberships of somebody who is logged in."""

import re
from collections.abc import Set

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission

from tenants import tokens
from tenants.errors import BadToken
from tenants.models import Project, Role, User
from tenants.roles import roles_of

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
            request.bad_token = str(wrong)
            raise AuthenticationFailed(request.bad_token) from wrong

    def authenticate_header(self, request):
        """What is wrong with the token, if there was one (RFC 6750, 3)."""
        why = getattr(request, "bad_token", None)
        return challenge(why)


def challenge(why: str | None = None) -> str:
    """The WWW-Authenticate of a 401. A description has printable ASCII without quotes and backslashes."""
    if why is None:
        return 'Bearer realm="eim"'
    description = re.sub(r"[^\x20\x21\x23-\x5b\x5d-\x7e]", "?", why)
    return f'Bearer realm="eim", error="invalid_token", error_description="{description}"'


def held(user: "tokens.Caller | User") -> Set[str]:
    """All roles of whoever asks, as tokens name them (tenants/roles.py)."""
    if isinstance(user, tokens.Caller):
        return user.roles
    return roles_of(user) if user.is_authenticated else set()


def roles_in(user: "tokens.Caller | User", project: Project) -> Set[str]:
    """The roles that a token or a logged-in person has in this project."""
    if isinstance(user, tokens.Caller):
        return user.roles_in(project)
    here = f"{project.uuid}_"
    return {role.removeprefix(here) for role in held(user) if role.startswith(here)}


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

"""Who may: a bearer token's roles, or the grants of somebody who is logged in."""

import ipaddress
from collections.abc import Set

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission

from tenants import tokens
from tenants.errors import BadToken, NoAccess, ResourceError, Unserved, challenge
from tenants.models import Project, Role, User
from tenants.roles import roles_in_project, roles_of

READERS = {Role.READ.value, Role.WRITE.value}
WRITERS = {Role.WRITE.value}


class BearerAuthentication(BaseAuthentication):
    """A bearer token; without one, where authentication is off, whoever asks may do everything.

    Nobody is refused from memory: whoever has just been given a role, or has just made a project, may go on at once.
    """

    def authenticate(self, request):
        plain = getattr(request, "_request", request)
        try:
            caller = bearer_of(plain)
            if isinstance(caller, tokens.Caller) and not self._is_let_in(caller, plain):
                caller = bearer_of(plain, anew=True)
        except BadToken as wrong:
            plain.challenge = challenge("invalid_token", str(wrong))
            raise AuthenticationFailed(str(wrong)) from wrong
        return caller and (caller, get_authorization_header(request))

    @staticmethod
    def _is_let_in(caller: "tokens.Caller", request: HttpRequest) -> bool:
        """Into the project that is named, by what is remembered. Where none is, it is about people and projects;

        one that isn't there is looked for as one that is, for the time that it takes would tell them apart.
        """
        project = request.project or getattr(request.unserved, "project", None)
        return project is not None and bool(caller.roles_in(project) & needed(request))

    def authenticate_header(self, request):
        plain = getattr(request, "_request", request)
        return getattr(plain, "challenge", challenge("", "A bearer token is needed"))


def needed(request: HttpRequest) -> set[str]:
    """The roles of which one is needed in the project, for what is done in it."""
    return READERS if request.method in SAFE_METHODS else WRITERS


def bearer_of(request: HttpRequest, anew: bool = False) -> "tokens.Caller | User | None":
    """Whose token came with the request; None if none came. Raises BadToken, which says why."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return anybody() if not settings.AUTHENTICATION and _is_local(request) else None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise BadToken("The Authorization header must be `Bearer` and a token")
    return tokens.verify(token.strip(), anew)


def anybody() -> User:
    """Who acts where authentication is off. Nobody of the database, so nothing can be done in their name later."""
    return User(username="anybody (authentication is off)", is_superuser=True, is_staff=True)


def _is_local(request: HttpRequest) -> bool:
    """Asked on this machine, whatever the server was bound to; and not because a page from elsewhere made a browser

    ask, as any page can of a server on its reader's own machine.
    """
    try:
        if not ipaddress.ip_address(request.client_address).is_loopback:
            return False
    except ValueError:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return request.META.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin")
    return origin in (f"{request.scheme}://{request.get_host()}", *settings.CORS_ALLOWED_ORIGINS)


def held(user: "tokens.Caller | User") -> Set[str]:
    """All roles of whoever asks, as tokens name them (tenants/roles.py)."""
    if isinstance(user, tokens.Caller):
        return user.roles
    return roles_of(user) if user.is_authenticated else set()


def roles_in(user: "tokens.Caller | User", project: Project) -> Set[str]:
    """The roles that a token or a logged-in person has in this project."""
    if isinstance(user, tokens.Caller):
        return user.roles_in(project)
    return roles_in_project(user, project) if user.is_authenticated else set()


def roles_here(request) -> Set[str]:
    """Those of whoever asks, in the project that the URL names: looked up once a request."""
    if not hasattr(request, "_roles_here"):
        request._roles_here = roles_in(request.user, request.project) if request.project else set()
    return request._roles_here


def person_of(user: "tokens.Caller | User") -> User | None:
    """The person behind a session or a token; None for whoever acts for less than a person known here.

    That are machines, people whom only an external issuer knows (whatever they are called there), and API tokens that
    may not do all that their owner may.
    """
    if not isinstance(user, tokens.Caller):
        return user if user.is_authenticated and user.is_active else None
    if user.kind not in (tokens.Kind.PERSON, tokens.Kind.API_TOKEN) or user.is_narrowed:
        return None
    return User.objects.filter(pk=user.user_id, is_active=True).first()


def name_of(user: "tokens.Caller | User") -> str:
    """Who the journal says it was."""
    return user.name if isinstance(user, tokens.Caller) else user.get_username()


def why_unserved(request) -> ResourceError:
    """Why the request has no project, in the words that whoever asks may hear."""
    why = request.unserved or NoAccess()
    if isinstance(why, Unserved) and not roles_in(request.user, why.project):
        return NoAccess()
    return why


class HasProjectRole(BasePermission):
    """im-r reads, im-rw reads and writes, in the project that the URL names."""

    def has_permission(self, request, view):
        if not request.user or not request.user.is_authenticated:
            return False
        if request.project is None:
            raise why_unserved(request)
        held, wanted = roles_in(request.user, request.project), self.needed(request)
        if held & wanted:
            return True
        # Who has a role here is told which one it takes; to others, there is no such project. In DRF's own words: a
        # page in a browser asks which forms to draw, and draws those that aren't refused.
        why = f"You need the role {min(wanted)} in project {request.project}" if held else str(NoAccess())
        raise PermissionDenied(why)

    def needed(self, request: HttpRequest) -> set[str]:
        return needed(request)

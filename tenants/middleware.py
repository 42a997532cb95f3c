"""The project that a request names becomes the schema that it runs in."""

import re
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import set_script_prefix
from django_tenants.utils import schema_context

from tenants.errors import (
    BadToken,
    NoAccess,
    NotAProject,
    NotYetReady,
    OnItsWayOut,
    ResourceError,
    Unserved,
    WhichProject,
)
from tenants.models import Project
from tenants.models.people import IN_PROJECT
from tenants.permissions import bearer_of, held, why_unserved
from tenants.request import API, bound, refused

PUBLIC = "public"
_PROJECT = re.compile(r"^/v\d+/projects/([^/]+)/")
_LEGACY = "/edge-infra.orchestrator.apis/v2/"
_PAGES = re.compile(r"^(/p/([^/]+))(/.*)$")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


class TenantMiddleware:
    """Sets request.project and enters its schema. It is None where none is named, and where none can be served;

    request.unserved then says why, to whoever has a right to know that (tenants/permissions.py). Rights are judged
    inside: whoever isn't allowed is turned away in a schema where they have seen nothing. What a request without a
    project runs in is public, where no table of a tenant is.

    A project is named by the path (/v1/projects/<name>/..., /p/<name>/...), by the header ActiveProjectID (its UUID),
    and on the archived API's paths by ?projectName=, or there by the roles of the token. All that is said must agree.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.project = request.unserved = None
        if API.match(request.path_info) and request.path_info.endswith("/"):
            request.path_info = request.path_info[:-1]  # the archived API took both
        named, request.page_of = self._in_path(request)
        # Said even where the connection is there already: whatever its last user left it in isn't built upon.
        with schema_context(PUBLIC):
            try:
                request.project = self._resolve(named, request)
            except ResourceError as why:
                request.unserved = why
            if request.project is None:
                return self.get_response(request)
            with schema_context(request.project.schema_name), bound(project=request.project.name):
                return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        """Pages of a project that comes or goes say so to its people; to others there is a door, as to any name."""
        if request.page_of and request.unserved and request.user.is_authenticated:
            why = why_unserved(request)
            if isinstance(why, Unserved):
                return refused(request, why)
        return None

    def _in_path(self, request: HttpRequest) -> tuple[str | None, str]:
        """(the name in the path, the same if the path is one of a project's pages)"""
        if found := _PROJECT.match(request.path_info):
            return found[1], ""
        if not (found := _PAGES.match(request.path_info)):
            return None, ""
        # The project stays in the URL as the script's name: a switch kept in the session would let two tabs
        # write into the wrong tenant.
        request.path_info = found[3]
        request.META["SCRIPT_NAME"] = found[1]
        set_script_prefix(f"{found[1]}/")
        request.urlconf = "eim_project.urls_project"
        return found[2], found[2]

    def _resolve(self, named: str | None, request: HttpRequest) -> Project | None:
        """The ready project that is named, None if none is. One query. Raises ResourceError if it can't be served."""
        legacy = request.path_info.startswith(_LEGACY)
        if named is None and not legacy:
            return None
        said: list[str | UUID] = [] if named is None else [named]
        if active := request.META.get("HTTP_ACTIVEPROJECTID"):
            said.append(_uuid(active, "ActiveProjectID"))
        if legacy:
            said += [_as_uuid(name) or name for name in request.GET.getlist("projectName")]
        if not said:
            said = [_of_the_token(request)]
        if not all(isinstance(one, UUID) or _NAME.match(one) for one in said):
            raise NoAccess
        first = said[0]
        project = Project.objects.filter(Q(uuid=first) if isinstance(first, UUID) else Q(name=first)).first()
        if project is None or any(one not in (project.name, project.uuid) for one in said):
            raise NoAccess
        if not project.is_ready:
            raise _why_not(project)
        return project


def _why_not(project: Project) -> ResourceError:
    if project.desired_state == "TENANT_STATE_DELETED":
        return OnItsWayOut(f"Project {project} is being deleted", project)
    return NotYetReady(f"Project {project} is being made: {project.status or 'try again in a moment'}", project)


def _of_the_token(request: HttpRequest) -> UUID:
    """The only project that whoever asks has a role in, as the archived API took it from the token."""
    try:
        caller = bearer_of(request)
    except BadToken:
        caller = None  # the view will say what is wrong with it
    roles = (role.partition("_") for role in (held(caller) if caller else ()))
    projects = {uuid for uuid, _, role in roles if role in IN_PROJECT}
    if len(projects) != 1:
        raise WhichProject("Name the project: by the header ActiveProjectID, its UUID, or by ?projectName=, its name")
    return UUID(projects.pop())


def _uuid(text: str, where: str) -> UUID:
    if (uuid := _as_uuid(text)) is None:
        raise NotAProject(f"{where} is not the UUID of a project")
    return uuid


def _as_uuid(text: str) -> UUID | None:
    """Only as UUIDs are written: Python would take braces, and hyphens anywhere."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        return None
    return UUID(text)

"""The project that a request names becomes the schema that it runs in."""

import re
import time
from uuid import UUID

from django.db import ProgrammingError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import set_script_prefix
from django_tenants.utils import schema_context
from rest_framework.permissions import SAFE_METHODS

from tenants.errors import (
    BadToken,
    NoAccess,
    NotAProject,
    NotYetReady,
    OnItsWayOut,
    ResourceError,
    WhichProject,
)
from tenants.events import acting_as
from tenants.models import Project, User
from tenants.models.people import IN_PROJECT
from tenants.permissions import bearer_of, held, name_of
from tenants.request import API, bound, refused
from tenants.statements import fetch
from tenants.tokens import Caller

PUBLIC = "public"
_PROJECT = re.compile(r"^/v\d+/projects/(?P<name>[^/]+)/")
_LEGACY = "/edge-infra.orchestrator.apis/v2/"
_PAGES = re.compile(r"^(/p/(?P<name>[^/]+))(/.*)$")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")

KEPT = 3  # seconds for which requests that only read find a ready project without asking the database
MOST = 5_000  # projects of which that is kept
_ready: dict[str | UUID, tuple[float, Project]] = {}  # by name and by UUID


def forget() -> None:
    """For tests, whose projects go by a rollback."""
    _ready.clear()


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
        # Said even where the connection is there already: whatever its last user left it in isn't built upon.
        with schema_context(PUBLIC), acting_as(lambda: name_of(request.user)):
            try:
                request.project = self._resolve(request)
            except ResourceError as why:
                request.unserved = why
            if request.project is None:
                return self.get_response(request)
            if found := _PAGES.match(request.path_info):
                self._stay_in_project(request, *found.groups())
            with schema_context(request.project.schema_name), bound(project=request.project.name):
                return self.get_response(request)

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        """A project that was kept may be gone meanwhile, tables and all."""
        if not isinstance(problem, ProgrammingError) or request.project is None:
            return None
        _ready.clear()
        with schema_context(PUBLIC):
            if Project.objects.ready().filter(pk=request.project.pk).exists():
                return None
        return refused(request, NoAccess())

    @staticmethod
    def _stay_in_project(request: HttpRequest, prefix: str, _name: str, rest: str) -> None:
        """The project stays in the URL as the script's name: a switch kept in the session would let two tabs

        write into the wrong tenant.
        """
        request.path_info = rest
        request.META["SCRIPT_NAME"] = prefix
        set_script_prefix(f"{prefix}/")
        request.urlconf = "eim_project.urls_project"

    @staticmethod
    def _resolve(request: HttpRequest) -> Project | None:
        """The ready project that is named, None if none is. At most one query. Raises ResourceError if it can't be

        served. Whoever writes is never answered out of memory: nothing may be written to what is on its way out.
        """
        legacy = request.path_info.startswith(_LEGACY)
        in_path = _PROJECT.match(request.path_info) or _PAGES.match(request.path_info)
        if not in_path and not legacy:
            return None
        said: list[str | UUID] = [in_path["name"]] if in_path else []
        if active := request.META.get("HTTP_ACTIVEPROJECTID"):
            said.append(_uuid(active, "ActiveProjectID"))
        if legacy:
            said += [_as_uuid(name) or name for name in request.GET.getlist("projectName")]
        if not said:
            said = [_of_the_token(request)]
        if not all(isinstance(one, UUID) or _NAME.match(one) for one in said):
            raise NoAccess
        # Old test suites name it by its UUID in the path, too: the header then says that it is one.
        first = next((one for one in said if isinstance(one, UUID)), said[0])
        project = _kept(first)
        if project is None or not (request.method in SAFE_METHODS or _is_as_it_was(project)):
            project = Project.objects.filter(Q(uuid=first) if isinstance(first, UUID) else Q(name=first)).first()
            _keep(project)
        if project is None or any(str(one).lower() not in (project.name, str(project.uuid)) for one in said):
            raise NoAccess
        if not project.is_ready:
            raise _why_not(project)
        return project


def _kept(named: str | UUID) -> Project | None:
    at, project = _ready.get(named, (float("-inf"), None))
    return project if time.monotonic() - at < KEPT else None


def _is_as_it_was(project: Project) -> bool:
    """Whether it hasn't changed since it was read. Asked in its schema, for the work is done there; what all share is

    seen from there, too.
    """
    with schema_context(project.schema_name):
        sql = "SELECT 1 FROM tenants_project WHERE id = $1 AND updated_at = $2"
        return bool(fetch(sql, [project.pk, project.updated_at]))


def _keep(project: Project | None) -> None:
    """Only one that is ready: who waits for a project sees at once that it is there."""
    if project is None or not project.is_ready:
        return
    if len(_ready) >= 2 * MOST:
        _ready.clear()
    _ready[project.name] = _ready[project.uuid] = time.monotonic(), project


def _why_not(project: Project) -> ResourceError:
    if project.desired_state == "TENANT_STATE_DELETED":
        return OnItsWayOut(f"Project {project} is being deleted", project)
    return NotYetReady(f"Project {project} is being made: {project.status or 'try again in a moment'}", project)


def _of_the_token(request: HttpRequest) -> UUID:
    """The only project that whoever asks has a role in, as the archived API took it from the token."""
    try:
        projects = _projects_with_roles(bearer_of(request))
        if len(projects) != 1:
            projects = _projects_with_roles(bearer_of(request, anew=True))
    except BadToken:
        projects = set()  # the view will say what is wrong with it
    if len(projects) != 1:
        raise WhichProject("Name the project: by the header ActiveProjectID, its UUID, or by ?projectName=, its name")
    return UUID(projects.pop())


def _projects_with_roles(caller: Caller | User | None) -> set[str]:
    roles = (role.partition("_") for role in (held(caller) if caller else ()))
    return {uuid for uuid, _, role in roles if role in IN_PROJECT}


def _uuid(text: str, where: str) -> UUID:
    if (uuid := _as_uuid(text)) is None:
        raise NotAProject(f"{where} is not the UUID of a project")
    return uuid


def _as_uuid(text: str) -> UUID | None:
    """Only as UUIDs are written: Python would take braces, and hyphens anywhere."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        return None
    return UUID(text)

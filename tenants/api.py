"""Organizations and projects over HTTP, at /v1/orgs and /v1/projects, as the archived system's clients call them.

Who sees what: a project is seen by whoever has any role in it, or a project-*-role of its organization; an organization
by whoever has any role in it or in a project of it, or an org-*-role. What isn't seen looks like what isn't there.
"""

import re
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import path
from django_tenants.utils import schema_context
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, inline_serializer
from rest_framework import exceptions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from tenants import errors
from tenants.models import Organization, Project, Role, TenantState, User
from tenants.models.people import IN_ORGANIZATION
from tenants.models.project import Named
from tenants.permissions import held
from tenants.resource import Indicator

LARGEST_BODY = 65_536  # bytes
UUID_FIRST = re.compile(r"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_(.+)$")


class NameTaken(errors.Duplicate):
    """Told to whoever said that nothing may be updated, and to whoever may not: names are unique over all."""

    code, status = "AlreadyExists", 409


# Who sees and may do what -------------------------------------------------------------------------------------------


class Rights:
    """What the caller's roles allow with organizations and projects."""

    def __init__(self, user: Any) -> None:
        self.all = isinstance(user, User) and user.is_superuser
        self.everywhere: set[str] = set()
        self.of: dict[UUID, set[str]] = {}  # an organization's or a project's UUID -> roles
        for role in () if self.all else held(user):
            if found := UUID_FIRST.match(role):
                self.of.setdefault(UUID(found[1]), set()).add(found[2])
            else:
                self.everywhere.add(role)

    def seen_organizations(self) -> QuerySet:
        if self.all or self.everywhere & {Role.READ_ORGANIZATIONS, Role.WRITE_ORGANIZATIONS, Role.DELETE_ORGANIZATIONS}:
            return Organization.objects.all()
        mine = Q(uuid__in=[*self.of]) | Q(pk__in=Project.objects.filter(uuid__in=[*self.of]).values("organization"))
        return Organization.objects.filter(mine)

    def seen_projects(self) -> QuerySet:
        projects = Project.objects.select_related("organization")
        if self.all:
            return projects
        organizations = [uuid for uuid, roles in self.of.items() if roles & {*IN_ORGANIZATION}]
        return projects.filter(Q(uuid__in=[*self.of]) | Q(organization__uuid__in=organizations))

    def may(self, role: Role, organization: Organization | None = None) -> bool:
        return self.all or role in (self.of.get(organization.uuid, set()) if organization else self.everywhere)

    def organizations_with(self, role: Role) -> QuerySet:
        """Those in which the caller has this role."""
        if self.all:
            return Organization.objects.all()
        return Organization.objects.filter(uuid__in=[uuid for uuid, roles in self.of.items() if role in roles])

    def need(self, role: Role, organization: Organization | None = None) -> None:
        if not self.may(role, organization):
            whose = f" of organization {organization}" if organization else ""
            raise exceptions.PermissionDenied(f"You need the role {role.value}{whose}")


# What goes over the wire --------------------------------------------------------------------------------------------


class DescriptionSerializer(serializers.Serializer):
    """What can be said about an organization or a project; its name is in the path."""

    description = serializers.CharField(max_length=200, allow_blank=True, required=False)

    def to_internal_value(self, data):
        if isinstance(data, dict) and (strange := data.keys() - self.fields.keys() - {"csrfmiddlewaretoken"}):
            raise exceptions.ValidationError({min(map(str, strange)): "there is no such field"})
        return super().to_internal_value(data)


class StatusSerializer(serializers.Serializer):
    statusIndicator = serializers.ChoiceField(choices=Indicator.choices)
    message = serializers.CharField(help_text='"Project acme CREATE is complete"')
    timeStamp = serializers.IntegerField(help_text="Seconds since 1970")
    uID = serializers.UUIDField(help_text="The UUID by which tokens' roles and machines know it")


_SPEC = inline_serializer("Spec", {"description": serializers.CharField()})


class ProjectStatusSerializer(serializers.Serializer):
    projectStatus = StatusSerializer()


class ProjectSerializer(serializers.Serializer):
    name = serializers.CharField()
    orgName = serializers.CharField()
    spec = _SPEC
    status = ProjectStatusSerializer()


class OrgStatusSerializer(serializers.Serializer):
    orgStatus = StatusSerializer()


class OrgSerializer(serializers.Serializer):
    name = serializers.CharField()
    spec = _SPEC
    status = OrgStatusSerializer()


class RefusalSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="A name of gRPC's status codes")
    message = serializers.CharField()


def status_of(row: Named) -> dict[str, dict]:
    shown, since = row.shown
    return {
        f"{'project' if isinstance(row, Project) else 'org'}Status": {
            "statusIndicator": str(shown.indicator), "message": shown.text, "timeStamp": since, "uID": str(row.uuid),
        }
    }  # fmt: skip


def as_json(row: Named) -> dict[str, Any]:
    owner = {"orgName": row.organization.name} if isinstance(row, Project) else {}
    return {"name": row.name, **owner, "spec": {"description": row.description}, "status": status_of(row)}


# For the document ---------------------------------------------------------------------------------------------------


def _example(of: str, verb: str, message: str, indicator: Indicator, wrapped: bool = True) -> OpenApiExample:
    shown = {f"{of}Status": {
        "statusIndicator": indicator.value, "message": message, "timeStamp": 1795536000,
        "uID": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    }}  # fmt: skip
    item = {"name": "acme", "spec": {"description": "Stores"}, "status": shown}
    if of == "project":
        item["orgName"] = "retail"
    return OpenApiExample(verb, value=item if wrapped else shown, response_only=True)


def _refused(*codes: int) -> dict[int, type[serializers.Serializer]]:
    return dict.fromkeys(codes, RefusalSerializer)


ORG = OpenApiParameter("org", str, description="The organization's name; needed where several could be meant")
UPDATE = OpenApiParameter("update_if_exists", bool, description="false: 409 if there is one already", default=True)
FORCE = OpenApiParameter(
    "force", bool, default=False,
    description="true, with the role org-delete-role: wait for nothing, also of one that is being deleted already",
)  # fmt: skip


# Endpoints ----------------------------------------------------------------------------------------------------------


class TenantView(GenericAPIView):
    """What both kinds share. Runs in the public schema, also below the path of one project."""

    permission_classes = [IsAuthenticated]
    serializer_class = DescriptionSerializer
    pagination_class = None
    lookup_field = "name"

    def dispatch(self, request, *args, **kwargs):
        with schema_context("public"):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > LARGEST_BODY:
            raise errors.TooLarge(f"The body has more than {LARGEST_BODY:,} bytes")
        self.rights = Rights(request.user)

    def get_queryset(self):
        return Organization.objects.none()  # for the browsable pages, which ask what the view is about

    def said(self) -> dict[str, str]:
        """The valid body of a PUT."""
        body = self.get_serializer(data=self.request.data)
        body.is_valid(raise_exception=True)
        return body.validated_data

    def flag(self, name: str, default: bool) -> bool:
        match self.request.query_params.get(name):
            case None:
                return default
            case "true":
                return True
            case "false":
                return False
            case other:
                raise exceptions.ValidationError({name: f"true or false, not {other[:20]!r}"})

    def found(self, rows: QuerySet, name: str) -> Named:
        row = rows.filter(name=name).first()
        if row is None:
            raise errors.NotFound(f"There is no {rows.model.called.lower()} {name!r}, or you have no role in it")
        return row

    @transaction.atomic
    def update(self, row: Named, description: str | None) -> Named:
        if not self.flag("update_if_exists", default=True):
            raise NameTaken(row.duplicate_sentence())
        row = type(row).objects.select_for_update().get(pk=row.pk)
        if description is not None:
            row.description = description
        row.ask(state=TenantState.CREATED)
        return row

    def make(self, row: Named) -> Named:
        try:
            row.ask(state=TenantState.CREATED)
        except errors.Duplicate as taken:
            raise NameTaken(str(taken)) from taken
        return row

    @transaction.atomic
    def ask_to_go(self, row: Named, force: bool = False) -> Response:
        row = type(row).objects.select_for_update().get(pk=row.pk)
        if row.is_going and not force:
            raise errors.TransitionNotAllowed(f"{row.called} {row} is being deleted already")
        if isinstance(row, Project):
            row.forced = row.forced or force
        row.ask(state=TenantState.DELETED)
        return Response()


class OrgList(TenantView):
    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="orgs_list", tags=["organizations"], responses={200: OrgSerializer(many=True), **_refused(401)},
        examples=[_example("org", "there", "Organization acme CREATE is complete", Indicator.IDLE)],
    )  # fmt: skip
    def get(self, request):
        """The organizations in which you have a role; all of them with an org-*-role."""
        return Response([as_json(row) for row in self.rights.seen_organizations().order_by("name")])


class Org(TenantView):
    @extend_schema(
        operation_id="orgs_get", tags=["organizations"], responses={200: OrgSerializer, **_refused(401, 404)},
        examples=[_example("org", "there", "Organization acme CREATE is complete", Indicator.IDLE)],
    )  # fmt: skip
    def get(self, request, name):
        return Response(as_json(self.found(self.rights.seen_organizations(), name)))

    @extend_schema(
        operation_id="orgs_put", tags=["organizations"], parameters=[UPDATE], request=DescriptionSerializer,
        responses={200: OrgSerializer, **_refused(400, 401, 403, 409, 413)},
        examples=[
            OpenApiExample("said", value={"description": "Stores"}, request_only=True),
            _example("org", "asked for", "Organization acme CREATE initiated", Indicator.IN_PROGRESS),
        ],
    )  # fmt: skip
    def put(self, request, name):
        """Make an organization, or change its description. Needs the role org-write-role."""
        self.rights.need(Role.WRITE_ORGANIZATIONS)
        said = self.said()
        if there := Organization.objects.filter(name=name).first():
            return Response(as_json(self.update(there, said.get("description"))))
        return Response(as_json(self.make(Organization(name=name, **said))))

    @extend_schema(
        operation_id="orgs_delete", tags=["organizations"],
        responses={200: None, **_refused(400, 401, 403, 404)},
    )  # fmt: skip
    def delete(self, request, name):
        """Delete an organization that has no projects any more. Needs the role org-delete-role."""
        self.rights.need(Role.DELETE_ORGANIZATIONS)
        organization = self.found(self.rights.seen_organizations(), name)
        return self.ask_to_go(organization)


class OrgState(TenantView):
    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="orgs_status", tags=["organizations"],
        responses={200: OrgStatusSerializer, **_refused(401, 404)},
        examples=[_example("org", "there", "Organization acme CREATE is complete", Indicator.IDLE, wrapped=False)],
    )  # fmt: skip
    def get(self, request, name):
        return Response(status_of(self.found(self.rights.seen_organizations(), name)))


class ProjectView(TenantView):
    def seen(self) -> QuerySet:
        """Those that the caller sees; with ?org=, those of one organization."""
        projects = self.rights.seen_projects()
        name = self.request.query_params.get("org")
        return projects.filter(organization__name=name) if name else projects


class ProjectList(ProjectView):
    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="projects_list", tags=["projects"], parameters=[ORG],
        responses={200: ProjectSerializer(many=True), **_refused(401)},
        examples=[_example("project", "there", "Project acme CREATE is complete", Indicator.IDLE)],
    )  # fmt: skip
    def get(self, request):
        """The projects in which you have a role, or a project-*-role of whose organization."""
        return Response([as_json(row) for row in self.seen().order_by("name")])


class OneProject(ProjectView):
    @extend_schema(
        operation_id="projects_get", tags=["projects"], parameters=[ORG],
        responses={200: ProjectSerializer, **_refused(401, 404)},
        examples=[_example("project", "there", "Project acme CREATE is complete", Indicator.IDLE)],
    )  # fmt: skip
    def get(self, request, name):
        return Response(as_json(self.found(self.seen(), name)))

    @extend_schema(
        operation_id="projects_put", tags=["projects"], parameters=[ORG, UPDATE], request=DescriptionSerializer,
        responses={200: ProjectSerializer, **_refused(400, 401, 403, 404, 409, 413)},
        examples=[
            OpenApiExample("said", value={"description": "Stores"}, request_only=True),
            _example("project", "asked for", "Project acme CREATE initiated", Indicator.IN_PROGRESS),
        ],
    )  # fmt: skip
    def put(self, request, name):
        """Make a project, or change its description. Needs the role project-write-role of its organization.

        Without ?org= it is made in the only organization in which you have that role. It is served when its status
        says that its CREATE is complete.
        """
        said = self.said()
        if there := self.seen().filter(name=name).first():
            self.rights.need(Role.WRITE_PROJECTS, there.organization)
            return Response(as_json(self.update(there, said.get("description"))))
        return Response(as_json(self.make(Project(name=name, organization=self.organization(), **said))))

    @extend_schema(
        operation_id="projects_delete", tags=["projects"], parameters=[ORG, FORCE],
        responses={200: None, **_refused(400, 401, 403, 404)},
    )  # fmt: skip
    def delete(self, request, name):
        """Delete a project with all that is in it. Needs the role project-delete-role of its organization.

        The status tells how far it is; when it is gone, there is none.
        """
        force = self.flag("force", default=False)
        if force:
            self.rights.need(Role.DELETE_ORGANIZATIONS)
        elif not self.rights.organizations_with(Role.DELETE_PROJECTS).exists():
            raise exceptions.PermissionDenied("You need the role project-delete-role of the project's organization")
        project = self.found(self.seen(), name)
        if not force:
            self.rights.need(Role.DELETE_PROJECTS, project.organization)
        return self.ask_to_go(project, force)

    def organization(self) -> Organization:
        """Where a new project is made."""
        writable = self.rights.organizations_with(Role.WRITE_PROJECTS)
        if name := self.request.query_params.get("org"):
            organization = self.found(self.rights.seen_organizations(), name)
            self.rights.need(Role.WRITE_PROJECTS, organization)
            return organization
        match [*writable.order_by("name")[:6]]:
            case []:
                raise exceptions.PermissionDenied("You need the role project-write-role of an organization")
            case [only]:
                return only
            case several:
                names = ", ".join(str(one) for one in several[:5])
                raise exceptions.ValidationError({"org": f"say in which organization: ?org=, with one of {names}"})


class ProjectState(ProjectView):
    http_method_names = ["get", "head", "options"]

    @extend_schema(
        operation_id="projects_status", tags=["projects"], parameters=[ORG],
        responses={200: ProjectStatusSerializer, **_refused(401, 404)},
        examples=[_example("project", "there", "Project acme CREATE is complete", Indicator.IDLE, wrapped=False)],
    )  # fmt: skip
    def get(self, request, name):
        return Response(status_of(self.found(self.seen(), name)))


urlpatterns = [
    path("orgs", OrgList.as_view()),
    path("orgs/<str:name>", Org.as_view()),
    path("orgs/<str:name>/status", OrgState.as_view()),
    path("projects", ProjectList.as_view()),
    path("projects/<str:name>", OneProject.as_view()),
    path("projects/<str:name>/status", ProjectState.as_view()),
]

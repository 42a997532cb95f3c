"""Roles, given to people and groups and taken from them."""

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_view
from rest_framework.response import Response

from tenants import errors, roles
from tenants.models import Grant, Organization, Project, User
from tenants.models.people import IN_PROJECT
from tenants.people.base import PeopleView
from tenants.people.shapes import GrantBody, Nothing, said


class Grants(PeopleView):
    serializer_class = GrantBody
    of: type[User | Group]

    def get(self, request, name):
        return self.page("grants", self.grants(name).select_related("project", "organization").order_by("id"))

    def post(self, request, name):
        if self.of is Group:
            self.administrators_only()
        elif not roles.managed_by(self.person).exists():
            raise errors.NotAllowed("Only administrators and an organization's project managers give roles")
        wanted = self.body()
        project, organization = (wanted[key]["name"] for key in ("project", "organization"))
        where = {
            "project": project and self._mine(Project, project),
            "organization": organization and self._mine(Organization, organization),
        }
        if not self.person.is_superuser and (wanted["role"] not in IN_PROJECT or not any(where.values())):
            raise errors.NotAllowed("Only an administrator may grant other roles than those in projects")
        # Whoever may give roles at all may give them to any person: that is how a new one comes in.
        return Response(GrantBody(roles.grant(wanted["role"], self.find(self.of.objects.all(), name), **where)).data)

    def grants(self, name: str) -> QuerySet[Grant]:
        """Of the one of this name, as far as this person may see them."""
        if self.of is Group:
            self.administrators_only()
            return Grant.objects.filter(group=self.find(Group.objects.all(), name))
        user = self.find(self.people(), name)
        return (Grant.objects.all() if user == self.person else self.grants_here()).filter(user=user)

    def _mine(self, model: type[Project | Organization], name: str) -> Project | Organization:
        mine = roles.managed_by(self.person)
        rows = Project.objects.filter(organization__in=mine) if model is Project else mine
        found = None if "\0" in name else rows.filter(name=name).first()
        if found is None:
            kind = model._meta.verbose_name
            raise errors.NotAllowed(f"There is no {kind} {name!r}, or you may not give roles in it")
        return found


@extend_schema_view(
    get=said("ListGrantsOfUser", "What was granted to a person by itself, not by groups", GrantBody, page_of="grants"),
    post=said("GrantToUser", "Give a role to a person; harmless if it is given already", GrantBody),
)
class GrantsOfUser(Grants):
    of = User


@extend_schema_view(
    get=said("ListGrantsOfGroup", "What was granted to a group", GrantBody, page_of="grants"),
    post=said("GrantToGroup", "Give a role to a group; harmless if it is given already", GrantBody),
)
class GrantsOfGroup(Grants):
    of = Group


class OneGrant(Grants):
    http_method_names = ["delete", "options"]

    def delete(self, request, name, pk):
        gone, _ = self.grants(name).filter(pk__in=self.grants_here().values("pk"), pk=pk).delete()
        if not gone:
            raise errors.NotFound(f"{name} has no grant {pk}, or you may not take it")
        return Response({})


@extend_schema_view(delete=said("RevokeFromUser", "Take a role from a person", Nothing))
class OneGrantOfUser(OneGrant):
    of = User


@extend_schema_view(delete=said("RevokeFromGroup", "Take a role from a group", Nothing))
class OneGrantOfGroup(OneGrant):
    of = Group

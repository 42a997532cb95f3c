"""Who may use /v1/me, /v1/users and /v1/groups, and what is seen there by whom.

An administrator (is_superuser) may do everything. Who has project-write-role in an organization sees the people with
roles in its projects, and gives and takes roles in its projects. Everybody else sees and changes only themselves.
What may not be seen is answered as what isn't there.
"""

import re

from django.contrib.auth.models import Group
from django.db.models import Prefetch, Q, QuerySet
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from tenants import errors, roles
from tenants.models import Grant, User
from tenants.models.people import IN_PROJECT
from tenants.people.shapes import FARTHEST_OFFSET, LARGEST_PAGE, Body
from tenants.permissions import person_of


class IsPerson(BasePermission):
    """A person's session or token, not a machine's. Leaves the person as request.person."""

    message = "Only people may do that, and the token is not a person's."

    def has_permission(self, request, view):
        if not request.user.is_authenticated:
            return False
        request.person = person_of(request.user)
        return request.person is not None


class PeopleView(GenericAPIView):
    permission_classes = [IsPerson]
    parser_classes = [JSONParser]  # in a form, a box that isn't there is one that isn't ticked

    @property
    def person(self) -> User:
        return self.request.person

    def administrators_only(self) -> None:
        if not self.person.is_superuser:
            raise errors.NotAllowed("Only an administrator may do that")

    def body(self, serializer: type[Body] | None = None) -> dict:
        wanted = (serializer or self.serializer_class)(data=self.request.data)
        wanted.is_valid(raise_exception=True)
        return wanted.validated_data

    def page(self, collection: str, rows: QuerySet) -> Response:
        page, total, more = self.window(rows)
        shown = self.serializer_class(page, many=True).data
        return Response({collection: shown, "totalElements": total, "hasNext": more})

    def window(self, rows: QuerySet) -> tuple[list, int, bool]:
        """The rows that ?pageSize= and ?offset= ask for, how many there are, and whether more follow."""
        size = self._number("pageSize", 1, LARGEST_PAGE, default=LARGEST_PAGE)
        offset = self._number("offset", 0, FARTHEST_OFFSET, default=0)
        total, page = rows.count(), [*rows[offset : offset + size]]
        return page, total, offset + len(page) < total

    def _number(self, name: str, least: int, most: int, default: int) -> int:
        text = self.request.query_params.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise errors.ResourceError(f"{name} is a number from {least} to {most}, not {text!r}")
        return int(text)

    # What is seen of whom

    def people(self) -> QuerySet[User]:
        if self.person.is_superuser:
            return User.objects.prefetch_related("groups")
        here = self.grants_here()
        seen = Q(pk=self.person.pk) | Q(pk__in=here.values("user")) | Q(groups__in=here.values("group"))
        groups = Group.objects.filter(Q(pk__in=here.values("group")) | Q(user=self.person)).distinct()
        return User.objects.filter(seen).distinct().prefetch_related(Prefetch("groups", groups))

    def grants_here(self) -> QuerySet[Grant]:
        """Those that this person gives and takes: all, or the roles in the projects of their organizations."""
        if self.person.is_superuser:
            return Grant.objects.all()
        mine = roles.managed_by(self.person)
        within = Q(project__organization__in=mine) | Q(organization__in=mine)
        return Grant.objects.filter(within, role__in=IN_PROJECT)

    def find(self, rows: QuerySet, name: str, lock: bool = False):
        """The row of this name. Raises NotFound, also for what may not be seen."""
        column = "username" if rows.model is User else "name"
        kind = "user" if rows.model is User else rows.model._meta.verbose_name
        found = None if "\0" in name else rows.filter(**{column: name}).first()
        if found is not None and lock:  # apart from the search, whose DISTINCT can't be locked
            found = rows.model.objects.select_for_update().filter(pk=found.pk).first()
        if found is None:
            raise errors.NotFound(f"There is no {kind} {name!r}, or you may not see it")
        return found

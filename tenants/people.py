"""People and groups over REST: /v1/me, /v1/users and /v1/groups.

An administrator (is_superuser) may do everything. Who has project-write-role in an organization sees the people with
roles in its projects, and gives and takes roles in its projects. Everybody else sees and changes only themselves.
What may not be seen is answered as what isn't there.
"""

import re
from collections import defaultdict

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Prefetch, Q, QuerySet
from django.urls import path
from rest_framework import exceptions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from tenants import errors, roles
from tenants.models import Grant, Organization, Project, Role, User
from tenants.models.people import EVERYWHERE, IN_PROJECT
from tenants.permissions import person_of

LARGEST_PAGE = 100
FARTHEST_OFFSET = 10_000
NAME = r"^[\w.@+-]+( [\w.@+-]+)*\Z"  # of a group: what can stand in a path


# Shapes --------------------------------------------------------------------------------------------------------------


class Body(serializers.Serializer):
    """A JSON object that has no other fields than those declared."""

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise exceptions.ValidationError({"body": "a JSON object is needed"})
        for name in data:
            field = self.fields.get(name)
            if field is None or field.read_only:
                raise exceptions.ValidationError({name: "can't be written" if field else "there is no such field"})
        return super().to_internal_value(data)


def _password(**options) -> serializers.CharField:
    return serializers.CharField(write_only=True, trim_whitespace=False, max_length=1000, **options)


class Person(Body):
    name = serializers.CharField(source="username", read_only=True)
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)
    firstName = serializers.CharField(source="first_name", required=False, allow_blank=True, max_length=150)
    lastName = serializers.CharField(source="last_name", required=False, allow_blank=True, max_length=150)
    active = serializers.BooleanField(source="is_active", required=False)
    superuser = serializers.BooleanField(source="is_superuser", required=False)
    groups = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)
    lastSignIn = serializers.DateTimeField(source="last_login", read_only=True)
    createdAt = serializers.DateTimeField(source="date_joined", read_only=True)


class NewPerson(Person):
    """Without a password nobody signs in with one."""

    name = serializers.CharField(source="username", max_length=150)
    password = _password(required=False)


class NewPassword(Body):
    password = _password()
    currentPassword = _password(required=False)


class GrantBody(Body):
    """A role in a project, for an organization or everywhere, by their names."""

    id = serializers.IntegerField(read_only=True)
    role = serializers.ChoiceField(choices=Role.choices)
    project = serializers.CharField(source="project.name", required=False, allow_null=True, default=None)
    organization = serializers.CharField(source="organization.name", required=False, allow_null=True, default=None)


class GroupBody(Body):
    name = serializers.RegexField(NAME, max_length=150)


class Member(Body):
    name = serializers.CharField(source="username", read_only=True)


class RolesIn(serializers.Serializer):
    """What somebody may do in a project or an organization; uID is how tokens name it."""

    name = serializers.CharField()
    uID = serializers.UUIDField()
    roles = serializers.ListField(child=serializers.CharField())


class Me(Person):
    """roles are those that hold everywhere; projects come in pages, as a list's rows do."""

    roles = serializers.ListField(child=serializers.CharField(), read_only=True)
    organizations = RolesIn(many=True, read_only=True)
    projects = RolesIn(many=True, read_only=True)
    totalElements = serializers.IntegerField(read_only=True)
    hasNext = serializers.BooleanField(read_only=True)


# Who may -------------------------------------------------------------------------------------------------------------


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


# People --------------------------------------------------------------------------------------------------------------


class MeView(PeopleView):
    """Who am I, and what may I do where."""

    serializer_class = Me

    def get(self, request):
        projects, total, more = self.window(roles.projects_of(self.person).order_by("name"))
        held = roles.roles_by_project(self.person, projects)
        return Response({
            **Person(self.person).data,
            **self._beyond_projects(),
            "projects": [_roles_in(project, held[project.pk]) for project in projects],
            "totalElements": total,
            "hasNext": more,
        })  # fmt: skip

    def _beyond_projects(self) -> dict:
        """The roles that hold everywhere, and the organizations granted for; of a superuser, none one by one."""
        if self.person.is_superuser:
            return {"roles": sorted(EVERYWHERE), "organizations": []}
        everywhere, granted = set(), defaultdict(set)
        for one in roles.grants_of(self.person).filter(project=None).select_related("organization"):
            (everywhere if one.organization is None else granted[one.organization]).add(one.role)
        organizations = sorted(granted, key=lambda organization: organization.name)
        return {"roles": sorted(everywhere), "organizations": [_roles_in(o, granted[o]) for o in organizations]}


def _roles_in(where: Project | Organization, held: set[str]) -> dict:
    return {"name": where.name, "uID": str(where.uuid), "roles": sorted(held)}


class Users(PeopleView):
    serializer_class = NewPerson

    def get(self, request):
        return self.page("users", self.people().order_by("username"))

    def post(self, request):
        self.administrators_only()
        wanted = self.body()
        password = wanted.pop("password", None)
        user = User(**wanted)
        user.username = User.normalize_username(user.username)
        user.set_unusable_password()
        user.clean_fields(exclude=["password"])
        try:
            with transaction.atomic():
                user.save()
                if password is not None:
                    user.change_password(password)
        except IntegrityError as taken:
            raise errors.Duplicate(f"There is a user {user.username!r} already") from taken
        return Response(Person(user).data)


class OneUser(PeopleView):
    serializer_class = Person
    own = {"email", "first_name", "last_name"}

    def get(self, request, name):
        return Response(Person(self.find(self.people(), name)).data)

    @transaction.atomic
    def patch(self, request, name):
        wanted = self.body()
        # save() locks by itself, and in an order, where access is taken away
        user = self.find(self.people(), name, lock=not wanted.keys() & User.ends_sessions)
        if user != self.person or wanted.keys() - self.own:
            self.administrators_only()
        for column, value in wanted.items():
            setattr(user, column, value)
        if wanted:
            user.save(update_fields=wanted.keys())
        return Response(Person(user).data)

    def delete(self, request, name):
        self.administrators_only()
        self.find(self.people(), name).delete()
        return Response({})


class Password(PeopleView):
    """Anybody's by an administrator; one's own by whoever knows the current one. Ends the person's sessions."""

    serializer_class = NewPassword

    def put(self, request, name):
        user = self.find(self.people(), name)
        wanted = self.body()
        if user != self.person:
            self.administrators_only()
        elif not user.check_password(wanted.get("currentPassword", "")):
            raise errors.NotAllowed("To change your own password, give your currentPassword: it isn't this one")
        user.change_password(wanted["password"])
        if request.user == user:  # a session: the one that asks goes on
            update_session_auth_hash(request, user)
        return Response({})


# Groups --------------------------------------------------------------------------------------------------------------


class GroupsView(PeopleView):
    """Groups are the administrators' affair: what one has may reach over all organizations."""

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        self.administrators_only()


class Groups(GroupsView):
    serializer_class = GroupBody

    def get(self, request):
        return self.page("groups", Group.objects.order_by("name"))

    def post(self, request):
        group = Group(**self.body())
        try:
            with transaction.atomic():
                group.save()
        except IntegrityError as taken:
            raise errors.Duplicate(f"There is a group {group.name!r} already") from taken
        return Response(GroupBody(group).data)


class OneGroup(GroupsView):
    serializer_class = GroupBody

    def get(self, request, name):
        return Response(GroupBody(self.find(Group.objects.all(), name)).data)

    def delete(self, request, name):
        self.find(Group.objects.all(), name).delete()
        return Response({})


class Members(GroupsView):
    serializer_class = Member

    def get(self, request, name):
        return self.page("members", self.find(Group.objects.all(), name).user_set.order_by("username"))


class OneMember(GroupsView):
    serializer_class = Member

    @transaction.atomic
    def put(self, request, name, member):
        group, user = self._both(name, member)
        user.groups.add(group)
        return Response(Member(user).data)

    @transaction.atomic
    def delete(self, request, name, member):
        group, user = self._both(name, member)
        user.groups.remove(group)
        return Response({})

    def _both(self, name: str, member: str) -> tuple[Group, User]:
        return self.find(Group.objects.all(), name, lock=True), self.find(User.objects.all(), member, lock=True)


# Grants --------------------------------------------------------------------------------------------------------------


class Grants(PeopleView):
    serializer_class = GrantBody
    of = User

    def get(self, request, name):
        return self.page("grants", self.grants(name).select_related("project", "organization").order_by("id"))

    def post(self, request, name):
        wanted = self.body()
        project, organization = (wanted[key]["name"] for key in ("project", "organization"))
        where = {
            "project": project and self._mine(Project, project),
            "organization": organization and self._mine(Organization, organization),
        }
        if not self.person.is_superuser and (wanted["role"] not in IN_PROJECT or not any(where.values())):
            raise errors.NotAllowed("Only an administrator may grant other roles than those in projects")
        return Response(GrantBody(roles.grant(wanted["role"], self._receiver(name), **where)).data)

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

    def _receiver(self, name: str) -> User | Group:
        """Whoever may give roles at all may give them to any person: that is how a new one comes in."""
        if self.of is Group:
            self.administrators_only()
        return self.find(self.of.objects.all(), name)


class OneGrant(Grants):
    http_method_names = ["delete", "options"]

    def delete(self, request, name, pk):
        gone, _ = self.grants(name).filter(pk__in=self.grants_here().values("pk"), pk=pk).delete()
        if not gone:
            raise errors.NotFound(f"{name} has no grant {pk}, or you may not take it")
        return Response({})


urlpatterns = [
    path("me", MeView.as_view()),
    path("users", Users.as_view()),
    path("users/<str:name>", OneUser.as_view()),
    path("users/<str:name>/password", Password.as_view()),
    path("users/<str:name>/grants", Grants.as_view()),
    path("users/<str:name>/grants/<int:pk>", OneGrant.as_view()),
    path("groups", Groups.as_view()),
    path("groups/<str:name>", OneGroup.as_view()),
    path("groups/<str:name>/members", Members.as_view()),
    path("groups/<str:name>/members/<str:member>", OneMember.as_view()),
    path("groups/<str:name>/grants", Grants.as_view(of=Group)),
    path("groups/<str:name>/grants/<int:pk>", OneGrant.as_view(of=Group)),
]

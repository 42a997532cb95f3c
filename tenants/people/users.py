"""Who am I; people, and their passwords."""

from collections import defaultdict

from django.contrib.auth import update_session_auth_hash
from django.db import IntegrityError, transaction
from rest_framework.response import Response

from tenants import errors, roles
from tenants.models import Organization, Project, User
from tenants.models.people import EVERYWHERE
from tenants.people.base import PeopleView
from tenants.people.shapes import Me, NewPassword, NewPerson, Nothing, Person, said


class MeView(PeopleView):
    """Who am I, and what may I do where."""

    serializer_class = Me

    @said("GetMe", "Who am I, and what may I do where", Me)
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

    @said("ListUsers", "The people that you see", Person, page_of="users")
    def get(self, request):
        return self.page("users", self.people().order_by("username"))

    @said("CreateUser", "Make a person", Person)
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

    @said("GetUser", "A person", Person)
    def get(self, request, name):
        return Response(Person(self.find(self.people(), name)).data)

    @said("PatchUser", "Change what the body has; an administrator deactivates and promotes", Person)
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

    @said("DeleteUser", "Delete a person, with sessions, grants and memberships", Nothing)
    def delete(self, request, name):
        self.administrators_only()
        self.find(self.people(), name).delete()
        return Response({})


class Password(PeopleView):
    """Anybody's by an administrator; one's own by whoever knows the current one. Ends the person's sessions."""

    serializer_class = NewPassword

    @said("SetPassword", "Set a password, and end the sessions that began with the old one", Nothing)
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

"""What people, groups and grants look like in JSON, and what the document of the API says of it."""

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import exceptions, serializers

from tenants.models import Role, User

LARGEST_PAGE = 100
FARTHEST_OFFSET = 10_000
NAME = r"^[\w.@+-]+( [\w.@+-]+)*\Z"  # of a group: what can stand in a path


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
    groups = serializers.SerializerMethodField()
    lastSignIn = serializers.DateTimeField(source="last_login", read_only=True)
    createdAt = serializers.DateTimeField(source="date_joined", read_only=True)

    def get_groups(self, person: User) -> list[str]:
        return [group.name for group in person.groups.all()] if person.pk else []  # none where authentication is off


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


# What the document of the API says -----------------------------------------------------------------------------------

PAGE = [
    OpenApiParameter("pageSize", int, description=f"1 to {LARGEST_PAGE}, which is the default"),
    OpenApiParameter("offset", int, description="How many to leave out at the beginning"),
]


class Nothing(serializers.Serializer):
    """An empty object."""


def said(operation_id: str, summary: str, answer: type[serializers.Serializer], page_of: str = ""):
    """Decorates a method with what the document says of it; page_of: the list's name where it answers with a page."""
    parameters = PAGE if page_of or answer is Me else None
    if page_of:
        counted = {"totalElements": serializers.IntegerField(), "hasNext": serializers.BooleanField()}
        answer = inline_serializer(f"{operation_id}Response", {page_of: answer(many=True), **counted})
    return extend_schema(
        operation_id=operation_id, summary=summary, tags=["People"], parameters=parameters, responses={200: answer}
    )

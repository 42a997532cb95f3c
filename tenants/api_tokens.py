"""/v1/tokens: one's own API tokens. /v1/sign-ins: where one is signed in. One's own, whoever one is."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants import standing, tokens
from tenants.models import ApiToken, Project, SignIn, User
from tenants.models.token import digest
from tenants.people.shapes import Nothing

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
MOST = 100  # that a person has, or is shown, at a time


def create(user: User, name: str, *, days: int, read_only: bool = True, projects=None) -> tuple[ApiToken, str]:
    """The row, and the token itself, which nobody will ever see again. projects: None for all of the user's."""
    secret = secrets.token_urlsafe(32)
    made = ApiToken.objects.create(
        user=user, name=name, key="".join(secrets.choice(ALPHABET) for _ in range(8)), secret_hash=digest(secret),
        read_only=read_only, everywhere=projects is None, expires_at=timezone.now() + timedelta(days=days),
    )  # fmt: skip
    made.projects.set(projects or [])
    return made, f"eim_{made.key}_{secret}"


def revoke(token: ApiToken) -> None:
    """It ends within standing.KEPT seconds in all processes, at once in this one."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    standing.forget()


def owner(request) -> User:
    """Whoever asks, as a person known here. An API token can't make others: it would outlive itself."""
    user = request.user
    if isinstance(user, tokens.Caller):
        if user.kind is not tokens.Kind.PERSON:
            raise PermissionDenied(f"This is for people who have signed in, not for an {user.kind}")
        return User.objects.get(pk=user.user_id)
    if user.pk is None:
        raise PermissionDenied("Authentication is off: nobody is signed in whose tokens these could be")
    return user


class Wanted(serializers.Serializer):
    """What a token is to be for, for how long, and where; without projects, in all of one's own."""

    name = serializers.CharField(max_length=100)
    expiresInDays = serializers.IntegerField(min_value=1, max_value=settings.API_TOKEN_LONGEST, default=90)
    readOnly = serializers.BooleanField(default=True)
    projects = serializers.SlugRelatedField(
        slug_field="name", many=True, required=False, allow_null=True, queryset=Project.objects.none()
    )

    def __init__(self, *args, roles=frozenset(), **kwargs):
        super().__init__(*args, **kwargs)
        theirs = {uuid for role in roles if (uuid := role.partition("_")[0]) and len(uuid) == 36}
        self.fields["projects"].child_relation.queryset = Project.objects.filter(uuid__in=theirs)


class Shown(serializers.ModelSerializer):
    readOnly = serializers.BooleanField(source="read_only")
    projects = serializers.SerializerMethodField(help_text="Names; null for all")
    createdAt = serializers.DateTimeField(source="created_at")
    expiresAt = serializers.DateTimeField(source="expires_at")
    usedAt = serializers.DateTimeField(source="used_at", help_text="To the hour")

    class Meta:
        model, ref_name = ApiToken, "ApiToken"
        fields = ["key", "name", "readOnly", "projects", "createdAt", "expiresAt", "usedAt"]

    def get_projects(self, token) -> list[str] | None:
        return None if token.everywhere else [project.name for project in token.projects.all()]


class Made(Shown):
    token = serializers.CharField(help_text="Shown now and never again")

    class Meta(Shown.Meta):
        fields, ref_name = [*Shown.Meta.fields, "token"], "NewApiToken"


def said(operation_id: str, summary: str, answer: type[serializers.Serializer], list_of: str = ""):
    """Decorates a method with what the document says of it; list_of: the list's name where it answers with one."""
    if list_of:
        answer = inline_serializer(f"{operation_id}Response", {list_of: answer(many=True)})
    return extend_schema(operation_id=operation_id, summary=summary, tags=["Mine"], responses={200: answer})


class Mine(APIView):
    permission_classes = [IsAuthenticated]


class Tokens(Mine):
    """One's own API tokens, for scripts."""

    serializer_class = Wanted

    @said("ListTokens", "My API tokens", Shown, list_of="tokens")
    def get(self, request):
        good = live(owner(request)).prefetch_related("projects")
        return Response({"tokens": Shown(good, many=True).data})

    @said("CreateToken", "Make an API token, which is shown only now", Made)
    def post(self, request):
        user = owner(request)
        wanted = Wanted(data=request.data, roles=standing.of(user.pk).roles)
        wanted.is_valid(raise_exception=True)
        if live(user).count() >= MOST:
            raise PermissionDenied(f"There are {MOST} API tokens already: revoke some")
        said = wanted.validated_data
        made, token = create(
            user, said["name"], days=said["expiresInDays"], read_only=said["readOnly"], projects=said.get("projects")
        )
        made.token = token
        return Response(Made(made).data)


class Token(Mine):
    """One of one's own API tokens."""

    serializer_class = Shown

    @said("DeleteToken", "Revoke one of my API tokens", Nothing)
    def delete(self, request, key: str):
        token = live(owner(request)).filter(key=key).first()
        if token is None:
            raise NotFound("There is no such API token of yours")
        revoke(token)
        return Response({})


def live(user: User):
    return ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())


class ShownSignIn(serializers.ModelSerializer):
    client = serializers.CharField(source="client.client_id")
    createdAt = serializers.DateTimeField(source="created_at")
    usedAt = serializers.DateTimeField(source="used_at")
    expiresAt = serializers.DateTimeField(source="expires_at")

    class Meta:
        model = SignIn
        fields = ["sid", "client", "createdAt", "usedAt", "expiresAt"]


class SignIns(Mine):
    """Where one is signed in."""

    serializer_class = ShownSignIn

    @said("ListSignIns", "Where I am signed in", ShownSignIn, list_of="signIns")
    def get(self, request):
        mine = SignIn.objects.filter(user=owner(request), ended_at=None, expires_at__gt=timezone.now())
        newest = mine.select_related("client").order_by("-used_at")[:MOST]
        return Response({"signIns": ShownSignIn(newest, many=True).data})


class OneSignIn(Mine):
    """One of the places where one is signed in."""

    serializer_class = ShownSignIn

    @said("DeleteSignIn", "Sign me out there", Nothing)
    def delete(self, request, sid: str):
        found = SignIn.objects.filter(user=owner(request), sid=sid, ended_at=None).first()
        if found is None:
            raise NotFound("There is no such sign-in of yours")
        found.end("ended by its owner")
        standing.forget()
        return Response({})


urlpatterns = [
    path("v1/tokens", Tokens.as_view()),
    path("v1/tokens/<slug:key>", Token.as_view()),
    path("v1/sign-ins", SignIns.as_view()),
    path("v1/sign-ins/<slug:sid>", OneSignIn.as_view()),
]

"""Enrolments of a host: which machine an operator lets in. On routes of their own; old clients don't know them."""

from django.db import transaction
from django.urls import path
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from inventory.api.fields import by_id
from inventory.models import Host
from tenants import enrolment
from tenants.errors import NotFound
from tenants.models import Enrolment
from tenants.permissions import name_of


class EnrolmentRequestSerializer(serializers.Serializer):
    hours = serializers.IntegerField(min_value=1, max_value=enrolment.LONGEST, default=24, help_text="For how long.")
    withToken = serializers.BooleanField(
        default=True,
        help_text="Only the machine that shows the token is let in. Without one: whichever has the host's UUID and "
        "serial number, once more, though it is installed.",
    )


class EnrolmentSerializer(serializers.ModelSerializer):
    enrolmentId = serializers.IntegerField(source="pk")
    withToken = serializers.BooleanField(source="token_hash")
    madeBy = serializers.CharField(source="made_by")
    createdAt = serializers.DateTimeField(source="created_at")
    expiresAt = serializers.DateTimeField(source="expires_at")
    usedAt = serializers.DateTimeField(source="used_at")
    usedBy = serializers.UUIDField(source="used_by", help_text="The machine's UUID.")
    revokedAt = serializers.DateTimeField(source="revoked_at")

    class Meta:
        model = Enrolment
        fields = [
            "enrolmentId", "withToken", "madeBy", "createdAt", "expiresAt", "usedAt", "usedBy", "revokedAt",
        ]  # fmt: skip


class MadeSerializer(EnrolmentSerializer):
    token = serializers.CharField(help_text="Shown now and never again; the machine's kernel is given eim.enrol=TOKEN.")

    class Meta(EnrolmentSerializer.Meta):
        fields, ref_name = [*EnrolmentSerializer.Meta.fields, "token"], "NewEnrolmentResource"


class EnrolmentsSerializer(serializers.Serializer):
    enrolments = EnrolmentSerializer(many=True)


HOST = [
    OpenApiParameter("projectName", location="path"),
    OpenApiParameter("resourceId", location="path", pattern="^host-[0-9a-f]{8}$", description="The host's id."),
]


class Enrolments(APIView):
    """Which machines may have the credentials of a host."""

    serializer_class = EnrolmentRequestSerializer

    @extend_schema(
        operation_id="HostService_ListEnrolments", tags=["HostService"], parameters=HOST,
        summary="List the enrolments of a host", responses={200: EnrolmentsSerializer},
    )  # fmt: skip
    def get(self, request, resourceId: str, **kwargs):
        """Which machines may have the host's credentials, and did. Tokens themselves are never shown again."""
        host = by_id(Host.objects.all(), resourceId)
        return Response({"enrolments": EnrolmentSerializer(enrolment.of(host), many=True).data})

    @extend_schema(
        operation_id="HostService_CreateEnrolment", tags=["HostService"], parameters=HOST,
        summary="Let a machine in", request=EnrolmentRequestSerializer, responses={200: MadeSerializer},
        examples=[OpenApiExample("Example", value={"hours": 24, "withToken": True}, request_only=True)],
    )  # fmt: skip
    def post(self, request, resourceId: str, **kwargs):
        """With a token, only the machine that shows it gets the host's credentials; without one, whichever has the

        host's UUID and serial number may have new ones, once, though it is installed.
        """
        host = by_id(Host.objects.all(), resourceId)
        wanted = EnrolmentRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        said = wanted.validated_data
        with transaction.atomic():
            made, token = enrolment.make(
                host, hours=said["hours"], with_token=said["withToken"], by=name_of(request.user)
            )
        made.token = token
        return Response(MadeSerializer(made).data)


class OneEnrolment(APIView):
    serializer_class = serializers.Serializer

    @extend_schema(
        operation_id="HostService_DeleteEnrolment", tags=["HostService"],
        parameters=[*HOST, OpenApiParameter("enrolmentId", int, location="path")],
        summary="Let nobody in by an enrolment any more",
        responses={200: inline_serializer("DeleteEnrolmentResponse", {})},
    )  # fmt: skip
    def delete(self, request, resourceId: str, enrolmentId: int, **kwargs):
        """Nobody is let in by it any more. A host that had one with a token goes on asking for one."""
        host = by_id(Host.objects.all(), resourceId)
        with transaction.atomic():
            found = enrolment.of(host).filter(pk=enrolmentId).first()
            if found is None:
                raise NotFound(f"{host} has no enrolment {enrolmentId}")
            enrolment.revoke(host, found)
        return Response({})


urlpatterns = [
    path("compute/hosts/<str:resourceId>/enrolments", Enrolments.as_view()),
    path("compute/hosts/<str:resourceId>/enrolments/<int:enrolmentId>", OneEnrolment.as_view()),
]

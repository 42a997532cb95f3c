"""Verbs about provisioning that the archived API didn't have, on routes of their own."""

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.response import Response

from inventory import errors
from inventory.api.fields import by_id
from inventory.models import Instance
from provisioning import workflow


class RunSerializer(serializers.Serializer):
    """An installation that was begun."""

    workflowId = serializers.CharField()
    attempt = serializers.IntegerField(help_text="How often it was tried, this time included.")


@extend_schema(
    operation_id="InstanceService_RetryInstance",
    tags=["InstanceService"],
    summary="Install an instance again",
    parameters=[
        OpenApiParameter("projectName", location="path"),
        OpenApiParameter("resourceId", location="path", pattern="^inst-[0-9a-f]{8}$", description="The instance's id."),
    ],
    request=None,
    responses={200: RunSerializer},
)
@api_view(["POST"])
def retry(request, resourceId: str, **kwargs) -> Response:
    """Install again, from the start, after a failure or in place of an attempt that hangs."""
    instance = by_id(Instance.objects.all(), resourceId)
    try:
        run = workflow.retry(instance)
    except workflow.NotToBeInstalled as why:
        raise errors.TransitionNotAllowed(str(why)) from why
    return Response({"workflowId": run.workflow_id, "attempt": run.attempt})


urlpatterns = [path("compute/instances/<str:resourceId>/retry", retry)]

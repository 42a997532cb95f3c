"""Verbs about provisioning that the archived API didn't have, on routes of their own."""

from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.response import Response

from inventory import errors
from inventory.models import Instance
from provisioning import workflow


@api_view(["POST"])
def retry(request, resource_id: str, **kwargs) -> Response:
    """Install again, from the start, after a failure or in place of an attempt that hangs."""
    instance = Instance.objects.filter(resource_id=resource_id).first()
    if instance is None:
        raise errors.NotFound("instance_resource not found")
    try:
        run = workflow.retry(instance)
    except workflow.NotToBeInstalled as why:
        raise errors.TransitionNotAllowed(str(why)) from why
    return Response({"workflowId": run.workflow_id, "attempt": run.attempt})


urlpatterns = [path("compute/instances/<str:resource_id>/retry", retry)]

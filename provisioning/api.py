"""Installations over HTTP, which the archived API didn't have: their history, the queue, and the verbs of operators."""

from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import errors
from inventory.api import fields
from inventory.api.queries import PageQuery
from inventory.models import Host, Instance, OperatingSystem
from provisioning import places, verbs, workflow
from provisioning.models import Workflow, WorkflowState
from tenants.permissions import name_of

PAGE = 100  # runs, if nobody says how many


class LogLineSerializer(serializers.Serializer):
    """One word from the machine."""

    at = serializers.DateTimeField()
    state = serializers.CharField()
    message = serializers.CharField()


class ActionSerializer(serializers.Serializer):
    """One step of an installation. What it is given isn't shown: secrets may be in it."""

    name = serializers.CharField()
    text = serializers.CharField(help_text="What it does, in words.")
    image = serializers.CharField()
    state = fields.Choice(choices=WorkflowState.choices, called="WorkflowState")
    message = serializers.CharField(help_text="The machine's last word about it.")
    timeoutSeconds = serializers.IntegerField()
    started = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True, help_text="How long it took.")
    log = LogLineSerializer(many=True, help_text="The first and the newest 49 words about it.")


class RunSerializer(serializers.Serializer):
    """One attempt to install an instance."""

    workflowId = serializers.CharField()
    instanceId = serializers.CharField()
    hostId = serializers.CharField()
    osId = serializers.CharField()
    attempt = serializers.IntegerField(help_text="How often it was tried, this time included.")
    template = serializers.CharField()
    state = fields.Choice(choices=WorkflowState.choices, called="WorkflowState")
    progress = serializers.CharField(help_text="`3/7: Streaming OS image`, or what it waits for.")
    reason = serializers.CharField(help_text="Why it failed, or was cancelled or paused.")
    askedBy = serializers.CharField(help_text="Who asked for this attempt; empty for the first one.")
    created = serializers.DateTimeField()
    heard = serializers.DateTimeField(allow_null=True, help_text="The machine's last word, or question.")
    started = serializers.DateTimeField(allow_null=True)
    finished = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True, help_text="It fails if nothing is heard until then.")


class WholeRunSerializer(RunSerializer):
    before = serializers.IntegerField(help_text="While it queues: how many of this project get a place before it.")
    actions = ActionSerializer(many=True)


class RunsSerializer(serializers.Serializer):
    workflows = RunSerializer(many=True)
    totalElements = serializers.IntegerField()
    hasNext = serializers.BooleanField()


class RunsQuery(PageQuery):
    state = fields.Choice(
        choices=WorkflowState.choices, called="WorkflowState", required=False,
        help_text="Only those in this state. The queue, STATE_QUEUED, comes in its order, all others newest first.",
    )  # fmt: skip
    instanceID = serializers.CharField(required=False, max_length=24, help_text="Only those of this instance.")
    hostID = serializers.CharField(required=False, max_length=24, help_text="Only those of this host.")


class RetrySerializer(serializers.Serializer):
    fromStart = fields.Flag(
        required=False, help_text="Repeat all steps, also those that are done and would be done just so again."
    )


class ReprovisionSerializer(serializers.Serializer):
    osID = fields.Text(
        required=False, allow_blank=True, max_length=24, help_text="Another operating system than the instance has."
    )


def as_json(run: Workflow, waits: str = "") -> dict[str, Any]:
    """waits: why those that queue do, if that is known already."""
    due = workflow.deadline(run)
    return {
        "workflowId": run.workflow_id, "instanceId": run.instance_id, "hostId": run.host_id, "osId": run.os_id,
        "attempt": run.attempt, "template": run.template, "state": run.state,
        "progress": waits if run.state == WorkflowState.QUEUED and waits else workflow.in_words(run),
        "reason": run.reason, "askedBy": run.who, "created": run.created_at, "heard": run.heard_at,
        "started": run.started_at, "finished": run.finished_at, "deadline": due and due[0],
    }  # fmt: skip


def _whole(run: Workflow) -> dict[str, Any]:
    return as_json(run) | {
        "before": places.before(run) if run.state == WorkflowState.QUEUED else 0,
        "actions": [
            {
                "name": action["name"], "text": workflow.PROGRESS.get(action["name"], action["name"]),
                "image": action["image"], "state": action["state"], "message": action["message"],
                "timeoutSeconds": action["timeout"], "started": _moment(action.get("started")),
                "seconds": action.get("seconds"),
                "log": [line | {"at": _moment(line["at"])} for line in action.get("log", [])],
            } for action in run.actions
        ],
    }  # fmt: skip


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


_PROJECT = OpenApiParameter("projectName", location="path", description="The project's name.")
_INSTANCE = OpenApiParameter(
    "resourceId", location="path", pattern=fields.pattern_of_id(Instance), description="The instance's id."
)
TAG = "WorkflowService"


@extend_schema(
    operation_id="WorkflowService_ListWorkflows", tags=[TAG], summary="List installations: attempts, and the queue",
    parameters=[_PROJECT, RunsQuery], responses={200: RunsSerializer},
)  # fmt: skip
@api_view(["GET"])
def runs(request: Request, **kwargs) -> Response:
    """Of all of the project's instances, or of one; the latest first, and the queue in its order."""
    asked = RunsQuery.read(request.query_params)
    for name, model in (("instanceID", Instance), ("hostID", Host)):
        if name in asked:
            fields.check_id(model, asked[name])
    columns = {"state": "state", "instanceID": "instance_id", "hostID": "host_id"}
    wanted = {columns[name]: value for name, value in asked.items() if name in columns}
    queue = asked.get("state") == WorkflowState.QUEUED
    found = Workflow.objects.filter(schema=connection.schema_name, **wanted).defer("inputs_sealed")
    found = found.order_by(*(["queued_at", "id"] if queue else ["-id"]))
    offset, size = asked.get("offset", 0), asked.get("pageSize", PAGE)
    page, total = [*found[offset : offset + size]], found.count()
    first = next((run for run in page if run.state == WorkflowState.QUEUED), None)
    waits = places.why_waiting(first) if first else ""
    return Response({
        "workflows": [as_json(run, waits) for run in page],
        "totalElements": total, "hasNext": offset + len(page) < total,
    })  # fmt: skip


@extend_schema(
    operation_id="WorkflowService_GetWorkflow", tags=[TAG], summary="Get an installation with its steps and their logs",
    parameters=[_PROJECT, OpenApiParameter("workflowId", location="path", pattern=r"^workflow-[0-9a-f]{16}$")],
    responses={200: WholeRunSerializer},
)  # fmt: skip
@api_view(["GET"])
def run(request: Request, workflowId: str, **kwargs) -> Response:
    """One attempt, with what became of each of its steps."""
    found = Workflow.objects.filter(schema=connection.schema_name, workflow_id=workflowId[:64]).first()
    if found is None:
        raise errors.NotFound("workflow not found")
    return Response(_whole(found))


def _verb(name: str, summary: str, body: type[serializers.Serializer] | None = None):
    """The view of a verb: POST, with what the body says."""

    @extend_schema(
        operation_id=f"WorkflowService_{name.capitalize()}Instance", tags=[TAG], summary=summary,
        description=verbs.VERBS[name].__doc__.partition(" Raises ")[0], parameters=[_PROJECT, _INSTANCE],
        request=body, responses={200: RunSerializer},
    )  # fmt: skip
    @api_view(["POST"])
    def view(request: Request, resourceId: str, **kwargs) -> Response:
        told: dict[str, Any] = {}
        if body is not None:
            said = body(data=request.data)
            said.is_valid(raise_exception=True)
            told = _arguments(said.validated_data)
        instance = fields.by_id(Instance.objects.all(), resourceId)
        try:
            return Response(as_json(verbs.VERBS[name](instance, name_of(request.user), **told)))
        except verbs.REFUSALS as why:
            raise errors.TransitionNotAllowed(str(why)) from why

    return view


def _arguments(said: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "fromStart" in said:
        told["from_start"] = said["fromStart"]
    if said.get("osID"):
        told["os"] = fields.by_id(OperatingSystem.objects.all(), said["osID"])
    return told


_AN_INSTANCE = "compute/instances/<str:resourceId>"
urlpatterns = [
    path("compute/workflows", runs),
    path("compute/workflows/<str:workflowId>", run),
    path(f"{_AN_INSTANCE}/retry", _verb("retry", "Go on with a failed installation", RetrySerializer)),
    path(f"{_AN_INSTANCE}/reprovision", _verb("reprovision", "Install an instance anew", ReprovisionSerializer)),
    path(f"{_AN_INSTANCE}/abort", _verb("abort", "End an installation")),
    path(f"{_AN_INSTANCE}/pause", _verb("pause", "Let an installation wait")),
    path(f"{_AN_INSTANCE}/resume", _verb("resume", "Go on with an installation that waits")),
]

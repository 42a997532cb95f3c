"""Reading a project's audit, for those who write in it. Of everything, superusers read in the public admin."""

import re
from datetime import datetime

from django.db.models import Q
from django.urls import path
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.errors import ResourceError
from tenants.models.audit import Audit
from tenants.permissions import WRITERS, HasProjectRole

LARGEST_PAGE = 1000
# What a client may ask for -> the column that must be equal
EQUAL = {
    "who": "who", "kind": "kind", "method": "method", "action": "action", "resourceId": "resource_id",
    "address": "address", "requestId": "request_id", "code": "code",
}  # fmt: skip


class AuditSerializer(serializers.ModelSerializer):
    resourceId = serializers.CharField(source="resource_id")
    userAgent = serializers.CharField(source="user_agent")
    requestId = serializers.CharField(source="request_id")

    class Meta:
        model = Audit
        fields = [
            "id", "at", "kind", "who", "subject", "method", "action", "resourceId", "address", "userAgent", "requestId",
            "status", "code",
        ]  # fmt: skip
        read_only_fields = fields


class AuditPage(serializers.Serializer):
    audit = AuditSerializer(many=True)
    hasNext = serializers.BooleanField()


class WritesHere(HasProjectRole):
    """im-rw: who may only read the inventory needn't know who else is there."""

    def needed(self, request):
        return WRITERS


class AuditView(APIView):
    """Newest first. The next page is asked for by ?before=, the id of the last line that is known."""

    permission_classes = [WritesHere]

    @extend_schema(
        operation_id="ListAudit", tags=["Audit"], summary="Who did what here", responses={200: AuditPage},
        parameters=[
            *(OpenApiParameter(name, str, description=f"Only lines with just this {name}.") for name in EQUAL),
            OpenApiParameter("status", int, description="Only lines with this HTTP status."),
            OpenApiParameter("from", datetime, description="Not before this time."),
            OpenApiParameter("to", datetime, description="Before this time."),
            OpenApiParameter("before", int, description="Older than the line with this id: the next page."),
            OpenApiParameter("pageSize", int, description=f"1 to {LARGEST_PAGE}; 100 without it."),
        ],
    )  # fmt: skip
    def get(self, request, **kwargs):
        query = request.query_params
        size = _number(query, "pageSize", 100, LARGEST_PAGE)
        wanted = Q(**{column: query[name] for name, column in EQUAL.items() if name in query})
        if "before" in query:
            wanted &= Q(id__lt=_number(query, "before", 0, 2**63 - 1))
        if "status" in query:
            wanted &= Q(status=_number(query, "status", 0, 599))
        if "from" in query:
            wanted &= Q(at__gte=_time(query, "from"))
        if "to" in query:
            wanted &= Q(at__lt=_time(query, "to"))
        # One more than is shown tells whether there is a next page; counting them all would take longer every day.
        # Row-level security alone would see to whose they are; said again, the index is used.
        mine = Audit.objects.filter(wanted, schema=request.project.schema_name)
        lines = [*mine.order_by("-id")[: size + 1]]
        return Response({"audit": AuditSerializer(lines[:size], many=True).data, "hasNext": len(lines) > size})


def _number(query, name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) <= most:
        raise ResourceError(f"{name} is a number from 1 to {most}, not {text[:40]!r}")
    return int(text)


def _time(query, name: str) -> datetime:
    try:
        found = parse_datetime(query[name])
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ResourceError(f"{name} is a time like 2026-11-24T16:00:00Z, not {query[name][:40]!r}")
    return found


urlpatterns = [path("v1/projects/<str:projectName>/audit", AuditView.as_view())]

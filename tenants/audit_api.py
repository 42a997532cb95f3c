"""Reading a project's audit, for those who write in it. Of everything, superusers read in the public admin."""

import re
from datetime import datetime

from django.db.models import Q
from django.urls import path
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.errors import NoAccess, ResourceError
from tenants.models.audit import Audit
from tenants.permissions import WRITERS, roles_in, why_unserved

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


class WritesHere(BasePermission):
    """im-rw: who may only read the inventory needn't know who else is there."""

    message = str(NoAccess())  # as everywhere: whether there is such a project isn't told

    def has_permission(self, request, view):
        if not request.user or not request.user.is_authenticated:
            return False
        if request.project is None:
            raise why_unserved(request)
        return bool(roles_in(request.user, request.project) & WRITERS)


class AuditView(APIView):
    """Newest first. The next page is asked for by ?before=, the id of the last line that is known."""

    permission_classes = [WritesHere]

    @extend_schema(
        responses=AuditPage,
        parameters=[OpenApiParameter(name, str) for name in (*EQUAL, "before", "pageSize", "from", "to", "status")],
    )
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

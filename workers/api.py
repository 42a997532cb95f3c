"""The domains of AMT's admin control mode, as the archived API had them: RPS keeps them, for each project its own.

A domain is a DNS suffix and the certificate that machines of that domain trust whoever activates them by.
"""

from typing import Any
from urllib.parse import quote

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inventory import errors
from inventory.api.body import JsonBody
from inventory.api.document import ErrorSerializer
from inventory.api.fields import Pattern, Text
from workers import activation
from workers.drivers.amt import NOT_CONNECTED, Rps
from workers.drivers.base import Fault, Unable

SHOWN = ("profileName", "domainSuffix", "provisioningCertStorageFormat", "expirationDate", "tenantId", "version")
NAME = r"^[a-zA-Z0-9\-_. ]{1,128}$"


class Unavailable(errors.InventoryError):
    """RPS is away, or says no."""

    code, status = "Unavailable", 503


class NotSetUp(errors.InventoryError):
    """There is no RPS here."""

    code, status = "FailedPrecondition", 400


class DomainSerializer(serializers.Serializer):
    """A domain; its certificate and the password of that are written and never shown."""

    profileName = Pattern(NAME, help_text="The domain's name here.")
    domainSuffix = Pattern(r"^[a-zA-Z0-9\-.]{1,255}$", help_text="As DHCP tells it to machines: example.com")
    provisioningCert = Pattern(r"^[A-Za-z0-9+/=]+$", max_length=50_000, write_only=True, help_text="A PFX, in base64.")
    provisioningCertPassword = Text(max_length=64, write_only=True)
    provisioningCertStorageFormat = serializers.ChoiceField(["string", "raw"], default="string")
    expirationDate = serializers.CharField(read_only=True)
    tenantId = serializers.CharField(read_only=True)
    version = serializers.CharField(read_only=True)

    class Meta:
        ref_name = "AmtDomain"

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": "a JSON object is needed"})
        return super().to_internal_value(data)


class DomainsSerializer(serializers.Serializer):
    data = DomainSerializer(many=True)
    totalCount = serializers.IntegerField()

    class Meta:
        ref_name = "AmtDomains"


def _documented(operation: str, summary: str, answer: Any, **more: Any):
    project = OpenApiParameter("projectName", location="path")
    name = OpenApiParameter("name", location="path", description="The domain's profileName.")
    named = [name] if more.pop("one", False) else []
    return extend_schema(
        operation_id=f"AmtDomainService_{operation}", tags=["AmtDomainService"], summary=summary,
        parameters=[project, *named, *more.pop("parameters", [])],
        responses={200: answer, 503: ErrorSerializer}, **more,
    )  # fmt: skip


class Domains(APIView):
    """The domains of admin control mode."""

    parser_classes = [JsonBody]

    @_documented("ListDomains", "List the domains", DomainsSerializer, parameters=[
        OpenApiParameter(name, location="query", description=what)
        for name, what in (("$count", "Whether to count, which is always done."), ("$top", "At most so many."),
                           ("$skip", "Without the first ones."))
    ])  # fmt: skip
    def get(self, request: Request, **_: Any) -> Response:
        asked = {"$count": "true"} | {
            name: value for name in ("$top", "$skip") if (value := request.query_params.get(name, "")).isdecimal()
        }
        answer = _asked("GET", "", params=asked)
        rows = answer.get("data")
        data = [_shown(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        total = answer.get("totalCount")
        return Response({"data": data, "totalCount": total if isinstance(total, int) else len(data)})

    @_documented("CreateDomain", "Add a domain", DomainSerializer, request=DomainSerializer)
    def post(self, request: Request, **_: Any) -> Response:
        said = DomainSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        return Response(_shown(_asked("POST", "", json=said.validated_data)))


class Domain(APIView):
    """One domain of admin control mode."""

    @_documented("GetDomain", "Read a domain", DomainSerializer, one=True)
    def get(self, request: Request, name: str, **_: Any) -> Response:
        return Response(_shown(_asked("GET", name)))

    @_documented("DeleteDomain", "Delete a domain", {"type": "object"}, one=True)
    def delete(self, request: Request, name: str, **_: Any) -> Response:
        _asked("DELETE", name)
        return Response({})


def _asked(method: str, name: str, **options: Any) -> dict[str, Any]:
    """What RPS answers to the current project."""
    place = "/".join(["admin/domains", *([quote(name, safe="")] if name else [])])
    try:
        rps = Rps(activation.tenant_here())
        answer = rps.call(method, place, **options)
        if name and answer.status_code == 404:
            raise errors.NotFound(f"There is no domain {name[:128]!r}")
        if answer.status_code == 400:
            raise errors.InventoryError(f"RPS refuses the domain: {_why(answer)}")
        return rps.read(answer) if answer.content else {}
    except Unable as no:
        raise NotSetUp(str(no)) from no
    except Fault as fault:
        said = str(fault)
        raise Unavailable("RPS doesn't know of domains" if said == NOT_CONNECTED else said) from fault


def _why(answer: Any) -> str:
    try:
        read = answer.json()
    except ValueError:
        return "no reason given"
    return str(read.get("message") or read.get("error") if isinstance(read, dict) else read)[:200]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(row.get(name) or "") for name in SHOWN}


urlpatterns = [
    path("dm/amt/admin/domains", Domains.as_view()),
    path("dm/amt/admin/domains/<str:name>", Domain.as_view()),
]

"""How a refusal looks over HTTP.

Clients of the archived system look for `"code":"FailedPrecondition"` and for some sentences in the raw body, so codes
are the names of gRPC codes and bodies are {"code", "message"}.
"""

from django.core.exceptions import ValidationError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from tenants.errors import (
    AlreadyClaimed,
    Duplicate,
    Gone,
    InUse,
    LeaseLost,
    NotFound,
    NotYours,
    ResourceError,
    TransitionNotAllowed,
    challenge,
)

InventoryError = ResourceError  # its name on this floor

__all__ = [
    "Duplicate", "Gone", "InUse", "InventoryError", "LeaseLost", "NotFound", "NotYours", "TransitionNotAllowed",
    "as_response", "sentence",
]  # fmt: skip


_CODES = {400: "InvalidArgument", 401: "Unauthenticated", 403: "PermissionDenied", 404: "NotFound",
          405: "Unimplemented", 409: "AlreadyExists", 413: "InvalidArgument", 415: "InvalidArgument",
          429: "ResourceExhausted"}  # fmt: skip


def as_response(problem: Exception, context) -> Response | None:
    """DRF's exception handler: every refusal as {"code", "message"}. None lets Django answer 500."""
    headers = {}
    match problem:
        case ResourceError():
            code, message, status = problem.code, str(problem), problem.status
            if problem.retry_after:
                headers["Retry-After"] = str(problem.retry_after)
            if status == 401:
                headers["WWW-Authenticate"] = challenge("invalid_request", message)
        case AlreadyClaimed():
            code, message, status = "FailedPrecondition", str(problem), 400
        case ValidationError():
            code, message, status = "InvalidArgument", "; ".join(problem.messages), 400
        case Http404():
            code, message, status = "NotFound", str(problem) or "not found", 404
        case exceptions.APIException():
            status = problem.status_code
            code, message = _CODES.get(status, "Internal"), sentence(problem.detail)
            if isinstance(problem, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
                headers["WWW-Authenticate"] = getattr(problem, "auth_header", challenge("", message))
        case _:
            return None
    set_rollback()
    return Response({"code": code, "message": message}, status=status, headers=headers)


def sentence(detail) -> str:
    """DRF's nested details as one sentence: `name: too long; sha256: required`."""
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {sentence(inner)}" for field, inner in detail.items())
    if isinstance(detail, list):
        return "; ".join(sentence(inner) for inner in detail if inner)
    return str(detail)

"""How a refusal looks over HTTP.

Clients of the archived system look for `"code":"FailedPrecondition"` and for some sentences in the raw body, so codes
are the names of gRPC codes and bodies are {"code", "message"}.
"""

from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import DataError, IntegrityError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from inventory.naming import camel
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
    "Aborted", "AlreadyExists", "Changed", "Duplicate", "Gone", "InUse", "InventoryError", "LeaseLost", "NotFound",
    "NotYours", "TransitionNotAllowed", "as_response", "sentence",
]  # fmt: skip


class Aborted(InventoryError):
    """Somebody else changed the same at the same moment. Trying again may succeed."""

    code, status = "Aborted", 409


class AlreadyExists(InventoryError):
    """It is what it is asked to become already, of another one."""

    code, status = "AlreadyExists", 409


class Changed(InventoryError):
    """The resource isn't any more what If-Match says that the client has read."""

    code, status = "FailedPrecondition", 412


_CODES = {400: "InvalidArgument", 401: "Unauthenticated", 403: "PermissionDenied", 404: "NotFound",
          405: "Unimplemented", 406: "InvalidArgument", 409: "AlreadyExists", 413: "InvalidArgument",
          415: "InvalidArgument", 429: "ResourceExhausted"}  # fmt: skip


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
            code, message, status = "InvalidArgument", _sentence_of_model(problem), 400
        case IntegrityError():  # found at the commit: what a row refers to went in the meantime
            code, message, status = "Aborted", "What this refers to changed meanwhile: read it, and try again", 409
        case DataError():
            code, message, status = "InvalidArgument", "A value is not one that can be stored", 400
        case RequestDataTooBig():
            code, message, status = "InvalidArgument", "The body is too large", 413
        case SuspiciousOperation():
            code, message, status = "InvalidArgument", str(problem), 400
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


def unknown_path(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler404 for what no endpoint has: clients of the API read JSON."""
    return JsonResponse({"code": "NotFound", "message": f"there is nothing at {request.path}"}, status=404)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler400, for what is refused before an endpoint sees it: a host that isn't ours, a body too large."""
    return JsonResponse({"code": "InvalidArgument", "message": f"refused: {exception}"}, status=400)


def _sentence_of_model(problem: ValidationError) -> str:
    if not hasattr(problem, "error_dict"):
        return "; ".join(problem.messages)
    named = problem.message_dict.items()
    return "; ".join(
        " ".join(messages) if name == NON_FIELD_ERRORS else f"{camel(name)}: {' '.join(messages)}"
        for name, messages in named
    )


def sentence(detail) -> str:
    """DRF's nested details as one sentence: `name: too long; sha256: required`."""
    if isinstance(detail, dict):
        own = api_settings.NON_FIELD_ERRORS_KEY  # of the whole, not of a field
        told = ((field, sentence(why)) for field, why in detail.items())
        return "; ".join(why if field == own else f"{field}: {why}" for field, why in told)
    if isinstance(detail, list):
        return "; ".join(sentence(inner) for inner in detail if inner)
    return str(detail)

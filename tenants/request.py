"""What comes with every request, whoever sends it: an id, a client's address, headers and a body in order."""

import ipaddress
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from tenants.errors import NotPrintable, ResourceError, TooLarge, challenge

log = logging.getLogger(__name__)

API = re.compile(r"^/(v\d+|edge-infra\.orchestrator\.apis/v2)/")
LARGEST_BODY = 100_000  # bytes, the limit that the archived API had; see takes_up_to()
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")
# White space may be in a body although it isn't printable; of the ASCII characters that Python takes for such, these.
_SPACES = dict.fromkeys(map(ord, "\t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"))
_SPACES |= dict.fromkeys(range(0x2000, 0x200B))

_bound: ContextVar[dict[str, str] | None] = ContextVar("bound", default=None)


@contextmanager
def bound(**facts: str) -> Iterator[None]:
    """Add these facts to every line that is logged inside."""
    token = _bound.set((_bound.get() or {}) | facts)
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**facts: str) -> None:
    """Add these to what is bound already, until the innermost bound() ends. Outside of any it does nothing."""
    if (innermost := _bound.get()) is not None:
        innermost.update(facts)


def begin(**facts: str) -> None:
    """Bind these for all that a task of asyncio does from here on, and what it starts: for a call that has its own."""
    _bound.set(facts)


def id_of(came_with: str) -> str:
    """A request's: the one that it came with, if that is one; else a new one."""
    return came_with if _SANE_ID.match(came_with) else secrets.token_hex(8)


def facts() -> dict[str, str]:
    return _bound.get() or {}


def refused(request: HttpRequest, problem: ResourceError) -> HttpResponse:
    """A refusal as clients of the API know it; as a line of text on pages."""
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = challenge("invalid_request", str(problem))
    if "text/html" in request.headers.get("Accept", ""):
        return HttpResponse(str(problem), content_type="text/plain", status=problem.status, headers=headers)
    body = {"code": problem.code, "message": str(problem)}
    return JsonResponse(
        body,
        status=problem.status,
        headers=headers,
        json_dumps_params={"separators": (",", ":"), "ensure_ascii": False},
    )


def takes_up_to(largest: int) -> Callable[[Any], Any]:
    """Decorates a view, function or class, whose requests may have bodies of up to `largest` bytes.

    Their characters aren't looked at: who takes more than the API's 100 KB takes files.
    """

    def mark(view: Any) -> Any:
        view.largest_body = largest
        return view

    return mark


class RequestMiddleware:
    """The outermost of ours. Sets request.request_id and request.client_address; dresses what is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.client_address = _behind_proxies(request)
        with bound(request_id=request.request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request.request_id
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response


def _behind_proxies(request: HttpRequest) -> str:
    """The address of whoever asks. Only what our own proxies have added to X-Forwarded-For is believed.

    Their X-Forwarded-Proto is, too: it becomes the request's scheme.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if not settings.TRUSTED_PROXIES or not _is_proxy(address):
        return address
    if request.META.get("HTTP_X_FORWARDED_PROTO") == "https":
        request.META["wsgi.url_scheme"] = "https"
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        try:
            address = str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            break  # nothing in front of it is worth more
        if not _is_proxy(address):
            break
    return address


def _is_proxy(address: str) -> bool:
    try:
        return any(ipaddress.ip_address(address) in network for network in settings.TRUSTED_PROXIES)
    except ValueError:
        return False  # a Unix socket has none


class OrderlyMiddleware:
    """Refuses what no view should have to look at: unprintable headers and bodies, and bodies that are too large."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        for name, value in request.META.items():
            if name.startswith("HTTP_") and not (value.isascii() and value.isprintable()) and not _is_readable(value):
                header = name.removeprefix("HTTP_").replace("_", "-").title()
                return refused(request, NotPrintable(f"The header {header} has characters that aren't printable"))
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return refused(request, NotPrintable("The URL has a null character"))
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        """Before any view reads the body, and after it is known which view that is."""
        declared = getattr(view, "largest_body", None) or getattr(
            getattr(view, "cls", getattr(view, "view_class", None)), "largest_body", None
        )
        largest = declared or LARGEST_BODY
        if int(request.META.get("CONTENT_LENGTH") or 0) > largest:
            return refused(request, TooLarge(f"The body has more than {largest:,} bytes"))
        if declared or request.method in ("GET", "HEAD", "OPTIONS") or not API.match(request.path_info):
            return None
        if request.content_type in ("", "application/json") and not _is_printable(request.body):
            return refused(request, NotPrintable("The body has characters that aren't printable"))
        return None


def _is_readable(header: str) -> bool:
    """WSGI gives a header's bytes as latin-1, whatever they were."""
    return _is_printable(header.encode("latin-1", "replace"))


def _is_printable(raw: bytes) -> bool:
    text = raw.decode(errors="replace")
    return text.isprintable() or text.translate(_SPACES).isprintable()

"""Writing the audit. What is old of it goes by tenants/expired.py.

A line is written after the request, by a statement of its own. A line in the request's transaction would be rolled
back with what was refused, and those are the lines that are asked for most; a line before it would have to be changed
when the result is known, and nothing in the audit is ever changed. What a crash between the two loses isn't who did
it: the journal (tenants.Event) is written with each change, in its transaction.
"""

import getpass
import logging
import os
from collections.abc import Callable
from contextlib import nullcontext

from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from django.utils import timezone

from tenants import limits
from tenants.credentials import client_id_of
from tenants.models import EdgeCredential, User
from tenants.models.audit import Audit
from tenants.permissions import name_of
from tenants.request import bind
from tenants.statements import insert
from tenants.tokens import Caller

log = logging.getLogger(__name__)

READS = ("GET", "HEAD", "OPTIONS", "TRACE")
NODE = client_id_of("")  # how the client ids of nodes begin
# Commands that change nothing, or that are the server itself. Any other is audited: a new one isn't forgotten.
UNAUDITED = {
    "", "help", "version", "--help", "--version", "check", "test", "shell", "runserver", "up", "down", "memory",
    "southbound", "machine", "machine_life", "machine_update", "showmigrations", "makemigrations", "sqlmigrate",
    "diffsettings", "collectstatic", "findstatic", "bulk_check", "bulk_export", "spectacular", "outstanding",
    "settings", "doctor", "nginx", "bmc", "exporter", "watch_tinkerbell",
}  # fmt: skip
ELSEWHERE = {"-h", "--help", "--url", "--list", "--plan"}  # options with which a command changes nothing here
NAMED_BY_ITS_FIRST_WORD = {"create_project", "delete_project", "changepassword", "prepare"}


class AuditMiddleware:
    """Stands inside the tenant's schema, so that each project's lines are its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method not in READS:
            record(request, response)
        return response

    def process_view(self, request: HttpRequest, view, args, kwargs) -> None:
        request.asked_by = request.user  # after a logout it is another
        if resource := _resource_of(kwargs):
            bind(resource_id=_shown(resource, 64))


def record(request: HttpRequest, response: HttpResponse) -> None:
    kind, who, subject = _asker(request)
    if kind == Audit.Kind.NODE and response.status_code < 400 and _is_sign_in(request):
        return  # 10,000 nodes fetch a token each hour; what they do with it is told by what they report
    if response.status_code in (401, 403, 429) and _too_many_refusals(request):
        return
    match, data = request.resolver_match, getattr(response, "data", None)
    answered = data if isinstance(data, dict) else {}
    _write(
        kind=kind, who=who, subject=subject, method=request.method,
        action=_shown(_action_of(match, request.method) if match else "", 100),
        resource_id=_shown(_resource_of(match.kwargs if match else {}) or answered.get("resourceId", ""), 64),
        address=request.client_address, user_agent=_shown(request.META.get("HTTP_USER_AGENT", ""), 100),
        request_id=request.request_id, status=response.status_code,
        code=_shown(answered.get("code", ""), 32) if response.status_code >= 400 else "",
    )  # fmt: skip


def record_command(words: list[str], failed: bool) -> None:
    """A line for what was typed at the server; of its words only names, for others may be secrets."""
    name, *rest = words or [""]
    if name in UNAUDITED or ELSEWHERE & {word.partition("=")[0] for word in rest}:
        return
    connection.set_schema_to_public()
    _write(
        kind=Audit.Kind.COMMAND, who=os.environ.get("SUDO_USER") or getpass.getuser(), method="RUN",
        action=_shown(name, 100), resource_id=_shown(rest[0], 64) if name in NAMED_BY_ITS_FIRST_WORD and rest else "",
        status=500 if failed else 200,
    )  # fmt: skip


def _write(**line) -> None:
    try:
        # A transaction of its own it needs only inside another one, as in tests.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            insert(Audit, schema=connection.schema_name, at=timezone.now(), **line)
    except DatabaseError as lost:
        # What was done is done; the line is kept where an operator looks next.
        log.error("a line of the audit could not be written", extra={"because": lost, **line})


def _asker(request: HttpRequest) -> tuple[str, str, str]:
    """(kind, name, subject) of whoever asks."""
    for user in (getattr(request, "user", None), getattr(request, "asked_by", None)):
        if isinstance(user, Caller):
            kind = Audit.Kind.NODE if user.client_id.startswith(NODE) else Audit.Kind.TOKEN
            return kind, _shown(user.name, 150), _shown(user.client_id, 64)
        if user is not None and user.is_authenticated:
            kind = Audit.Kind.PERSON if user.pk else Audit.Kind.ANYBODY
            return kind, name_of(user), str(user.pk or "")
    return _signing_in(request)


def _signing_in(request: HttpRequest) -> tuple[str, str, str]:
    """Of a sign-in, whose it was meant to be: only if they exist: people type passwords there, too."""
    form = request.POST if hasattr(request, "_post") else {}
    client, name = form.get("client_id", ""), form.get("username", "")
    if name and name.isprintable() and User.objects.filter(username=name).exists():
        return Audit.Kind.PERSON, name, _shown(client, 64) if client == "system-client" else ""
    if client.startswith(NODE) and client.isprintable() and EdgeCredential.objects.filter(client_id=client).exists():
        return Audit.Kind.NODE, client, client
    return Audit.Kind.NOBODY, "", ""


def _is_sign_in(request: HttpRequest) -> bool:
    return "grant_type" in (request.POST if hasattr(request, "_post") else {})


def _too_many_refusals(request: HttpRequest) -> bool:
    limiter = limits.of_few()
    return bool(
        limiter.hit(limits.REFUSALS_OF_AN_ADDRESS, "refused", limits.network_of(request.client_address))
        or limiter.hit(limits.REFUSALS, "refused", connection.schema_name)
    )


def _action_of(match: ResolverMatch, method: str) -> str:
    """`Host.register` of the API, by the view's name and its verb; else the name of the route."""
    if (view := getattr(match.func, "cls", None)) is None:
        return match.view_name
    noun = view.__name__.removesuffix("ViewSet").removesuffix("View")
    verb = getattr(match.func, "actions", {}).get(method.lower())
    return f"{noun}.{verb}" if verb else noun


def _resource_of(kwargs: dict) -> str:
    return next((str(kwargs[key]) for key in ("resource_id", "object_id", "pk", "name") if key in kwargs), "")


def _shown(text: object, longest: int) -> str:
    shown = str(text)[:longest]
    return shown if shown.isprintable() else "".join(c if c.isprintable() else "?" for c in shown)

"""Making one project's or organization's wish true here and now, as a worker would: for commands, which may be typed

before any worker runs, and which tell how it goes.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from rich.console import Console

from tenants.errors import ResourceError
from tenants.models import TenantState
from tenants.models.project import Named
from workers import engine, models

TRIES = 3  # that fail; a worker would go on, but somebody waits here
LOOK_EVERY = 0.2  # seconds, while a worker has it


def make(model: type[Named], name: str, **columns: Any) -> Named:
    """The one of this name, asked for now if it isn't there, and attended to. Raises CommandError."""
    row = model.objects.filter(name=name).first()
    try:
        if row is None:
            row = model(name=name, **columns)
            row.ask(state=TenantState.CREATED)
    except (ResourceError, ValidationError) as refusal:
        raise CommandError("; ".join(getattr(refusal, "messages", [str(refusal)]))) from refusal
    if row.is_going:
        raise CommandError(f"{row.called} {name} is being deleted; make it anew when it is gone")
    attend(row)
    row.refresh_from_db()
    return row


def ask_to_go(row: Named) -> None:
    """Raises CommandError if it can't go."""
    try:
        row.ask(state=TenantState.DELETED)
    except ResourceError as refusal:
        raise CommandError(str(refusal)) from refusal


def attend(resource: Named) -> None:
    """Work at it until it is as it was wished for, and tell what changes. Raises CommandError, which says why not.

    If a worker has it already, its work is waited for. Call from public.
    """
    kind = type(resource)
    [reconciler] = (r for r in engine.registry.values() if r.model is kind and r.pair == "state")
    engine.wake_outstanding(reconciler, "public", [resource.pk], asked=[resource.pk])
    with _teller() as tell:
        while (row := kind.objects.filter(pk=resource.pk).first()) and not row.is_so:
            tell(row.shown[0].text)
            work = models.claim_this("public", reconciler.name, row.pk, engine.lease())
            if work:
                engine.run(work)
            else:
                time.sleep(LOOK_EVERY)
            _give_up(reconciler, row)


def _give_up(reconciler: engine.Reconciler, row: Named) -> None:
    outstanding = models.Work.objects.filter(schema="public", reconciler=reconciler.name, target=row.pk).first()
    if outstanding is None:
        engine.wake_outstanding(reconciler, "public", [row.pk])  # done with the wish before this one
    elif outstanding.refused or outstanding.attempts >= TRIES:
        why = outstanding.why.splitlines()[0]
        raise CommandError(f"{row.says('')}: {why}" + ("" if outstanding.refused else "; workers go on trying"))


@contextmanager
def _teller() -> Iterator[Callable[[str], None]]:
    """A line that changes; where there is no terminal, a line for each change."""
    if sys.stderr.isatty():
        with Console(stderr=True).status("") as shown:
            yield shown.update
    else:
        told: list[str] = []

        def tell(line: str) -> None:
            if told[-1:] != [line]:
                told.append(line)
                print(line, file=sys.stderr)

        yield tell

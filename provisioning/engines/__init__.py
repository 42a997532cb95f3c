"""Who makes runs happen on machines: the engine that the setting PROVISIONING_ENGINE names, a module in here.

All of a run's life that doesn't depend on who works at it is in provisioning/workflow.py: rows, queue, deadlines,
verbs, statuses. What an engine must do is in Engine. All its functions are called in the tenant's schema, by the loop
(so what they raise is a passing fault and is tried again, and workers.engine.Refused is final), and any of them may be
called twice, or for a run that somebody took away meanwhile.
"""

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from django.conf import settings

from provisioning.models import Workflow


class Engine(Protocol):
    OUTSIDE: bool
    """Whether it makes things outside of our database: then end() is called for each run that begin() was called for,
    or nearly was, before its instance goes and before the next attempt begins."""

    def begin(self, run: Workflow) -> None:
        """The run has its place: let its worker have it. Called as long as the run is PENDING, also after a pause.

        workflow.document(run) is all of it in the form of Tinkerbell's templates, secrets included: never log or store
        it. If it can't be made, as when the host's credentials were revoked, that raises workflow.NotTrusted.
        """

    def look(self, run: Workflow) -> None:
        """The run is PENDING, RUNNING or PAUSED: tell workflow.follow() what is so, if the machine doesn't by itself.

        Called when something rings for the instance, and every minute. Whoever hears sooner (a watch) calls follow()
        at once, inside the tenant's schema.
        """

    def pause(self, run: Workflow) -> None:
        """The run is PAUSED: give out no further action. Raises Refused if that can't be."""

    def end(self, run: Workflow) -> None:
        """The run has ended, or isn't wanted any more: take back what begin() made. Nothing there is no fault."""


@cache
def _named(name: str) -> Engine:
    return cast(Engine, import_module(f"provisioning.engines.{name}"))


def engine() -> Engine:
    return _named(settings.PROVISIONING_ENGINE)

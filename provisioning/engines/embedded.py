"""The engine that we are ourselves: workers ask our own door (provisioning/servicers.py), which reads the rows.

So there is nothing to make or to take back elsewhere, and nothing to look at: what workers report, the door writes.
"""

from provisioning.models import Workflow

OUTSIDE = False


def begin(run: Workflow) -> None:
    """The worker's next poll finds it."""


def look(run: Workflow) -> None:
    """The door was told all there is."""


def pause(run: Workflow) -> None:
    """The door gives out no action of a run that is paused."""


def end(run: Workflow) -> None:
    """The door gives out no action of a run that has ended."""

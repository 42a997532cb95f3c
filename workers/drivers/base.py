"""What a driver is: four verbs about the power of one machine. A file of this folder that declares one is all it takes.

A driver touches no database and knows no tenant's schema: it is given plain values, and may be used on any thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

from inventory.models import PowerState
from inventory.vendors import Declaration, declare


class Fault(Exception):
    """The machine's management is away, slow, wrong or unfriendly. It may pass. str() is shown to the operator."""


class Unable(Exception):
    """It can't be done with this machine or this config, however often it is tried. str() is shown to the operator."""


@dataclass(frozen=True)
class Machine:
    """Whose power it is, and through what it is switched."""

    resource_id: str
    uuid: UUID | None
    serial: str
    tenant: UUID
    endpoint: str  # a URL; what stood in <> is filled in
    credentials: tuple[str, ...] = field(default=(), repr=False)
    config: str = ""  # JSON, as the declaration says


class Driver(Protocol):
    def __init__(self, machine: Machine) -> None: ...

    def validate(self) -> None:
        """Raises Fault or Unable if the machine's power can't be spoken about."""

    def can(self) -> frozenset[PowerState]:
        """What this machine can be asked to become. Raises as validate() does."""

    def get(self) -> PowerState:
        """What is so; UNSPECIFIED while it is neither. Raises as validate() does."""

    def set(self, state: PowerState, *, ordered: bool) -> None:
        """Begin to make it so. ordered: let its operating system end first. Raises as validate() does."""

    def close(self) -> None:
        """Let go of connections."""


D = TypeVar("D", bound=type)
drivers: dict[tuple[str, str], Callable[[Machine], Any]] = {}


def serves(declaration: Declaration) -> Callable[[D], D]:
    """Class decorator of the driver of such providers."""

    def register(driver: D) -> D:
        declare(declaration)
        drivers[declaration.kind, declaration.vendor] = driver
        driver.declaration = declaration  # type: ignore[attr-defined]
        return driver

    return register

"""Redfish, by sushy: power, the boot device, and virtual media where the controller has it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import sushy
from django.conf import settings
from django.core.exceptions import ValidationError
from sushy import auth, connector
from sushy import exceptions as wrong
from sushy.resources.system.system import System

from inventory.models import PowerState, ProviderKind, ProviderVendor
from inventory.vendors import Can, Declaration
from workers.drivers import web
from workers.drivers.base import Fault, Machine, Unable, serves

MOST_SYSTEMS = 16  # of one controller that are asked one by one who they are

STATES = {
    "On": PowerState.ON,
    "Off": PowerState.OFF,
    "Paused": PowerState.SLEEP,
    "PoweringOn": PowerState.UNSPECIFIED,
    "PoweringOff": PowerState.UNSPECIFIED,
}
# What a machine is told, the best first; when its operating system is to end before, what comes first then.
COMMANDS = {
    PowerState.ON: ["On", "ForceOn"],
    PowerState.OFF: ["ForceOff", "GracefulShutdown"],
    PowerState.RESET: ["ForceRestart", "GracefulRestart"],
    PowerState.RESET_REPEAT: ["ForceRestart", "GracefulRestart"],
    PowerState.POWER_CYCLE: ["PowerCycle", "FullPowerCycle", "ForceRestart"],
    PowerState.SLEEP: ["Suspend", "Pause"],
}
ORDERED = {
    PowerState.OFF: ["GracefulShutdown", "ForceOff"],
    PowerState.RESET: ["GracefulRestart", "ForceRestart"],
    PowerState.RESET_REPEAT: ["GracefulRestart", "ForceRestart"],
}
NEEDS_POWER = {PowerState.RESET, PowerState.RESET_REPEAT, PowerState.POWER_CYCLE, PowerState.SLEEP}
BOOT = {"network": sushy.BootSource.PXE, "disk": sushy.BootSource.HDD, "media": sushy.BootSource.CD}


@serves(Declaration(
    kind=ProviderKind.BAREMETAL,
    vendor=ProviderVendor.REDFISH,
    can=frozenset({Can.POWER, Can.BOOT_DEVICE, Can.VIRTUAL_MEDIA}),
    credentials=("user name", "password"),
    config={
        "type": "object",
        "properties": {
            "system": {"type": "string", "pattern": "^/redfish/", "maxLength": 200},
            "network": {"type": "string", "maxLength": 50},
            "ca": {"type": "string", "minLength": 100},
            "fingerprint": {"type": "string", "pattern": "^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"},
        },
        "additionalProperties": False,
        "examples": [{"system": "/redfish/v1/Systems/1", "fingerprint": "AB:CD:..."}],
    },
))  # fmt: skip
class Redfish:
    """One machine behind one controller. The system is found once: by config, by its UUID, or as the only one."""

    declaration: Declaration

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._session: web.Session | None = None
        self._system: System | None = None  # no cached_property: before Python 3.12 all objects of it share a lock

    def validate(self) -> None:
        with self._spoken():
            self._refreshed()

    def can(self) -> frozenset[PowerState]:
        with self._spoken():
            allowed = _allowed(self._refreshed())
            return frozenset(state for state, commands in COMMANDS.items() if allowed & {*commands})

    def get(self) -> PowerState:
        with self._spoken():
            said = self._refreshed().json.get("PowerState")
            if said not in STATES:
                raise Fault(f"{self._where} says that its power is {str(said)[:50]!r}, which is no state")
            return STATES[said]

    def set(self, state: PowerState, *, ordered: bool) -> None:
        with self._spoken():
            system = self._refreshed()
            if state in NEEDS_POWER and system.json.get("PowerState") == "Off":
                raise Fault("Device must be powered on first")
            wanted = ORDERED.get(state, COMMANDS.get(state, [])) if ordered else COMMANDS.get(state, [])
            allowed = _allowed(system)
            command = next((command for command in wanted if command in allowed), None)
            if command is None:
                knows = ", ".join(sorted(allowed)) or "nothing"
                raise Unable(f"{self._where} can't be set to {state}: it knows {knows}")
            system.reset_system(sushy.ResetType(command))

    def boot_from(self, device: str, *, image: str = "") -> None:
        """The next start only: "network", "disk" or "media", which is then inserted from the URL `image`."""
        with self._spoken():
            system = self._refreshed()
            if device == "media":
                self._insert(system, image)
            system.set_system_boot_options(target=BOOT[device], enabled=sushy.BootSourceOverrideEnabled.ONCE)

    def _insert(self, system: System, image: str) -> None:
        holders = [*self._media(system)]
        if not holders:
            raise Unable(f"{self._where} has no virtual media for CDs and DVDs")
        if holders[0].inserted:
            holders[0].eject_media()
        holders[0].insert_media(image, inserted=True, write_protected=True)

    def _media(self, system: System) -> Iterator[Any]:
        disks = {sushy.VirtualMediaType.CD, sushy.VirtualMediaType.DVD}
        try:
            holders = [system, *system.managers]
        except wrong.MissingAttributeError:
            holders = [system]
        for holder in holders:
            try:
                yield from (one for one in holder.virtual_media.get_members() if disks & {*one.media_types})
            except wrong.MissingAttributeError:
                continue  # it has none

    def close(self) -> None:
        if self._session:
            self._session.close()

    # What it speaks to

    def _config(self) -> dict[str, Any]:
        try:
            return self.declaration.settings(self.machine.config)
        except ValidationError as no:
            raise Unable("; ".join(no.messages)) from no

    @property
    def _where(self) -> str:
        return f"The controller at {self.machine.endpoint}"

    def _refreshed(self) -> System:
        if self._system is None:
            self._system = self._found()
        else:
            self._system.refresh(force=True)
        return self._system

    def _found(self) -> System:
        login = auth.BasicAuth(*self.machine.credentials or ("", ""))
        root = sushy.Sushy(self.machine.endpoint, connector=self._connector(), auth=login)
        if path := self._config().get("system"):
            return self._itself(root.get_system(path))
        paths = root.get_system_collection().members_identities
        named = [path for path in paths if self._is_me(path.rstrip("/").rpartition("/")[2])]
        candidates = named or paths
        if len(candidates) > MOST_SYSTEMS:
            raise Unable(f"{self._where} has {len(paths)} systems: say by config.system which one it is")
        systems = [root.get_system(path) for path in candidates]
        if len(systems) == 1:
            return self._itself(systems[0])
        mine = [system for system in systems if self._is_me(system.uuid) or self._has_my_serial(system)]
        if len(mine) != 1:
            raise Unable(f"{self._where} has {len(paths)} systems, and {len(mine)} are this host: say config.system")
        return mine[0]

    def _connector(self) -> connector.Connector:
        config = self._config()
        ca = web.authority(config["ca"]) if "ca" in config else ""
        self._session = web.Session(self.machine.endpoint, ca=ca, fingerprint=config.get("fingerprint", ""))
        # One try: whoever looks again, and when, is not the driver's business.
        speaks = connector.Connector(self.machine.endpoint, server_side_retries=1, server_side_retries_delay=0.01)
        speaks._session = self._session
        return speaks

    def _itself(self, system: System) -> System:
        """Raises Unable if the system says that it is another machine: its power isn't ours to switch."""
        if self.machine.uuid and _uuid(system.uuid) and not self._is_me(system.uuid):
            raise Unable(f"{self._where} has the machine {system.uuid}, and this host is {self.machine.uuid}")
        return system

    def _is_me(self, uuid: str | None) -> bool:
        """Controllers and firmware disagree about the order of a UUID's first bytes."""
        said = _uuid(uuid)
        return said is not None and self.machine.uuid in (said, UUID(bytes_le=said.bytes))

    def _has_my_serial(self, system: System) -> bool:
        return bool(self.machine.serial) and system.json.get("SerialNumber") == self.machine.serial

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """All that may go wrong in between, as a Fault or Unable."""
        try:
            with web.talk(settings.BMC_TIMEOUT):
                yield
        except (Fault, Unable):
            raise
        except wrong.AccessError as no:
            raise Fault(f"{self._where} refuses the credentials") from no
        except wrong.HTTPError as no:
            raise Fault(f"{self._where} answered {no.status_code}: {_told(no)}") from no
        except wrong.ConnectionError as away:
            raise Fault(f"{self._where} doesn't answer: {str(away)[:200]}") from away
        except wrong.SushyError as odd:
            raise Fault(f"{self._where} doesn't speak Redfish as it should: {str(odd)[:200]}") from odd
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as odd:
            raise Fault(f"{self._where} answers what is no Redfish") from odd


def _allowed(system: System) -> set[str]:
    return {value.value for value in system.get_allowed_reset_system_values()}


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _told(problem: wrong.HTTPError) -> str:
    """The controller's own words, if there are any in its body."""
    said = problem.detail or (problem.body or {}).get("error", {}).get("message") or ""
    return said[:200] if isinstance(said, str) else json.dumps(said)[:200]

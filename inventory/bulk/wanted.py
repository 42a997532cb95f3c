"""What a row wants once its names are understood, and how far a registered host is from that.

Both importers, into the database and over the REST API, go by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from inventory.bulk.lookup import Catalog
from inventory.bulk.rows import Row
from inventory.errors import InventoryError
from inventory.models import HostState, InstanceState, SecurityFeature

SECURE = SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION
NO_CLUSTERS = (
    "Invalid K8s Enable: clusters are made by cluster orchestration, and not here: import with --cluster-deploy false, "
    "and make the cluster there"
)


class Outcome(StrEnum):
    IMPORTED = "imported"
    COMPLETED = "completed"  # it was there, but something that the row says was missing
    KNOWN = "already registered"
    FAILED = "failed"


class Differs(InventoryError):
    """The host is registered, but not as the row says."""


class KnownInstance(NamedTuple):
    os_id: str
    security_feature: str
    state: str  # desired
    account_id: str
    config_ids: set[str]


@dataclass
class Known:
    """A registered host, as far as rows speak of hosts."""

    resource_id: str
    uuid: UUID | None
    serial: str
    state: str  # desired
    said: dict[str, Any] = field(default_factory=dict)  # as Wanted.said
    instance: KnownInstance | None = None
    name: str = ""


class Wanted(NamedTuple):
    """A row with what its names stand for: things with a resource_id."""

    row: Row
    os: Any
    site: Any
    account: Any
    configs: list
    state: HostState

    @property
    def security_feature(self) -> SecurityFeature:
        return SECURE if self.row.secure else SecurityFeature.NONE

    @property
    def said(self) -> dict[str, Any]:
        """What the row says, or doesn't, of the host's columns that can be filled in later."""
        site_id = self.site.resource_id if self.site else ""
        return {"site_id": site_id, "metadata": self.row.metadata, "user_lvm_size": self.row.lvm_size_gb}

    def lacks(self, known: Known) -> set[str]:
        """What the row says and the host hasn't, by column. Raises Differs if it has something else."""
        if differences := sorted(self._differences(known)):
            raise Differs(f"{known.resource_id}: {', '.join(differences)}")
        lacks = {column for column, said in self.said.items() if said and not known.said[column]}
        if self.state == HostState.ONBOARDED != known.state:
            lacks.add("desired_state")
        if known.instance is None:
            lacks.add("instance")
        return lacks

    def _differences(self, known: Known) -> Iterator[str]:
        row = self.row
        for column, said in self.said.items():
            has = known.said[column]
            if said and has and not _agree(has, said):
                yield f"its {column.removesuffix('_id').replace('_', ' ')} is {_shown(has)}"
        if row.serial and known.serial != row.serial:
            yield f"its serial number is {known.serial or 'not known'}"
        if known.state in (HostState.UNTRUSTED, HostState.DELETED):
            yield f"it shall become {known.state}"
        if known.instance:
            yield from self._differences_of_instance(known.instance)

    def _differences_of_instance(self, instance: KnownInstance) -> Iterator[str]:
        if instance.os_id != self.os.resource_id:
            yield f"its operating system is {instance.os_id}"
        if self.row.secure is not None and instance.security_feature != self.security_feature:
            yield f"its security feature is {instance.security_feature}"
        if self.account and instance.account_id != self.account.resource_id:
            yield f"its local account is {instance.account_id or 'none'}"
        if not {config.resource_id for config in self.configs} <= instance.config_ids:
            yield f"its custom configs are {', '.join(sorted(instance.config_ids)) or 'none'}"
        if instance.state != InstanceState.RUNNING:
            yield f"its instance shall become {instance.state}"


def _agree(has: object, said: object) -> bool:
    """A host may have more metadata than its row gave it."""
    return all(pair in has for pair in said) if isinstance(said, list) else has == said


def _shown(value: object) -> str:
    return "&".join(f"{pair['key']}={pair['value']}" for pair in value) if isinstance(value, list) else str(value)


class Names:
    """Understands rows: which operating system, site, local account and custom configs they name."""

    def __init__(self, state: HostState, systems: Catalog, sites: Catalog, accounts: Catalog, configs: Catalog) -> None:
        """state: that the hosts shall be in."""
        self._state = state
        self._systems, self._sites, self._accounts, self._configs = systems, sites, accounts, configs

    def look_up(self, rows: list[Row]) -> None:
        self._systems.look_up({row.os for row in rows})
        self._sites.look_up({row.site for row in rows})
        self._accounts.look_up({row.account for row in rows})
        self._configs.look_up({name for row in rows for name in row.configs})

    def understood(self, row: Row) -> Wanted:
        """What names mean nothing, or too much, becomes the row's problems. Call look_up() before."""
        os = self._systems.the_one(row, "Invalid OS profile", row.os)
        site = self._sites.the_one(row, "Invalid Site", row.site)
        account = self._accounts.the_one(row, "Invalid Local Account", row.account)
        configs = [self._configs.the_one(row, "Invalid Cloud Init Meta", name) for name in row.configs]
        if os and row.secure and os.security_feature != SECURE:
            row.problems.append(f"OS Profile and Security feature mismatch: {os.resource_id} has no secure boot")
        if row.cluster:
            row.problems.append(NO_CLUSTERS)
        return Wanted(row, os, site, account, configs, self._state)


class Registered:
    """Hosts that are registered under a UUID or serial number of some rows."""

    def __init__(self, hosts: list[Known]) -> None:
        self._by_uuid = {host.uuid: host for host in hosts if host.uuid}
        self._by_serial: dict[str, list[Known]] = {}
        for host in hosts:
            self._by_serial.setdefault(host.serial, []).append(host)

    def host_of(self, row: Row) -> Known | None:
        """A row that gives a serial number alone means the host that has it, also when its UUID is known by now.

        Raises Differs.
        """
        if row.uuid in self._by_uuid:
            return self._by_uuid[row.uuid]
        same = self._by_serial.get(row.serial, []) if row.serial else []
        if row.uuid:
            same = [host for host in same if host.uuid is None]
            if same:
                raise Differs(f"{same[0].resource_id} has serial number {row.serial} and no UUID yet")
            return None
        if len(same) > 1:
            raise Differs(f"{len(same)} hosts have serial number {row.serial}, so give the UUID")
        return same[0] if same else None

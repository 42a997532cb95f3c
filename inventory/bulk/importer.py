"""Makes what the rows of a bulk file say: hosts, placed and labelled, with the wish that their instance runs.

A row only ever adds: what is missing is made, what is there is recognised, and what differs is told, never changed.
So a file can be imported again, whatever became of it the first time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model, Q

from inventory.bulk.creation import ask_for_all
from inventory.bulk.rows import Row
from inventory.errors import InventoryError
from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem, SecurityFeature, Site
from tenants.errors import AlreadyClaimed
from tenants.events import one_bell

BATCH = 500  # rows looked up together
SECURE = SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION


class Outcome(StrEnum):
    IMPORTED = "imported"
    COMPLETED = "completed"  # it was there, but something that the row says was missing
    KNOWN = "already registered"
    FAILED = "failed"


class Wanted(NamedTuple):
    """A row with what its names stand for."""

    row: Row
    os: OperatingSystem
    site: Site | None

    @property
    def security_feature(self) -> SecurityFeature:
        return SECURE if self.row.secure else SecurityFeature.NONE


class Differs(InventoryError):
    """The host is registered, but not as the row says."""


class Importer:
    """Imports rows into the project whose schema the connection is in."""

    def __init__(self, *, onboard: bool = False, dry_run: bool = False) -> None:
        """onboard: the hosts shall be onboarded as soon as they show up. dry_run: do everything, and take it back."""
        self._host_state = HostState.ONBOARDED if onboard else HostState.REGISTERED
        self._dry_run = dry_run
        self._systems = Catalog(OperatingSystem, "profile_name", "name")
        self._sites = Catalog(Site, "name")

    def run(self, rows: Iterable[Row]) -> Iterator[list[tuple[Row, Outcome]]]:
        """Batch by batch, in the rows' order. A row is whole or absent; why one failed is in its problems."""
        rows = iter(rows)
        while batch := list(islice(rows, BATCH)):
            with one_bell():
                outcomes = self._import(batch)
            yield outcomes

    def _import(self, rows: list[Row]) -> list[tuple[Row, Outcome]]:
        self._systems.look_up({row.os for row in rows})
        self._sites.look_up({row.site for row in rows})
        registered, new, outcomes = Registered(rows), [], {}
        for row in rows:
            wanted = self._understood(row)
            if row.problems:
                continue
            with _refusals_told(row):
                if host := registered.host_of(row):
                    outcomes[row.number] = self._complete(wanted, host)
                else:
                    new.append(wanted)
        self._create(new)
        return [(row, Outcome.FAILED if row.problems else outcomes.get(row.number, Outcome.IMPORTED)) for row in rows]

    def _understood(self, row: Row) -> Wanted:
        os = self._systems.the_one(row, "Invalid OS profile", row.os)
        site = self._sites.the_one(row, "Invalid Site", row.site)
        if os and row.secure and os.security_feature != SECURE:
            row.problems.append(f"OS Profile and Security feature mismatch: {os} has no secure boot")
        return Wanted(row, os, site)

    def _create(self, new: list[Wanted]) -> None:
        """All at once. If the database refuses, half of them at a time, down to the row that is the reason."""
        if len(new) < 2:
            for wanted in new:
                self._create_one(wanted)
            return
        try:
            with self._transaction():
                ask_for_all([_new_instance(wanted, _new_host(wanted)) for wanted in new], self._host_state)
        except IntegrityError:
            middle = len(new) // 2
            self._create(new[:middle])
            self._create(new[middle:])

    def _create_one(self, wanted: Wanted) -> None:
        with _refusals_told(wanted.row), self._transaction():
            host = _new_host(wanted)
            host.ask(state=self._host_state)
            _new_instance(wanted, host).ask(state=InstanceState.RUNNING)

    def _complete(self, wanted: Wanted, host: Host) -> Outcome:
        """Add what the host lacks: somebody registered it by hand, or with an importer that was interrupted."""
        if not self._lacks(host, wanted):
            return Outcome.KNOWN
        with self._transaction():
            host = Host.objects.select_for_update(of=("self",)).select_related("instance").get(pk=host.pk)
            lacks = self._lacks(host, wanted)
            for column in lacks & {"site_id", "metadata", "user_lvm_size"}:
                setattr(host, column, _said(wanted)[column])
            if "desired_state" in lacks:
                host.ask(state=HostState.ONBOARDED)
            elif lacks - {"instance"}:
                host.save()
            if "instance" in lacks:
                _new_instance(wanted, host).ask(state=InstanceState.RUNNING)
        return Outcome.COMPLETED

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(self._dry_run)

    def _lacks(self, host: Host, wanted: Wanted) -> set[str]:
        """What the row says and the host hasn't, by column. Raises Differs if it has something else."""
        row, instance = wanted.row, getattr(host, "instance", None)
        said = {column: value for column, value in _said(wanted).items() if value}
        lacks = {column for column in said if not getattr(host, column)}
        differences = [
            f"its {column.removesuffix('_id').replace('_', ' ')} is {_shown(getattr(host, column))}"
            for column in said.keys() - lacks
            if _comparable(getattr(host, column)) != _comparable(said[column])
        ]
        if row.serial and host.serial_number != row.serial:
            differences.append(f"its serial number is {host.serial_number or 'not known'}")
        if host.desired_state in (HostState.UNTRUSTED, HostState.DELETED):
            differences.append(f"it shall become {host.desired_state}")
        elif self._host_state == HostState.ONBOARDED != host.desired_state:
            lacks.add("desired_state")
        if instance is None:
            lacks.add("instance")
        else:
            differences += _differences_of_instance(instance, wanted)
        if differences:
            raise Differs(f"{host}: {', '.join(sorted(differences))}")
        return lacks


def _said(wanted: Wanted) -> dict[str, object]:
    row = wanted.row
    return {
        "site_id": wanted.site and wanted.site.resource_id,
        "metadata": row.metadata,
        "user_lvm_size": row.lvm_size_gb,
    }


def _comparable(value: object) -> object:
    return {pair["key"]: pair["value"] for pair in value} if isinstance(value, list) else value


def _shown(value: object) -> str:
    return "&".join(f"{pair['key']}={pair['value']}" for pair in value) if isinstance(value, list) else str(value)


def _differences_of_instance(instance: Instance, wanted: Wanted) -> Iterator[str]:
    if instance.os_id != wanted.os.resource_id:
        yield f"its operating system is {instance.os_id}"
    if wanted.row.secure is not None and instance.security_feature != wanted.security_feature:
        yield f"its security feature is {instance.security_feature}"
    if instance.desired_state != InstanceState.RUNNING:
        yield f"its instance shall become {instance.desired_state}"


def _new_host(wanted: Wanted) -> Host:
    row = wanted.row
    return Host(
        uuid=row.uuid,
        serial_number=row.serial,
        site=wanted.site,
        metadata=row.metadata,
        user_lvm_size=row.lvm_size_gb,
    )


def _new_instance(wanted: Wanted, host: Host) -> Instance:
    return Instance(host=host, os=wanted.os, security_feature=wanted.security_feature)


@contextmanager
def _refusals_told(row: Row) -> Iterator[None]:
    """What the inventory refuses is the row's problem, not the end of the import."""
    try:
        yield
    except Differs as differences:
        row.problems.append(f"Host already registered with mismatching details: {differences}")
    except (InventoryError, AlreadyClaimed) as refused:
        row.problems.append(f"Failed to register host: {refused}")
    except ValidationError as wrong:
        row.problems.append(f"Failed to register host: {' '.join(wrong.messages)}")


class Catalog:
    """Finds what cells name: by id, or exactly one of the columns, tried in turn. Remembers what it found."""

    def __init__(self, model: type[Model], *columns: str) -> None:
        self._model, self._columns = model, ("resource_id", *columns)
        self._found: dict[str, list[Model]] = {}

    def look_up(self, names: set[str]) -> None:
        """Ask the database, once, for all of these that aren't known."""
        names = {name for name in names if len(self._found.get(name, ())) != 1}
        if not names - {""}:
            return
        self._found.update({name: [] for name in names})
        any_column = Q(*((f"{column}__in", names) for column in self._columns), _connector=Q.OR)
        resources = list(self._model.objects.filter(any_column))
        for column in self._columns:
            unfound = {name for name in names if not self._found[name]}
            for resource in resources:
                if (name := getattr(resource, column)) in unfound:
                    self._found[name].append(resource)

    def the_one(self, row: Row, sentence: str, name: str) -> Model | None:
        """What a cell names. If that isn't one thing, it's the row's problem, told after the sentence's beginning."""
        if not name:
            return None
        match self._found[name]:
            case [found]:
                return found
            case []:
                row.problems.append(f"{sentence}: there is none with the name or id {name[:80]!r}")
            case several:
                ids = ", ".join(sorted(map(str, several))[:5])
                row.problems.append(f"{sentence}: {len(several)} are called {name!r} ({ids}), so give the id")
        return None


class Registered:
    """The hosts that are registered already under a UUID or serial number of these rows."""

    def __init__(self, rows: list[Row]) -> None:
        uuids, serials = {row.uuid for row in rows if row.uuid}, {row.serial for row in rows if row.serial}
        self._by_uuid: dict[UUID, Host] = {}
        self._by_serial: dict[str, list[Host]] = defaultdict(list)
        hosts = Host.objects.filter(Q(uuid__in=uuids) | Q(serial_number__in=serials))
        for host in hosts.select_related("instance"):
            if host.uuid:
                self._by_uuid[host.uuid] = host
            if host.serial_number:
                self._by_serial[host.serial_number].append(host)

    def host_of(self, row: Row) -> Host | None:
        """A row that gives a serial number alone means the host that has it, also when its UUID is known by now."""
        if row.uuid in self._by_uuid:
            return self._by_uuid[row.uuid]
        same = self._by_serial[row.serial]
        if row.uuid:
            same = [host for host in same if host.uuid is None]
            if same:
                raise Differs(f"{same[0]} has serial number {row.serial} and no UUID yet")
            return None
        if len(same) > 1:
            raise Differs(f"{len(same)} hosts have serial number {row.serial}, so give the UUID")
        return same[0] if same else None

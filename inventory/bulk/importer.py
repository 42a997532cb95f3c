"""Makes what the rows of a bulk file say: hosts, placed and labelled, with the wish that their instance runs.

A row only ever adds: what is missing is made, what is there is recognised, and what differs is told, never changed.
So a file can be imported again, whatever became of it the first time.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from inventory.bulk.creation import New, ask_for_all, customize
from inventory.bulk.lookup import Catalog
from inventory.bulk.rows import Row
from inventory.bulk.wanted import Differs, Known, KnownInstance, Names, Outcome, Registered, Wanted
from inventory.errors import InventoryError
from inventory.models import (
    CustomConfig,
    Host,
    HostState,
    Instance,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    Site,
)
from tenants.errors import AlreadyClaimed
from tenants.events import one_bell

BATCH = 500  # rows looked up together


class Importer:
    """Imports rows into the project whose schema the connection is in."""

    def __init__(self, *, onboard: bool = False, dry_run: bool = False) -> None:
        """onboard: the hosts shall be onboarded as soon as they show up. dry_run: do everything, and take it back."""
        self._host_state = HostState.ONBOARDED if onboard else HostState.REGISTERED
        self._dry_run = dry_run
        self._names = Names(
            self._host_state,
            Catalog.of(OperatingSystem, "profile_name", "name"),
            Catalog.of(Site, "name"),
            Catalog.of(LocalAccount, "username"),
            Catalog.of(CustomConfig, "name"),
        )

    def run(self, rows: Iterable[Row]) -> Iterator[list[tuple[Row, Outcome]]]:
        """Batch by batch, in the rows' order. A row is whole or absent; why one failed is in its problems."""
        rows = iter(rows)
        while batch := list(islice(rows, BATCH)):
            with one_bell():
                outcomes = self.import_together(batch)
            yield outcomes

    def import_together(self, rows: list[Row]) -> list[tuple[Row, Outcome]]:
        """A batch. Rings for each transaction."""
        self._names.look_up(rows)
        registered, new, outcomes = registered_of(rows), [], {}
        for row in rows:
            wanted = self._names.understood(row)
            if row.problems:
                continue
            with refusals_told(row):
                if known := registered.host_of(row):
                    outcomes[row.number] = self._complete(wanted, known)
                else:
                    new.append(wanted)
        self._create(new)
        return [(row, Outcome.FAILED if row.problems else outcomes.get(row.number, Outcome.IMPORTED)) for row in rows]

    def _create(self, new: list[Wanted]) -> None:
        """All at once. If the database refuses, half of them at a time, down to the row that is the reason."""
        if len(new) < 2:
            for wanted in new:
                self._create_one(wanted)
            return
        made = [_new(wanted, _new_host(wanted)) for wanted in new]
        try:
            with self._transaction():
                ask_for_all(made, self._host_state)
        except IntegrityError:
            middle = len(new) // 2
            self._create(new[:middle])
            self._create(new[middle:])
        else:
            for wanted, (instance, _) in zip(new, made, strict=True):
                self._became(wanted, instance.host)

    def _create_one(self, wanted: Wanted) -> None:
        with refusals_told(wanted.row), self._transaction():
            host = _new_host(wanted)
            host.ask(state=self._host_state)
            _ask_for_instance(wanted, host)
            self._became(wanted, host)

    def _became(self, wanted: Wanted, host: Host) -> None:
        if not self._dry_run:
            wanted.row.host_id = host.resource_id

    def _complete(self, wanted: Wanted, known: Known) -> Outcome:
        """Add what the host lacks: somebody registered it by hand, or with an importer that was interrupted."""
        wanted.row.host_id = known.resource_id
        if not wanted.lacks(known):
            return Outcome.KNOWN
        with self._transaction():
            rows = Host.objects.select_for_update(of=("self",)).select_related("instance")
            host = rows.get(resource_id=known.resource_id)
            lacks = wanted.lacks(known_of(host))
            for column in lacks & wanted.said.keys():
                setattr(host, column, wanted.said[column])
            if "desired_state" in lacks:
                host.ask(state=HostState.ONBOARDED)
            elif lacks - {"instance"}:
                host.save()
            if "instance" in lacks:
                _ask_for_instance(wanted, host)
        return Outcome.COMPLETED

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(self._dry_run)


LOOKED_AT = (
    "resource_id", "uuid", "serial_number", "site_id", "metadata", "user_lvm_size", "desired_state",
    "instance__host_id", "instance__os_id", "instance__security_feature", "instance__desired_state",
    "instance__local_account_id",
)  # fmt: skip


def registered_of(rows: list[Row]) -> Registered:
    """Of the schema that the connection is in."""
    uuids, serials = {row.uuid for row in rows if row.uuid}, {row.serial for row in rows if row.serial}
    hosts = Host.objects.filter(Q(uuid__in=uuids) | Q(serial_number__in=serials))
    hosts = hosts.select_related("instance").prefetch_related("instance__custom_config").only(*LOOKED_AT)
    return Registered([*map(known_of, hosts)])


def known_of(host: Host) -> Known:
    instance = getattr(host, "instance", None)
    return Known(
        host.resource_id,
        host.uuid,
        host.serial_number,
        host.desired_state,
        {"site_id": host.site_id, "metadata": host.metadata, "user_lvm_size": host.user_lvm_size},
        instance and KnownInstance(
            instance.os_id,
            instance.security_feature,
            instance.desired_state,
            instance.local_account_id or "",
            {config.resource_id for config in instance.custom_config.all()},
        ),
    )  # fmt: skip


def _new_host(wanted: Wanted) -> Host:
    row = wanted.row
    return Host(
        uuid=row.uuid,
        serial_number=row.serial,
        site=wanted.site,
        metadata=row.metadata,
        user_lvm_size=row.lvm_size_gb,
    )


def _new(wanted: Wanted, host: Host) -> New:
    instance = Instance(host=host, os=wanted.os, security_feature=wanted.security_feature, local_account=wanted.account)
    return instance, wanted.configs


def _ask_for_instance(wanted: Wanted, host: Host) -> None:
    instance, configs = _new(wanted, host)
    instance.ask(state=InstanceState.RUNNING)
    customize([(instance, configs)])


@contextmanager
def refusals_told(row: Row) -> Iterator[None]:
    """What the inventory refuses is the row's problem, not the end of the import."""
    try:
        yield
    except Differs as differences:
        row.problems.append(f"Host already registered with mismatching details: {differences}")
    except (InventoryError, AlreadyClaimed) as refused:
        row.problems.append(f"Failed to register host: {refused}")
    except ValidationError as wrong:
        row.problems.append(f"Failed to register host: {' '.join(wrong.messages)}")
    except (IntegrityError, Host.DoesNotExist):  # found at the commit: what it refers to went in the meantime
        row.problems.append("Failed to register host: what it refers to changed meanwhile; import it again")

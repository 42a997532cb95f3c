"""Makes what the rows of a bulk file say: hosts, placed and labelled, with the wish that their instance runs.

A row only ever adds: what is missing is made, what is there is recognised, and what differs is told, never changed.
So a file can be imported again, whatever became of it the first time.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from inventory.bulk.creation import New, ask_for_all, customize
from inventory.bulk.lookup import Catalog, Differs, Registered
from inventory.bulk.rows import Row
from inventory.errors import InventoryError
from inventory.models import (
    CustomConfig,
    Host,
    HostState,
    Instance,
    InstanceState,
    LocalAccount,
    OperatingSystem,
    SecurityFeature,
    Site,
)
from tenants.errors import AlreadyClaimed
from tenants.events import one_bell

BATCH = 500  # rows looked up together
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


class Wanted(NamedTuple):
    """A row with what its names stand for."""

    row: Row
    os: OperatingSystem
    site: Site | None
    account: LocalAccount | None
    configs: list[CustomConfig]

    @property
    def security_feature(self) -> SecurityFeature:
        return SECURE if self.row.secure else SecurityFeature.NONE


class Importer:
    """Imports rows into the project whose schema the connection is in."""

    def __init__(self, *, onboard: bool = False, dry_run: bool = False) -> None:
        """onboard: the hosts shall be onboarded as soon as they show up. dry_run: do everything, and take it back."""
        self._host_state = HostState.ONBOARDED if onboard else HostState.REGISTERED
        self._dry_run = dry_run
        self._systems = Catalog(OperatingSystem, "profile_name", "name")
        self._sites = Catalog(Site, "name")
        self._accounts = Catalog(LocalAccount, "username")
        self._configs = Catalog(CustomConfig, "name")

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
        self._accounts.look_up({row.account for row in rows})
        self._configs.look_up({name for row in rows for name in row.configs})
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
        account = self._accounts.the_one(row, "Invalid Local Account", row.account)
        configs = [self._configs.the_one(row, "Invalid Cloud Init Meta", name) for name in row.configs]
        if os and row.secure and os.security_feature != SECURE:
            row.problems.append(f"OS Profile and Security feature mismatch: {os} has no secure boot")
        if row.cluster:
            row.problems.append(NO_CLUSTERS)
        return Wanted(row, os, site, account, configs)

    def _create(self, new: list[Wanted]) -> None:
        """All at once. If the database refuses, half of them at a time, down to the row that is the reason."""
        if len(new) < 2:
            for wanted in new:
                self._create_one(wanted)
            return
        try:
            with self._transaction():
                ask_for_all([_new(wanted, _new_host(wanted)) for wanted in new], self._host_state)
        except IntegrityError:
            middle = len(new) // 2
            self._create(new[:middle])
            self._create(new[middle:])

    def _create_one(self, wanted: Wanted) -> None:
        with _refusals_told(wanted.row), self._transaction():
            host = _new_host(wanted)
            host.ask(state=self._host_state)
            _ask_for_instance(wanted, host)

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
                _ask_for_instance(wanted, host)
        return Outcome.COMPLETED

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(self._dry_run)

    def _lacks(self, host: Host, wanted: Wanted) -> set[str]:
        """What the row says and the host hasn't, by column. Raises Differs if it has something else."""
        if differences := sorted(_differences(host, wanted)):
            raise Differs(f"{host}: {', '.join(differences)}")
        lacks = {column for column, said in _said(wanted).items() if said and not getattr(host, column)}
        if self._host_state == HostState.ONBOARDED != host.desired_state:
            lacks.add("desired_state")
        if not hasattr(host, "instance"):
            lacks.add("instance")
        return lacks


def _said(wanted: Wanted) -> dict[str, object]:
    row = wanted.row
    return {
        "site_id": wanted.site and wanted.site.resource_id,
        "metadata": row.metadata,
        "user_lvm_size": row.lvm_size_gb,
    }


def _differences(host: Host, wanted: Wanted) -> Iterator[str]:
    row, instance = wanted.row, getattr(host, "instance", None)
    for column, said in _said(wanted).items():
        has = getattr(host, column)
        if said and has and not _agree(has, said):
            yield f"its {column.removesuffix('_id').replace('_', ' ')} is {_shown(has)}"
    if row.serial and host.serial_number != row.serial:
        yield f"its serial number is {host.serial_number or 'not known'}"
    if host.desired_state in (HostState.UNTRUSTED, HostState.DELETED):
        yield f"it shall become {host.desired_state}"
    if instance is None:
        return
    if instance.os_id != wanted.os.resource_id:
        yield f"its operating system is {instance.os_id}"
    if row.secure is not None and instance.security_feature != wanted.security_feature:
        yield f"its security feature is {instance.security_feature}"
    if wanted.account and instance.local_account_id != wanted.account.resource_id:
        yield f"its local account is {instance.local_account_id or 'none'}"
    if wanted.configs and not {*wanted.configs} <= (has := {*instance.custom_config.all()}):
        yield f"its custom configs are {', '.join(sorted(map(str, has))) or 'none'}"
    if instance.desired_state != InstanceState.RUNNING:
        yield f"its instance shall become {instance.desired_state}"


def _agree(has: object, said: object) -> bool:
    """A host may have more metadata than its row gave it."""
    return all(pair in has for pair in said) if isinstance(said, list) else has == said


def _shown(value: object) -> str:
    return "&".join(f"{pair['key']}={pair['value']}" for pair in value) if isinstance(value, list) else str(value)


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

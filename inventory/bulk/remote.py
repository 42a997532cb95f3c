"""The bulk import over the REST API: the same rows, made by the calls that the archived tools make.

A host and its instance are several calls, so a row isn't one transaction: what a row that fails half way has made is
taken back, and an import that was interrupted is completed by the next.
"""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from uuid import UUID

from inventory.bulk.lookup import Catalog
from inventory.bulk.rows import Row
from inventory.bulk.server import Refusal, Server, ServerError
from inventory.bulk.wanted import Differs, Known, KnownInstance, Names, Outcome, Registered, Wanted
from inventory.models import HostState

TOGETHER = 20  # machines in one question: a filter has at most 1000 letters
ROUND = 4  # batches, of which each worker has one, until the next are told of
QUOTABLE = re.compile(r'[^"\\*\0-\x1f]{1,250}')


@dataclass
class Named:
    """Something that a cell can name."""

    resource_id: str
    profile_name: str = ""
    name: str = ""
    username: str = ""
    security_feature: str = ""


class RemoteImporter:
    """Imports rows into a project of a server. Needs no database."""

    def __init__(self, server: Server, *, onboard: bool = False, dry_run: bool = False, parallel: int = 8) -> None:
        """parallel: how many requests the server gets at once."""
        self._server, self._onboard, self._dry_run, self._parallel = server, onboard, dry_run, parallel
        self._names = Names(
            HostState.ONBOARDED if onboard else HostState.REGISTERED,
            self._catalog("compute/os", "OperatingSystemResources", profile_name="profileName", name="name"),
            self._catalog("regions/region/sites", "sites", name="name"),
            self._catalog("localAccounts", "localAccounts", username="username"),
            self._catalog("customConfigs", "customConfigs", name="name"),
        )

    def run(self, rows: Iterable[Row]) -> Iterator[list[tuple[Row, Outcome]]]:
        """As Importer.run(). Raises ServerError when going on makes no sense; what was yielded before is done."""
        rows = iter(rows)
        with ThreadPoolExecutor(self._parallel) as workers:
            while batch := list(islice(rows, TOGETHER * self._parallel * ROUND)):
                try:
                    self._names.look_up(batch)
                except Refusal as refused:
                    raise ServerError(str(refused)) from refused
                groups = (batch[at : at + TOGETHER] for at in range(0, len(batch), TOGETHER))
                told = [workers.submit(self._import, group) for group in groups]
                try:
                    for group in told:
                        yield group.result()
                finally:
                    for group in told:
                        group.cancel()

    def _catalog(self, path: str, collection: str, **fields: str) -> Catalog:
        return Catalog(partial(self._named, path, collection, fields), *fields)

    def _named(self, path: str, collection: str, fields: dict[str, str], names: set[str]) -> Iterator[Named]:
        """By name and by id: the archived server's `=` finds what only contains the name, too."""
        for name in names:
            if not QUOTABLE.fullmatch(name):
                continue  # nothing is called so, and a filter couldn't say it
            wanted = " OR ".join(f'{field}="{name}"' for field in ("resourceId", *fields.values()))
            for found in self._server.find(path, collection, wanted):
                told = {column: found.get(field) or "" for column, field in fields.items()}
                yield Named(found["resourceId"], security_feature=found.get("securityFeature") or "", **told)

    def _import(self, rows: list[Row]) -> list[tuple[Row, Outcome]]:
        wanted = [self._names.understood(row) for row in rows]
        good = [one for one in wanted if not one.row.problems]
        outcomes = {}
        try:
            registered = self._registered([one.row for one in good])
        except Refusal as refused:
            for one in good:
                one.row.problems.append(f"Failed to register host: {refused}")
            good = []
        for one in good:
            with _refusals_told(one.row):
                known = registered.host_of(one.row)
                outcomes[one.row.number] = self._complete(one, known) if known else self._create(one)
        return [(row, Outcome.FAILED if row.problems else outcomes[row.number]) for row in rows]

    def _registered(self, rows: list[Row]) -> Registered:
        """By serial number only those whose UUID nobody has: in text a server looks for parts, which takes longer."""
        known = self._hosts(f'uuid="{row.uuid}"' for row in rows if row.uuid)
        uuids = {host.uuid for host in known}
        known += self._hosts(f'serialNumber="{row.serial}"' for row in rows if row.serial and row.uuid not in uuids)
        return Registered([*{host.resource_id: host for host in known}.values()])

    def _hosts(self, conditions: Iterable[str]) -> list[Known]:
        wanted = " OR ".join(conditions)
        return [*map(known_of, self._server.find("compute/hosts", "hosts", wanted))] if wanted else []

    def _create(self, wanted: Wanted) -> Outcome:
        if self._dry_run:
            return Outcome.IMPORTED
        row = wanted.row
        body = {"name": "", "autoOnboard": self._onboard}
        body |= {"serialNumber": row.serial} if row.serial else {}
        body |= {"uuid": str(row.uuid)} if row.uuid else {}
        body |= {"userLvmSize": row.lvm_size_gb} if row.lvm_size_gb else {}
        with _told_as("Failed to register host"):
            host = self._server.post("compute/hosts/register", body)
        host_id = str(host.get("resourceId", ""))
        try:
            # Placed first, so that nothing is installed before it is known where, and only a host is to be taken back.
            self._place(wanted, host_id, str(host.get("name", "")), {"site_id", "metadata"})
            self._make_instance(wanted, host_id)
        except Refusal:
            self._take_back(row, host_id)
            raise
        row.host_id = host_id
        return Outcome.IMPORTED

    def _complete(self, wanted: Wanted, known: Known) -> Outcome:
        wanted.row.host_id = known.resource_id
        lacks = wanted.lacks(known)
        if not lacks:
            return Outcome.KNOWN
        if self._dry_run:
            return Outcome.COMPLETED
        path = f"compute/hosts/{known.resource_id}"
        if "user_lvm_size" in lacks:
            onboard = self._onboard or known.state == HostState.ONBOARDED
            with _told_as("Failed to register host"):
                self._server.patch(f"{path}/register", {"autoOnboard": onboard, "userLvmSize": wanted.row.lvm_size_gb})
        elif "desired_state" in lacks:
            with _told_as("Failed to register host"):
                self._server.patch(f"{path}/onboard", {})
        self._place(wanted, known.resource_id, known.name, lacks & {"site_id", "metadata"})
        if "instance" in lacks:
            self._make_instance(wanted, known.resource_id)
        return Outcome.COMPLETED

    def _place(self, wanted: Wanted, host_id: str, name: str, columns: set[str]) -> None:
        fields = {"site_id": "siteId", "metadata": "metadata"}
        said = {fields[column]: wanted.said[column] for column in columns if wanted.said[column]}
        if said:
            with _told_as("Failed to allocate site or metadata"):
                self._server.patch(f"compute/hosts/{host_id}", {"name": name or host_id, **said})

    def _make_instance(self, wanted: Wanted, host_id: str) -> None:
        body = {
            "hostID": host_id,
            "osID": wanted.os.resource_id,
            "securityFeature": wanted.security_feature,
            "kind": "INSTANCE_KIND_UNSPECIFIED",  # as the archived tools say, and all servers take for a machine's
        }
        body |= {"localAccountID": wanted.account.resource_id} if wanted.account else {}
        body |= {"customConfigID": [config.resource_id for config in wanted.configs]} if wanted.configs else {}
        with _told_as("Failed to create instance"):
            self._server.post("compute/instances", body)

    def _take_back(self, row: Row, host_id: str) -> None:
        try:
            self._server.delete(f"compute/hosts/{host_id}")
        except (Refusal, ServerError) as why:
            row.problems.append(
                f"{host_id} was registered all the same and can't be taken back ({why}); importing the row completes it"
            )


def known_of(host: dict) -> Known:
    """What GET says of a host. Raises ServerError if that isn't one."""
    try:
        return Known(
            host["resourceId"],
            UUID(host["uuid"]) if host.get("uuid") else None,
            host.get("serialNumber") or "",
            host.get("desiredState") or "",
            {
                "site_id": (host.get("site") or {}).get("resourceId") or host.get("siteId") or "",
                "metadata": host.get("metadata") or [],
                "user_lvm_size": host.get("userLvmSize") or 0,
            },
            _instance_of(host["instance"]) if host.get("instance") else None,
            host.get("name") or "",
        )
    except (KeyError, ValueError, TypeError, AttributeError) as strange:
        raise ServerError(
            f"HTTP request error: the server tells of hosts in a way nobody knows: {strange!r}"
        ) from strange


def _instance_of(instance: dict) -> KnownInstance:
    return KnownInstance(
        (instance.get("os") or {}).get("resourceId") or instance.get("osID") or "",
        instance.get("securityFeature") or "",
        instance.get("desiredState") or "",
        (instance.get("localaccount") or {}).get("resourceId") or instance.get("localAccountID") or "",
        {config["resourceId"] for config in instance.get("customConfig") or []},
    )


@contextmanager
def _told_as(sentence: str) -> Iterator[None]:
    """What the archived tools called this step, before what the server said."""
    try:
        yield
    except Refusal as refused:
        raise Refusal(refused.status, refused.code, f"{sentence}: {refused}") from refused


@contextmanager
def _refusals_told(row: Row) -> Iterator[None]:
    try:
        yield
    except Differs as differences:
        row.problems.append(f"Host already registered with mismatching details: {differences}")
    except Refusal as refused:
        row.problems.append(str(refused))

"""What a batch of rows refers to: operating systems and sites by their names, and hosts that are registered already."""

from collections import defaultdict
from uuid import UUID

from django.db.models import Model, Q

from inventory.bulk.rows import Row
from inventory.errors import InventoryError
from inventory.models import Host


class Differs(InventoryError):
    """The host is registered, but not as the row says."""


class Catalog:
    """Finds what cells name: by id, or exactly one of the columns, tried in turn. Remembers what it found."""

    def __init__(self, model: type[Model], *columns: str) -> None:
        self._model, self._columns = model, ("resource_id", *columns)
        self._found: dict[str, list[Model]] = {}
        self._names: dict[str, str] = {}

    def look_up(self, names: set[str]) -> None:
        """Ask the database, once, for all of these that aren't known."""
        names = {name for name in names if name and len(self._found.get(name, ())) != 1}
        if not names:
            return
        self._found.update({name: [] for name in names})
        any_column = Q(*((f"{column}__in", names) for column in self._columns), _connector=Q.OR)
        resources = list(self._model.objects.filter(any_column))
        for column in self._columns:
            unfound = {name for name in names if not self._found[name]}
            for resource in resources:
                if (name := getattr(resource, column)) in unfound:
                    self._found[name].append(resource)

    def name_of(self, resource: Model) -> str:
        """What a cell can call it: the first column that means it and nothing else, or its id."""
        key = resource.resource_id
        if key not in self._names:
            names = [getattr(resource, column).strip() for column in self._columns[1:]]
            self.look_up({*names})
            self._names[key] = next((name for name in names if name and self._found[name] == [resource]), key)
        return self._names[key]

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


LOOKED_AT = (
    "resource_id", "uuid", "serial_number", "site_id", "metadata", "user_lvm_size", "desired_state",
    "instance__host_id", "instance__os_id", "instance__security_feature", "instance__desired_state",
    "instance__local_account_id",
)  # fmt: skip


class Registered:
    """The hosts that are registered already under a UUID or serial number of these rows."""

    def __init__(self, rows: list[Row]) -> None:
        uuids, serials = {row.uuid for row in rows if row.uuid}, {row.serial for row in rows if row.serial}
        self._by_uuid: dict[UUID, Host] = {}
        self._by_serial: dict[str, list[Host]] = defaultdict(list)
        hosts = Host.objects.filter(Q(uuid__in=uuids) | Q(serial_number__in=serials))
        hosts = hosts.select_related("instance").only(*LOOKED_AT)
        if any(row.configs for row in rows):
            hosts = hosts.prefetch_related("instance__custom_config")
        for host in hosts:
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

"""What a row of a bulk file says about a machine, and everything that is wrong with it before anybody asks a database.

The sentences begin as those of the archived tools do, because scripts look for them.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

from django.core.exceptions import ValidationError

from inventory.bulk.sheet import ERROR, Line, Sheet, SheetError
from inventory.models.metadata import check_metadata

SERIAL = re.compile(r"[A-Za-z0-9]{5,20}")
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MOST_GB = 2**31 - 1  # what the column of the LVM size holds

TEMPLATE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?:v[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")
# Of a cluster's only node: its role, then in any order its cluster's name and labels.
CLUSTER = re.compile(
    r"role:(all|worker|controlplane)(;name:[A-Za-z0-9-]{1,63}|;labels:[^;=&]+=[^;=&]*(&[^;=&]+=[^;=&]*)*)*"
)


@dataclass
class Row:
    """None, 0 and nothing mean that the row doesn't say."""

    number: int
    cells: dict[str, str]  # as they are in the file
    serial: str = ""
    uuid: UUID | None = None
    os: str = ""  # profile name, name or id
    site: str = ""  # name or id
    secure: bool | None = None
    account: str = ""  # user name or id
    metadata: list[dict[str, str]] = field(default_factory=list)
    lvm_size_gb: int = 0
    configs: list[str] = field(default_factory=list)  # names or ids
    cluster: bool = False  # of its own
    problems: list[str] = field(default_factory=list)
    host_id: str = ""  # of the host that it became, or was already


class Reader:
    """Reads a sheet twice: once to know that it can be read and which rows name the same machine, then the rows."""

    def __init__(self, sheet: Sheet, overrides: dict[str, str]) -> None:
        """overrides: cells, by column, that stand in every row instead of the file's own."""
        self.sheet, self._overrides = sheet, overrides
        named, self.total = array("q"), 0  # hashes, not texts: 1.6 MB for 100,000 rows
        for line in sheet.lines():
            if line.cells.get(ERROR):
                raise SheetError(
                    f"Error not empty: row {line.number} of {sheet.name}; clear the column {ERROR!r} first"
                )
            self.total = line.number
            named.extend(map(hash, _names_of_machine(line)))
        in_order = sorted(named)
        self._twice = {one for one, following in pairwise(in_order) if one == following}

    def rows(self) -> Iterator[Row]:
        for line in self.lines():
            yield read(line, self._overrides)

    def lines(self) -> Iterator[Line]:
        """Of the sheet; a machine that an earlier one names, too, is a problem of the line."""
        first: dict[int, int] = {}  # the rows that named a machine before others
        for line in self.sheet.lines():
            for name in _names_of_machine(line):
                if (named := hash(name)) in self._twice and first.setdefault(named, line.number) != line.number:
                    line.problems.append(f"Duplicate {name[0]} : Row {first[named]}")
            yield line


def _names_of_machine(line: Line) -> list[tuple[str, str]]:
    names = ("Serial number", line.cells.get("Serial")), ("UUID", line.cells.get("UUID"))
    return [(what, text.lower()) for what, text in names if text]


def read(line: Line, overrides: dict[str, str]) -> Row:
    """Understand one line, and find all that is wrong with it."""
    cells = {**line.cells, **overrides}
    row = Row(
        line.number,
        line.cells,
        os=cells.get("OSProfile", ""),
        site=cells.get("Site", ""),
        account=cells.get("RemoteUser", ""),
        configs=[*dict.fromkeys(filter(None, map(str.strip, cells.get("CloudInitMeta", "").split("&"))))],
        problems=[*line.problems],
    )
    for understand in (_machine, _os, _secure, _metadata, _lvm_size, _cluster):
        understand(row, cells)
    return row


def _machine(row: Row, cells: dict[str, str]) -> None:
    serial, uuid = cells.get("Serial", ""), cells.get("UUID", "")
    if not serial and not uuid:
        row.problems.append("One of Serial number or UUID required")
    if serial and not SERIAL.fullmatch(serial):
        row.problems.append("Invalid Serial number: it has 5 to 20 letters and digits")
    if uuid and not UUID_TEXT.fullmatch(uuid):
        row.problems.append("Invalid UUID: it is 8-4-4-4-12 hexadecimal digits")
    elif uuid:
        row.uuid = UUID(uuid)
    row.serial = serial


def _os(row: Row, cells: dict[str, str]) -> None:
    if not row.os:
        row.problems.append("OS Profile is required")


def _secure(row: Row, cells: dict[str, str]) -> None:
    row.secure = _yes_or_no(row, "Secure", cells)


def _metadata(row: Row, cells: dict[str, str]) -> None:
    if not (said := cells.get("Metadata", "")):
        return
    pairs = [pair.split("=") for pair in said.split("&")]
    if any(len(pair) != 2 for pair in pairs):
        row.problems.append("Invalid Metadata: it is key=value, several of them joined by &")
        return
    row.metadata = [{"key": key.strip(), "value": value.strip()} for key, value in pairs]
    try:
        check_metadata(row.metadata)
    except ValidationError as wrong:
        row.problems.append(f"Invalid Metadata: {wrong.messages[0]}")


def _lvm_size(row: Row, cells: dict[str, str]) -> None:
    if not (said := cells.get("LVMSize", "")):
        return
    if re.fullmatch(r"[0-9]{1,10}", said) and int(said) <= MOST_GB:
        row.lvm_size_gb = int(said)
    else:
        row.problems.append(f"Invalid LVM Size: it is a whole number of GB, at most {MOST_GB}")


def _cluster(row: Row, cells: dict[str, str]) -> None:
    """What else is said about a cluster that isn't to be made, nobody looks at."""
    row.cluster = bool(_yes_or_no(row, "K8sEnable", cells))
    if not row.cluster:
        return
    if not TEMPLATE.fullmatch(cells.get("K8sClusterTemplate", "")):
        row.problems.append("Invalid K8s Cluster Template: it is name:vX.Y.Z")
    if (said := cells.get("K8sConfig", "")) and not CLUSTER.fullmatch(said):
        row.problems.append("Invalid K8s Cluster Config: it is role:all, then ;name:N and ;labels:k=v&k=v as needed")


def _yes_or_no(row: Row, column: str, cells: dict[str, str]) -> bool | None:
    said = cells.get(column, "")
    value = {"true": True, "false": False}.get(said.lower())
    if said and value is None:
        row.problems.append(f"Invalid {column}: it is true or false")
    return value

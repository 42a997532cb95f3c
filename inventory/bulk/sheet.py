"""The CSV files of the bulk import: reading them, row by row, and writing error files and templates."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

ERROR = "Error - do not fill"
LONG = (
    "Serial", "UUID", "OSProfile", "Site", "Secure", "RemoteUser", "Metadata", "LVMSize", "CloudInitMeta", "K8sEnable",
    "K8sClusterTemplate", "K8sConfig", ERROR,
)  # fmt: skip
SHORT = (*LONG[:7], ERROR)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a program to spreadsheets
LONGEST_CELL = 100_000  # characters; longer ones are no cells but a file gone wrong


class SheetError(Exception):
    """The file as a whole can't be used; str() is the sentence that the operator reads."""


class Line(NamedTuple):
    number: int  # of the data row, from 1; the header and blank lines don't count
    cells: dict[str, str]  # by column; those that the file doesn't have are not there
    surplus: bool  # there are more cells than columns


class Sheet:
    """A CSV file with one of the two headers, or any part of them in any order. It is read as often as asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = next(self._table())

    def lines(self) -> Iterator[Line]:
        """Raises SheetError where the file stops being a CSV file."""
        table = self._table()
        columns = next(table)
        for number, cells in enumerate(table, start=1):
            yield Line(number, dict(zip(columns, cells, strict=False)), any(cells[len(columns) :]))

    def _table(self) -> Iterator[list[str]]:
        """The header, as our names of the columns, then rows of trimmed cells; blank lines are left out."""
        csv.field_size_limit(LONGEST_CELL)
        reader = None
        try:
            _refuse_other_files(self.path)
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                rows = ([_trimmed(cell) for cell in row] for row in reader if row)
                yield self._header(next(rows, []))
                yield from rows
        except UnicodeDecodeError as strange:
            at = f"after line {reader.line_num}" if reader else "at its beginning"
            raise SheetError(
                f"File read/write error: {self.path} is not UTF-8 {at}; save it as CSV in UTF-8"
            ) from strange
        except csv.Error as broken:
            raise SheetError(f"File read/write error: {self.path}, line {reader.line_num}: {broken}") from broken
        except OSError as unreadable:
            raise SheetError(f"File read/write error: {self.path}: {unreadable.strerror}") from unreadable

    def _header(self, names: list[str]) -> list[str]:
        known = {name.lower(): name for name in LONG} | {"error": ERROR}
        columns = [known.get(name.lower(), name) for name in names]
        if strange := [name for name in columns if name not in LONG]:
            raise SheetError(f"{self.path}: there is no column {strange[0][:50]!r}; the header is {','.join(LONG)}")
        if twice := {name for name in columns if columns.count(name) > 1}:
            raise SheetError(f"{self.path}: column {min(twice)} is there twice")
        if not {"Serial", "UUID"} & {*columns}:
            raise SheetError(f"{self.path}: the first line must be a header, with Serial or UUID: {','.join(SHORT)}")
        return columns


def _refuse_other_files(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise SheetError(f"File read/write error: {path} is not a file")
    with path.open("rb") as file:
        begins = file.read(4)
    if begins == b"PK\x03\x04":
        raise SheetError(f"File read/write error: {path} is an Excel workbook; save it as CSV in UTF-8")
    if begins[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SheetError(f"File read/write error: {path} is UTF-16; save it as CSV in UTF-8")


def _trimmed(cell: str) -> str:
    """Without blanks around it, and without the guard that we put before what looks like a formula."""
    if "\0" in cell:
        raise csv.Error("a cell holds a NUL byte")
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


class Report:
    """A file of rows under a header. Made with its first row; never in the place of one that is there."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self._columns, self._file = path, columns, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        if self._file:
            with _said_in_words(self.path):
                self._file.close()

    def write(self, cells: dict[str, str]) -> None:
        """Raises SheetError if there is no room or no right to write it."""
        with _said_in_words(self.path):
            if self._file is None:
                self._file = self.path.open("x", newline="", encoding="utf-8")
                self._writer = csv.writer(self._file)
                self._writer.writerow(self._columns)
            self._writer.writerow([_guarded(cells.get(name, "")) for name in self._columns])


class ErrorFile(Report):
    """The rows that went wrong, with the columns of the file they came from."""

    def __init__(self, kind: str, sheet: Sheet) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
        columns = [*(name for name in sheet.columns if name != ERROR), ERROR]
        super().__init__(Path(f"{kind}_error_{now}_{sheet.path.name}"), columns)

    def tell(self, cells: dict[str, str], problems: list[str]) -> None:
        self.write({**cells, ERROR: "".join(f"{problem};" for problem in problems)})


@contextmanager
def _said_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        raise SheetError(f"File creation error: {path}: {refused.strerror}") from refused


def write_template(path: Path, columns: Sequence[str]) -> bool:
    """A file with nothing but the header, in folders made as needed. False if there is one: it is left as it is."""
    if path.is_file():
        return False
    with _said_in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(columns)
    return True

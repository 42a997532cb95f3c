"""The files of the bulk import: reading them, row by row, and writing error files and templates."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

from inventory.bulk import workbook

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
    problems: list[str]  # of the line as such


class Sheet:
    """A CSV file or Excel workbook with one of the two headers, or any part of them in any order.

    It is read as often as asked, as a stream.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        """name: how the file is called in what is told, if not by its path."""
        self.path, self.name = path, name or str(path)
        self.columns = self._header(next(self._table(), ([], []))[0])

    def lines(self) -> Iterator[Line]:
        """Raises SheetError where the file stops being one."""
        table = self._table()
        next(table)
        for number, (cells, problems) in enumerate(table, start=1):
            if any(cells[len(self.columns) :]):
                problems = [*problems, "More cells than columns: a cell that holds a comma needs quotes"]
            yield Line(number, dict(zip(self.columns, cells, strict=False)), problems)

    def _table(self) -> Iterator[tuple[list[str], list[str]]]:
        """The header, then rows, of trimmed cells, and what is wrong with a row as such; blank lines are left out."""
        try:
            begins = self._begins()
            if begins.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise self._unusable("is UTF-16; save it as CSV in UTF-8")
            if begins == b"\xd0\xcf\x11\xe0":
                raise self._unusable("is an encrypted or very old Excel workbook; save it as .xlsx, unprotected")
            rows = workbook.rows(self.path) if begins == b"PK\x03\x04" else self._lines_of_text()
            for cells, problems in rows:
                if any("\0" in cell for cell in cells):
                    raise SheetError(f"File read/write error: {self.name}: a cell holds a NUL byte")
                yield [_trimmed(cell) for cell in cells], problems
        except workbook.BrokenWorkbook as broken:
            raise self._unusable(f"can't be read as an Excel workbook: {broken}") from broken
        except OSError as unreadable:
            raise SheetError(f"File read/write error: {self.name}: {unreadable.strerror}") from unreadable

    def _lines_of_text(self) -> Iterator[tuple[list[str], list[str]]]:
        csv.field_size_limit(LONGEST_CELL)
        reader = None
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                yield from ((row, []) for row in reader if row)
        except UnicodeDecodeError as strange:
            at = f"after line {reader.line_num}" if reader else "at its beginning"
            raise self._unusable(f"is not UTF-8 {at}; save it as CSV in UTF-8") from strange
        except csv.Error as broken:
            raise SheetError(f"File read/write error: {self.name}, line {reader.line_num}: {broken}") from broken

    def _begins(self) -> bytes:
        if self.path.exists() and not self.path.is_file():
            raise self._unusable("is not a file")
        with self.path.open("rb") as file:
            return file.read(4)

    def _unusable(self, why: str) -> SheetError:
        return SheetError(f"File read/write error: {self.name} {why}")

    def _header(self, names: list[str]) -> list[str]:
        known = {name.lower(): name for name in LONG} | {"error": ERROR}
        columns = [known.get(name.lower(), name) for name in names]
        if strange := [name for name in columns if name not in LONG]:
            raise SheetError(f"{self.name}: there is no column {strange[0][:50]!r}; the header is {','.join(LONG)}")
        if twice := {name for name in columns if columns.count(name) > 1}:
            raise SheetError(f"{self.name}: column {min(twice)} is there twice")
        if not {"Serial", "UUID"} & {*columns}:
            raise SheetError(f"{self.name}: the first line must be a header, with Serial or UUID: {','.join(SHORT)}")
        return columns


def _trimmed(cell: str) -> str:
    """Without blanks around it, and without the guard that we put before what looks like a formula."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def guarded(cell: str) -> str:
    """With a sign before it that keeps a spreadsheet from taking it for a formula."""
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
            self._writer.writerow([guarded(cells.get(name, "")) for name in self._columns])


class ErrorFile(Report):
    """The rows that went wrong, with the columns of the file they came from."""

    def __init__(self, kind: str, sheet: Sheet) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
        columns = [*(name for name in sheet.columns if name != ERROR), ERROR]
        # The archived tools' name for it; what comes out of a workbook is CSV all the same.
        name = f"{kind}_error_{now}_{sheet.path.name}{'.csv' if sheet.path.suffix == '.xlsx' else ''}"
        super().__init__(Path(name), columns)

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

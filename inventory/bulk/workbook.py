"""Excel workbooks (.xlsx) of the bulk import: the rows of the first sheet, as texts, read as a stream.

A workbook is a zip of XML from strangers: openpyxl parses it with defusedxml, and we look at its size before it does.
"""

import zlib
from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path
from zipfile import BadZipFile, ZipFile

LARGEST = 300_000_000  # bytes, unpacked
MOST_ROWS = 1_048_576  # Excel's own limit; files that say more would keep us busy for hours
MOST_COLUMNS = 64
EXACT = 10**15  # Excel rounds larger numbers

# What zipfile, the XML parsers and openpyxl raise for what isn't as it should be.
BROKEN = (
    BadZipFile, zlib.error, EOFError, KeyError, ValueError, IndexError, TypeError, AttributeError,
    SyntaxError, NotImplementedError, RuntimeError,
)  # fmt: skip


class BrokenWorkbook(Exception):
    """It can't be read; str() is why."""


def rows(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """(cells, what is wrong with them) of each row that isn't blank. Raises BrokenWorkbook, OSError."""
    from openpyxl import load_workbook  # 8 MB, that a server needs only now and then

    try:
        with ZipFile(path) as zipped:
            if sum(part.file_size for part in zipped.infolist()) > LARGEST:
                raise BrokenWorkbook(f"it has more than {LARGEST // 10**6} MB when it is unpacked")
        with path.open("rb") as file:  # not by its name, by whose ending openpyxl would judge it
            workbook = load_workbook(file, read_only=True, keep_links=False)
            sheet = workbook.worksheets[0]
            sheet.reset_dimensions()  # what a file says of them needn't be so
            for number, cells in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS), start=1):
                if number > MOST_ROWS:
                    raise BrokenWorkbook(f"it has more than {MOST_ROWS} rows")
                if all(cell.value is None for cell in cells):  # a sheet may have a million that are only formatted
                    continue
                problems: list[str] = []
                texts = [_text(cell, problems) for cell in cells]
                while texts and not texts[-1]:
                    texts.pop()
                if texts:
                    yield texts, problems
    except BROKEN as broken:
        raise BrokenWorkbook(str(broken).splitlines()[0] if str(broken) else type(broken).__name__) from broken


def _text(cell, problems: list[str]) -> str:
    """As somebody sees the cell who formats its column as text. A cell that can't be sure of that is a problem."""
    match cell.value:
        case None:
            return ""
        case str(text) if cell.data_type not in ("f", "e"):
            return text
        case bool(yes):
            return str(yes).lower()
        case int(number) if abs(number) < EXACT:
            return str(number)
        case float(number) if number.is_integer() and abs(number) < EXACT:
            return str(int(number))
        case int() | float():
            problems.append(f"Cell {cell.coordinate} is a number that Excel rounds: type it anew, as text")
        case date() | time() | timedelta():
            problems.append(f"Cell {cell.coordinate} is a date: type it anew, as text")
        case _:
            problems.append(f"Cell {cell.coordinate} holds a formula: paste its value instead")
    return str(cell.value)[:100]

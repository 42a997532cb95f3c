"""The numbers: medians of the repetitions, how far these lie apart, and ours as a multiple of the floor."""

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.declare import Bench, Figures

LATEST = Path(__file__).with_name("latest.json")
WRITTEN = {"bench/latest.json", "tests/slow.json"}  # by what is measured and proven at a commit, so no change of it
_console = Console(highlight=False)
if _console.width < 110:  # in a file or a narrow window, cut nothing
    _console.width = 110


@dataclass
class Result:
    bench: Bench
    ours: list[Figures] = field(default_factory=list)
    floor: list[Figures] = field(default_factory=list)

    def rows(self) -> list[dict]:
        """A row for each figure."""
        rows = []
        for name, unit in self.bench.figures.items():
            ours, floor = ([figures[name] for figures in side] for side in (self.ours, self.floor))
            rows.append({
                "figure": name, "unit": str(unit),
                "ours": round(median(ours), 3), "ours_noise": noise(ours),
                "floor": round(median(floor), 3), "floor_noise": noise(floor),
                "times_floor": round(unit.times(median(ours), median(floor)), 2),
            })  # fmt: skip
        return rows


def noise(numbers: list[float]) -> float:
    """How far the repetitions lie apart, as a part of their median."""
    return round((max(numbers) - min(numbers)) / median(numbers), 2) if median(numbers) else 0.0


def progress(name: str) -> None:
    _console.print(f"measuring {name}", style="dim")


def show(results: list[Result]) -> None:
    table = Table(title="Ours beside the floor: medians of the repetitions, and how far these lie apart")
    table.add_column("bench", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    for column in ("ours", "±", "floor", "±", "unit", "x floor"):
        table.add_column(column, no_wrap=True, justify="left" if column == "unit" else "right")
    for result in results:
        for number, row in enumerate(result.rows()):
            table.add_row(
                "" if number else result.bench.name, row["figure"],
                f"{row['ours']:,.2f}", f"{row['ours_noise']:.0%}", f"{row['floor']:,.2f}", f"{row['floor_noise']:.0%}",
                row["unit"], f"{row['times_floor']:.2f}",
            )  # fmt: skip
        table.add_section()
    _console.print(table)
    for result in results:
        _console.print(f"{result.bench.name}: {result.bench.ours.what}; floor: {result.bench.floor.what}", style="dim")


def write(results: list[Result]) -> None:
    """Into latest.json. Of benches that weren't run, what they said last stays, with the date of then."""
    try:
        benches = json.loads(LATEST.read_text())["benches"]
    except FileNotFoundError:
        benches = {}
    when = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(), "machine": machine()}
    for result in results:
        bench = result.bench
        benches[bench.name] = {
            **when, "ours": bench.ours.what, "floor": bench.floor.what, "figures": result.rows()
        }  # fmt: skip
    LATEST.write_text(json.dumps({**when, "benches": benches}, indent=1) + "\n")


def commit() -> str:
    """The one that is checked out, and whether anything but results has changed in it."""
    described, changed = _git("describe", "--always", "--abbrev=12"), _git("diff", "--name-only", "HEAD").splitlines()
    return (described or "unknown") + ("-dirty" if set(changed) - WRITTEN else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=LATEST.parent, capture_output=True, text=True).stdout.strip()


def machine() -> dict:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _fact("/proc/cpuinfo", "model name") or platform.machine(),
        "memory_gib": round(int(_fact("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "load": round(os.getloadavg()[2], 1),  # of the last 15 minutes: how busy it was before
    }


def _fact(file: str, name: str) -> str:
    """The first line `name : value` of one of the kernel's files."""
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")

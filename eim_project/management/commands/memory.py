"""`manage.py memory`: what the running stack holds, process by process."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from eim_project import embedded


class Command(BaseCommand):
    help = "Print the memory (PSS: shared pages are split among those who share them) of the running stack."
    requires_system_checks = []

    def handle(self, **options):
        pid = embedded.owner(settings.EIM_DATA)
        if pid is None:
            raise CommandError(f"no stack runs in {settings.EIM_DATA}: start one with `make up`")
        total = 0.0
        for process in family(pid):
            held = pss_mib(process)
            total += held
            self.stdout.write(f"{held:8.1f} MiB  {process:>7}  {command_of(process)}")
        self.stdout.write(f"{total:8.1f} MiB  in all")


def family(pid: int) -> Iterator[int]:
    """The process, its children, theirs, and so on."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]  # the name before it may have blanks
        except OSError:
            continue  # it has ended meanwhile
        children[int(parent)].append(int(stat.parent.name))
    waiting = [pid]
    while waiting:
        yield (current := waiting.pop(0))
        waiting = [*children[current], *waiting]


def pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def command_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "(gone)"
    return " ".join(Path(word).name if word.startswith("/") else word for word in words).strip()[:90]

"""The partitions of the disk that a system was installed on, and the space that users get beside it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from edge.errors import ActionFailed
from edge.microos.efi import SYSTEM_PARTITION
from edge.microos.programs import run

MIB, GIB = 2**20, 2**30
LVM = "lvm"  # the name of the partition that is set aside
VOLUME_GROUP = "lvmvg"  # as the archived system's users know it
# There is no udev here that would tell of devices, or be told of them.
LVM_ALONE = (
    "devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 } activation { udev_sync = 0 udev_rules = 0 }"
)


@dataclass(frozen=True)
class Partition:
    """A place on a disk, in bytes."""

    device: Path
    start: int
    size: int
    name: str
    kind: str  # GUID

    @property
    def number(self) -> int:
        """1 of vda1 as of nvme0n1p1."""
        return int(re.findall(r"\d+$", self.device.name)[0])

    @property
    def is_efi(self) -> bool:
        return self.kind.lower() == str(SYSTEM_PARTITION)

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Table:
    """A disk's partitions, in the order in which they lie, and where the space for them ends."""

    disk: Path
    partitions: list[Partition]
    end: int
    sector: int

    def partition(self, device: Path) -> Partition:
        return next(it for it in self.partitions if it.device == device)

    def room_behind(self, partition: Partition) -> int:
        """Bytes between it and what comes next."""
        starts = [it.start for it in self.partitions if it.start > partition.start]
        return min([*starts, self.end]) - partition.end


def table(disk: Path) -> Table:
    """Raises ActionFailed for a disk whose table isn't a GPT."""
    found = json.loads(run("sfdisk", "--json", disk))["partitiontable"]
    if found["label"] != "gpt":
        raise ActionFailed(
            f"{disk} has a partition table of the kind {found['label']}: partitions are made in a GPT only"
        )
    sector = found.get("sectorsize", 512)
    listed = [
        Partition(Path(it["node"]), it["start"] * sector, it["size"] * sector, it.get("name", ""), it["type"])
        for it in found.get("partitions", [])
    ]
    return Table(disk, sorted(listed, key=lambda it: it.start), (found["lastlba"] + 1) * sector, sector)


def use_all_of(disk: Path) -> None:
    """The table of a streamed image ends where the image did: from now on it knows the whole disk."""
    run("sfdisk", "--quiet", "--relocate", "gpt-bak-std", disk)


def grow(disk: Path, device: Path, size: int | None = None) -> None:
    """Give a partition this size in bytes, or all the whole MiB behind it."""
    known = table(disk)
    partition = known.partition(device)
    if size is None:
        size = partition.size + known.room_behind(partition) // MIB * MIB
    if size > partition.size:
        run("sfdisk", "--quiet", "-N", partition.number, disk, stdin=f",{size // known.sector}\n")


def name(disk: Path, device: Path, called: str) -> None:
    run("sfdisk", "--quiet", "--part-label", disk, table(disk).partition(device).number, called)


def make_distinct(disk: Path) -> None:
    """Give the partition that firmware starts a GUID of its own: all disks with one image have the same one."""
    run(
        "sfdisk", "--quiet", "--part-uuid", disk, next(it.number for it in table(disk).partitions if it.is_efi), uuid4()
    )


def set_aside(disk: Path, gib: int) -> Path:
    """A partition at the end of the disk for users' volumes; the one of before if it is there."""
    use_all_of(disk)
    known = table(disk)
    if device := next((it.device for it in known.partitions if it.name == LVM), None):
        return device
    start = (known.end - gib * GIB) // MIB * MIB
    taken = max((it.end for it in known.partitions), default=0)
    if start < taken:
        left = (known.end - taken) / GIB
        raise ActionFailed(f"{gib} GiB can't be set aside on {disk}: the system leaves {left:.1f}")
    place = f"start={start // known.sector}, size={gib * GIB // known.sector}"
    run("sfdisk", "--quiet", "--append", disk, stdin=f'{place}, type=lvm, name="{LVM}"\n')
    return next(it.device for it in table(disk).partitions if it.name == LVM)


def make_volume_group(device: Path) -> None:
    """An empty one, whatever the device held."""
    run("lvm", "pvcreate", "-ff", "-y", "--config", LVM_ALONE, device)
    run("lvm", "vgcreate", "-y", "--config", LVM_ALONE, VOLUME_GROUP, device)

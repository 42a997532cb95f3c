"""dm-verity: the sums over an image's root file system, by which its start sees that nothing of it was changed."""

import re
from pathlib import Path
from uuid import UUID

from edge.errors import ActionFailed
from edge.microos import disks, layout
from edge.microos.programs import run
from edge.worker import note

# The Discoverable Partitions Specification's type of a partition for the sums over an x86-64 root.
SUMS = UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")


def is_asked_for(disk: Path) -> bool:
    return bool(_sums(disk))


def protect(disk: Path) -> None:
    """Make the sums, for an image that has a partition for them, and keep the sum over those where it looks for it.

    As that specification has it: the first half is the root partition's GUID, the second that of the sums'.
    """
    sums = _sums(disk)
    if not sums:
        note("the image has no partition for dm-verity's sums: it doesn't ask for it")
        return
    root = layout.table(disk).partition(disks.root_partition(disk))
    told = run("veritysetup", "format", root.device, sums.device)
    found = re.search(r"^Root hash:\s+([0-9a-f]{64})$", told, re.MULTILINE)
    if not found:
        raise ActionFailed(f"veritysetup told no root hash of {root.device}")
    run("veritysetup", "verify", root.device, sums.device, found[1])
    for partition, half in ((root, found[1][:32]), (sums, found[1][32:])):
        run("sfdisk", "--quiet", "--part-uuid", disk, partition.number, UUID(half))
    note(f"dm-verity protects {root.device.name} by the root hash {found[1]}")


def _sums(disk: Path) -> layout.Partition | None:
    return next((it for it in layout.table(disk).partitions if it.kind.lower() == str(SUMS)), None)

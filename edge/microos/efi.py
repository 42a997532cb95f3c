"""UEFI's boot entries: how a machine that was started from elsewhere goes on with the system on its disk."""

import struct
import uuid
from pathlib import Path

from edge.errors import ActionFailed

VARIABLES = Path("/sys/firmware/efi/efivars")
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # the vendor of the firmware's own variables
ENTRY = 0xE1A0  # the number of our boot entry; firmware counts from 0
LASTING = struct.pack("<I", 7)  # attributes of a variable: non-volatile, for boot services, at run time
SECTOR = 512
GPT_SIGNATURE = b"EFI PART"
SYSTEM_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LOADER = "\\EFI\\BOOT\\BOOTX64.EFI"
ACTIVE = 1
GPT_FORMAT, GUID_SIGNATURE = 2, 2


def has_entries(variables: Path = VARIABLES) -> bool:
    return all((variables / f"{name}-{GLOBAL}").exists() for name in ("BootCurrent", "BootOrder"))


def boot_disk_first(disk: Path, variables: Path = VARIABLES) -> None:
    """Have the firmware start this disk's system from now on, and only then try what we were started from.

    That stays active: a deactivated entry could only be brought back at the machine; where it comes up again, the
    server says what boots. Raises ActionFailed if the disk has nothing to start.
    """
    current, order = variables / f"BootCurrent-{GLOBAL}", variables / f"BootOrder-{GLOBAL}"
    _write_entry(disk, variables)
    ours, booted, raw = struct.pack("<H", ENTRY), current.read_bytes()[4:6], order.read_bytes()[4:]
    others = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    last = [booted] if booted in others else []
    order.write_bytes(LASTING + b"".join([ours, *(entry for entry in others if entry not in (ours, booted)), *last]))


def boot_disk_next(disk: Path, variables: Path = VARIABLES) -> bool:
    """Have the firmware start the installed system once, whatever is first in its order. False if it is a BIOS.

    On the disk that it was installed on, if the firmware still knows that, else on this one.
    """
    if not variables.is_dir():
        return False
    if not (variables / f"Boot{ENTRY:04X}-{GLOBAL}").exists():
        _write_entry(disk, variables)
    (variables / f"BootNext-{GLOBAL}").write_bytes(LASTING + struct.pack("<H", ENTRY))
    return True


def secure_boot_is_on(variables: Path = VARIABLES) -> bool:
    variable = variables / f"SecureBoot-{GLOBAL}"
    return variable.exists() and variable.read_bytes()[4:5] == b"\1"


def _write_entry(disk: Path, variables: Path) -> None:
    option = load_option("Edge Infrastructure Manager", system_partition(disk))
    (variables / f"Boot{ENTRY:04X}-{GLOBAL}").write_bytes(LASTING + option)


def system_partition(disk: Path) -> bytes:
    """The device path of the disk's EFI system partition. Raises ActionFailed if there is none."""
    with disk.open("rb") as file:
        file.seek(SECTOR)
        header = file.read(92)
        if header[:8] != GPT_SIGNATURE:
            raise ActionFailed(f"{disk} has no partition table (GPT)")
        first, count, size = (*struct.unpack_from("<Q", header, 72), *struct.unpack_from("<II", header, 80))
        file.seek(first * SECTOR)
        for number in range(1, count + 1):
            entry = file.read(size)
            if entry[:16] == SYSTEM_PARTITION.bytes_le:
                start, last = struct.unpack_from("<QQ", entry, 32)
                place = struct.pack("<IQQ", number, start, last - start + 1)
                return _node(4, 1, place + entry[16:32] + bytes([GPT_FORMAT, GUID_SIGNATURE]))
    raise ActionFailed(f"{disk} has no EFI system partition")


def load_option(name: str, partition: bytes) -> bytes:
    path = partition + _node(4, 4, _text(LOADER)) + _node(0x7F, 0xFF, b"")
    return struct.pack("<IH", ACTIVE, len(path)) + _text(name) + path


def _node(kind: int, subkind: int, content: bytes) -> bytes:
    return struct.pack("<BBH", kind, subkind, 4 + len(content)) + content


def _text(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"

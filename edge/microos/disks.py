"""Disks and partitions as the kernel shows them, and the few things done to them as wholes."""

import ctypes
import fcntl
import os
import re
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.errors import ActionFailed

SYS_BLOCK, DEVICES = Path("/sys/block"), Path("/dev")
PREFERENCE = ("sd", "nvme")  # as the platform's agents choose: these first, then others such as vd and mmcblk
NO_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")
SECTOR = 512
MIB = 2**20
DISKS_COME_WITHIN_SECONDS = 20  # SATA links and USB bridges take seconds after their driver is loaded

# ioctl numbers of <linux/fs.h>
BLKRRPART, BLKGETSIZE64, BLKDISCARD = 0x125F, 0x80081272, 0x1277
EXT_SUPERBLOCK, EXT_MAGIC_AT, EXT_LABEL_AT = 1024, 0x38, 0x78
EXT_MAGIC, EXT_64BIT = b"\x53\xef", 0x80


def fixed_disks(sys_block: Path = SYS_BLOCK) -> list[str]:
    """Names of disks that can't be pulled out, the one to install on first: by class, then the smallest, then name."""
    found = []
    for path in _disks(sys_block):
        if not _unfit(path):
            kind = next((i for i, prefix in enumerate(PREFERENCE) if path.name.startswith(prefix)), len(PREFERENCE))
            found.append((kind, _number(path / "size"), path.name))
    return [name for _, _, name in sorted(found)]


def install_disk(env: Mapping[str, str], sys_block: Path = SYS_BLOCK) -> Path:
    """The one to install on: the one that INSTALL_DISK names, else the first of the fixed ones.

    Named by the kernel's name for it (nvme0n1), its serial number or WWID, or as the smallest or largest one. Raises
    ActionFailed, which tells what there is, unless exactly one fits.
    """
    names, wanted = wait_for_fixed_disks(sys_block), env.get("INSTALL_DISK", "").lower()
    if not wanted:
        return names[0]
    if wanted in ORDERS:
        return ORDERS[wanted](names, key=lambda disk: _number(sys_block / disk.name / "size"))
    fitting = [disk for disk in names if wanted in called(sys_block / disk.name)]
    if len(fitting) != 1:
        there = "; ".join(_described(sys_block / disk.name) for disk in names)
        raise ActionFailed(
            f"install-disk is {wanted!r}, and {len(fitting) or 'no'} disks of this machine are called that: it has "
            f"{there}. Name one of them by install-disk in the host's metadata"
        )
    return fitting[0]


ORDERS: dict[str, Callable[..., Path]] = {"smallest": min, "largest": max}


def called(disk: Path) -> list[str]:
    """The names that a disk goes by, in the letters that metadata may have."""
    names = (disk.name, serial(disk), _text(disk / "wwid") or _text(disk / "device/wwid"))
    return [re.sub(r"[^a-z0-9._-]+", "_", name.lower()) for name in names if name]


def serial(disk: Path) -> str:
    """Its serial number, where virtio, nvme or the SCSI layer (for SATA as well) keep it; "" if it tells none."""
    if said := _text(disk / "serial") or _text(disk / "device/serial"):
        return said
    try:
        return (disk / "device/vpd_pg80").read_bytes()[4:].decode(errors="replace").strip("\0 ")
    except OSError:
        return ""


def _described(disk: Path) -> str:
    return f"{', '.join(called(disk))} ({_number(disk / 'size') * SECTOR / 2**30:.1f} GiB)"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \t\n")
    except OSError:
        return ""


def _disks(sys_block: Path) -> list[Path]:
    return [path for path in sorted(sys_block.iterdir()) if not path.name.startswith(NO_DISKS)]


def _unfit(disk: Path) -> str:
    """Why nothing is installed on it; "" if it can be."""
    if _number(disk / "size") == 0:
        return "empty"
    if _number(disk / "ro"):
        return "read-only"
    return "removable" if _number(disk / "removable") else ""


def wait_for_fixed_disks(sys_block: Path = SYS_BLOCK) -> list[Path]:
    deadline = time.monotonic() + DISKS_COME_WITHIN_SECONDS
    while not (names := fixed_disks(sys_block)):
        if time.monotonic() > deadline:
            seen = ", ".join(f"{path.name} ({_unfit(path)})" for path in _disks(sys_block))
            raise ActionFailed(f"this machine shows no disk to install on, only {seen or 'none at all'}")
        time.sleep(0.2)
    return [DEVICES / name for name in names]


def root_partition(disk: Path, sys_block: Path = SYS_BLOCK) -> Path:
    """The partition called rootfs by its own name or by its file system's label; else the first one with ext4."""
    partitions = sorted(
        (path for path in (sys_block / disk.name).iterdir() if (path / "partition").exists()),
        key=lambda path: _number(path / "partition"),
    )
    for path in partitions:
        if "PARTNAME=rootfs" in (path / "uevent").read_text().splitlines():
            return disk.parent / path.name
    labels = {path.name: ext_label(disk.parent / path.name) for path in partitions}
    for wanted in (lambda label: label == "rootfs", lambda label: label is not None):
        for name, label in labels.items():
            if wanted(label):
                return disk.parent / name
    raise ActionFailed(f"{disk} has no partition called rootfs and none with ext4")


def ext_label(partition: Path) -> str | None:
    """The label of an ext file system, "" when it has none; None when there is no ext file system."""
    block = _superblock(partition)
    return None if block is None else block[EXT_LABEL_AT : EXT_LABEL_AT + 16].rstrip(b"\0").decode(errors="replace")


def ext_blocks(partition: Path) -> tuple[int, int]:
    """How many blocks an ext file system has, and of how many bytes each. Raises ActionFailed if there is none."""
    if (block := _superblock(partition)) is None:
        raise ActionFailed(f"{partition} has no ext file system")
    low, log_block_size = struct.unpack_from("<I", block, 4)[0], struct.unpack_from("<I", block, 24)[0]
    high = struct.unpack_from("<I", block, 0x150)[0] if struct.unpack_from("<I", block, 96)[0] & EXT_64BIT else 0
    return high << 32 | low, 1024 << log_block_size


def _superblock(partition: Path) -> bytes | None:
    with partition.open("rb") as file:
        file.seek(EXT_SUPERBLOCK)
        block = file.read(1024)
    return block if block[EXT_MAGIC_AT : EXT_MAGIC_AT + 2] == EXT_MAGIC else None


def size_bytes(disk: int) -> int:
    """Size of an open disk, or of a plain file that stands for one."""
    status = os.fstat(disk)
    if not stat.S_ISBLK(status.st_mode):
        return status.st_size
    return struct.unpack("Q", fcntl.ioctl(disk, BLKGETSIZE64, b"\0" * 8))[0]


def discard(disk: int) -> bool:
    """Tell the disk that nothing on it is needed any more; False when it knows no such thing."""
    try:
        fcntl.ioctl(disk, BLKDISCARD, struct.pack("QQ", 0, size_bytes(disk)))
    except OSError:
        return False
    return True


def zero(disk: int, start: int, length: int) -> None:
    blank = bytes(MIB)
    while length > 0:
        done = os.pwrite(disk, blank[: min(length, MIB)], start)
        start, length = start + done, length - done


def read_partitions_again(disk: int) -> None:
    """Let the kernel see a changed partition table; a plain file has nobody to tell."""
    if stat.S_ISBLK(os.fstat(disk).st_mode):
        fcntl.ioctl(disk, BLKRRPART)


@contextmanager
def mounted(partition: Path, fs_type: str = "ext4") -> Iterator[Path]:
    point = Path(tempfile.mkdtemp(prefix="root-"))
    mount(str(partition), point, fs_type)
    try:
        yield point
    finally:
        _libc("umount2", os.fsencode(point), 0)
        with suppress(OSError):
            point.rmdir()


def mount(source: str, point: Path, fs_type: str, flags: int = 0) -> None:
    _libc("mount", source.encode(), os.fsencode(point), fs_type.encode(), ctypes.c_ulong(flags), None)


def unmount(point: Path) -> None:
    _libc("umount2", os.fsencode(point), 0)


def _libc(function: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function} {os.fsdecode(arguments[0])}: {os.strerror(code)}")


def _number(path: Path) -> int:
    return int(path.read_text())

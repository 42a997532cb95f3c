"""Disks and partitions as the kernel shows them, and the few things done to them as wholes."""

import ctypes
import fcntl
import os
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.errors import ActionFailed

SYS_BLOCK = Path("/sys/block")
PREFERENCE = ("sd", "nvme")  # as the platform's agents choose: these first, then others such as vd and mmcblk
NO_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")
SECTOR = 512
MIB = 2**20
DISKS_COME_WITHIN_SECONDS = 20  # SATA links and USB bridges take seconds after their driver is loaded

# ioctl numbers of <linux/fs.h>
BLKRRPART, BLKGETSIZE64, BLKDISCARD = 0x125F, 0x80081272, 0x1277
EXT_SUPERBLOCK, EXT_MAGIC_AT, EXT_LABEL_AT = 1024, 0x38, 0x78
EXT_MAGIC = b"\x53\xef"


def fixed_disks(sys_block: Path = SYS_BLOCK) -> list[str]:
    """Names of disks that can't be pulled out, the one to install on first: by class, then the smallest, then name."""
    found = []
    for path in _disks(sys_block):
        if not _unfit(path):
            kind = next((i for i, prefix in enumerate(PREFERENCE) if path.name.startswith(prefix)), len(PREFERENCE))
            found.append((kind, _number(path / "size"), path.name))
    return [name for _, _, name in sorted(found)]


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
    return [Path("/dev") / name for name in names]


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
    with partition.open("rb") as file:
        file.seek(EXT_SUPERBLOCK)
        block = file.read(1024)
    if block[EXT_MAGIC_AT : EXT_MAGIC_AT + 2] != EXT_MAGIC:
        return None
    return block[EXT_LABEL_AT : EXT_LABEL_AT + 16].rstrip(b"\0").decode(errors="replace")


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

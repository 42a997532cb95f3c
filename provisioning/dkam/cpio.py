"""Write a folder as a cpio archive in the "newc" format, which the kernel unpacks as its first root file system."""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def write(folder: Path, out: BinaryIO) -> None:
    """Everything under `folder`, owned by root and dated 1970, so that equal content gives equal bytes."""
    paths = sorted(folder.rglob("*"))
    for number, path in enumerate(paths, start=1):
        _entry(out, number, path.relative_to(folder).as_posix(), path.lstat().st_mode, _content(path))
    _entry(out, len(paths) + 1, "TRAILER!!!", 0, b"")


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return path.read_bytes() if path.is_file() else b""


def _entry(out: BinaryIO, inode: int, name: str, mode: int, content: bytes) -> None:
    links = 2 if stat.S_ISDIR(mode) else 1
    raw_name = os.fsencode(name) + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, device major+minor, rdev major+minor, name size, checksum
    fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(raw_name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + raw_name
    out.write(header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4))

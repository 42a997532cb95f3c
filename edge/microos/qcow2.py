"""qcow2, the format of virtual machines' images, read in the order of the raw disk that it stands for."""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.errors import ActionFailed
from edge.microos.unpack import Broken, Unpacker, Zstd

MAGIC = b"QFI\xfb"
HEADER_BYTES = 105
L1_MOST_ENTRIES = 2**22  # 32 MiB of table, as QEMU has it; 2 PiB of disk with the usual clusters
ZEROS_AT_ONCE = 2**20
SECTOR = 512

OFFSET = 0x00FF_FFFF_FFFF_FE00  # of an entry of either table
ALL_ZERO, COMPRESSED = 1, 1 << 62
# Of the features that a reader has to know: "dirty" is about counts that only writers use, the other is read below.
DIRTY, OTHER_COMPRESSION = 1 << 0, 1 << 3
ZLIB, ZSTD = 0, 1

Read = Callable[[int, int], bytes]  # (offset, length) -> what is there, shorter only behind the end


@dataclass(frozen=True)
class Layout:
    """What the header says."""

    size_bytes: int  # of the disk it stands for
    cluster_bits: int
    l1_at: int
    l1_entries: int
    compression: int

    @property
    def cluster_bytes(self) -> int:
        return 1 << self.cluster_bits


def layout(start: bytes) -> Layout:
    """Of an image with this start. Raises ActionFailed for what isn't qcow2 on its own and whole."""
    if len(start) < HEADER_BYTES or start[:4] != MAGIC:
        raise ActionFailed("the image isn't qcow2")
    version, backing, _, bits, size, encrypted, entries, l1_at = struct.unpack_from(">IQIIQIIQ", start, 4)
    features = struct.unpack_from(">Q", start, 72)[0] if version >= 3 else 0
    compression = start[104] if features & OTHER_COMPRESSION else ZLIB
    if version not in (2, 3):
        raise ActionFailed(f"the image is qcow2 of version {version}, this machine reads 2 and 3")
    for wrong, what in (
        (backing, "needs another image that it builds on"),
        (encrypted, "is encrypted"),
        (features & ~(DIRTY | OTHER_COMPRESSION), f"is damaged or has unknown features ({features:#x})"),
        (compression not in (ZLIB, ZSTD), f"is compressed by method {compression}, which is not known"),
        (not 9 <= bits <= 21 or not size or entries > L1_MOST_ENTRIES, "has a header that makes no sense"),
    ):
        if wrong:
            raise ActionFailed(f"the qcow2 image {what}: convert it by `qemu-img convert -O qcow2`")
    made = Layout(size, bits, l1_at, entries, compression)
    if entries * _bytes_of_l1_entry(made) < size:
        raise ActionFailed("the qcow2 image has a table too short for its disk")
    return made


def pieces(image: Layout, read: Read) -> Iterator[bytes]:
    """The raw disk from its start to its end. What the image leaves out is zeros."""
    left = image.size_bytes
    l1 = _table(_whole(read, image.l1_at, 8 * image.l1_entries))
    for entry in l1:
        if not left:
            return
        covered = min(left, _bytes_of_l1_entry(image))
        left -= covered
        if entry & OFFSET:
            yield from _clusters(image, _table(_whole(read, entry & OFFSET, image.cluster_bytes)), covered, read)
        else:
            yield from _zeros(covered)


def _clusters(image: Layout, l2: tuple[int, ...], covered: int, read: Read) -> Iterator[bytes]:
    for entry in l2:
        if not covered:
            return
        length = min(covered, image.cluster_bytes)
        covered -= length
        if entry & COMPRESSED:
            yield _compressed(image, entry, read)[:length]
        elif entry & ALL_ZERO or not entry & OFFSET:
            yield bytes(length)
        else:
            yield _whole(read, entry & OFFSET, length)


def _compressed(image: Layout, entry: int, read: Read) -> bytes:
    """The entry holds where it begins, to the byte, and how many further sectors it reaches into."""
    offset_bits = 62 - (image.cluster_bits - 8)
    offset = entry & ((1 << offset_bits) - 1)
    sectors = (entry & (COMPRESSED - 1)) >> offset_bits
    packed = read(offset, (sectors + 1) * SECTOR - offset % SECTOR)
    try:
        return _unpack(image, packed)
    except (zlib.error, ValueError, Broken) as broken:
        raise ActionFailed(f"the qcow2 image can't be unpacked at {offset}: {broken}") from broken


def _unpack(image: Layout, packed: bytes) -> bytes:
    if image.compression == ZLIB:
        cluster = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, image.cluster_bytes)
    else:
        stream: Unpacker = Zstd()
        cluster = stream.decompress(packed, image.cluster_bytes)
        while len(cluster) < image.cluster_bytes and not (stream.eof or stream.needs_input):
            cluster += stream.decompress(b"", image.cluster_bytes - len(cluster))
    if len(cluster) != image.cluster_bytes:
        raise ValueError("a cluster is not whole")
    return cluster


def _bytes_of_l1_entry(image: Layout) -> int:
    return image.cluster_bytes // 8 * image.cluster_bytes


def _table(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(raw) // 8}Q", raw)


def _whole(read: Read, offset: int, length: int) -> bytes:
    found = read(offset, length)
    if len(found) != length:
        raise ActionFailed(f"the qcow2 image is not whole: it points to {offset}, behind its end")
    return found


def _zeros(length: int) -> Iterator[bytes]:
    blank = bytes(ZEROS_AT_ONCE)
    while length:
        piece = min(length, ZEROS_AT_ONCE)
        yield blank[:piece]
        length -= piece

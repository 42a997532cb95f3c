"""Small qcow2 images, made here so that tests need no qemu-img: every kind of cluster, and none in its place."""

import struct
import zlib

MAGIC = b"QFI\xfb"
BITS = 16
CLUSTER = 1 << BITS
PACKINGS = ("none", "all")


def made_of(raw: bytes, packing: str = "none") -> bytes:
    """Version 3. Clusters of zeros are left out or marked in turns; the others lie from the last to the first."""
    clusters = [raw[at : at + CLUSTER].ljust(CLUSTER, b"\0") for at in range(0, len(raw), CLUSTER)]
    l1_at, l2_at = CLUSTER, 2 * CLUSTER
    body, entries = bytearray(), [0] * (CLUSTER // 8)
    for number, content in reversed(list(enumerate(clusters))):
        at = 3 * CLUSTER + len(body)
        if not content.strip(b"\0"):
            entries[number] = number % 2
        elif packing == "all":
            packer = zlib.compressobj(wbits=-12)
            packed = packer.compress(content) + packer.flush()
            sectors = (at % 512 + len(packed) - 1) // 512
            entries[number] = 1 << 62 | sectors << 62 - (BITS - 8) | at
            body += packed
        else:
            entries[number] = 1 << 63 | at
            body += content
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", MAGIC, 3, 0, 0, BITS, len(raw), 0, 1, l1_at, 0, 0, 0, 0, 0, 0, 0, 4, 112
    )  # fmt: skip
    tables = struct.pack(">Q", 1 << 63 | l2_at).ljust(CLUSTER, b"\0") + struct.pack(f">{len(entries)}Q", *entries)
    return header.ljust(CLUSTER, b"\0") + tables + bytes(body)


def patched(image: bytes, at: int, kind: str, value: int) -> bytes:
    """With one number of the header changed."""
    return image[:at] + struct.pack(kind, value) + image[at + struct.calcsize(kind) :]

"""The system's image on its way from the server to the disk: downloaded, unpacked, proven and written in one go."""

import hashlib
import http.client
import itertools
import os
import ssl
import struct
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from edge.errors import ActionFailed
from edge.link import HTTP_SECONDS, image_opener
from edge.microos import disks, qcow2
from edge.microos.efi import GPT_SIGNATURE, SECTOR
from edge.microos.unpack import BY_SUFFIX, Broken, unpacked
from edge.worker import note

MIB = 2**20
PAUSES_SECONDS = (2, 4, 8, 16, *[30] * 20)  # before each new try to download: ten minutes in all
PROGRESS_EVERY_SECONDS = 3.0
BOOT_SIGNATURE_AT, BOOT_SIGNATURE = 510, b"\x55\xaa"  # of an MBR, and of the one that stands before each GPT
TROUBLES = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException, urllib.error.URLError)

Environment = dict[str, str]


def needed(env: Environment, name: str) -> str:
    if not env.get(name):
        raise ActionFailed(f"the action came without {name}")
    return env[name]


def check(env: Environment) -> None:
    """Raises ActionFailed for an image that isn't there, is none, or doesn't fit, as far as its start tells.

    Trouble on the way says nothing about the image: writing it will meet that again, and has the time to try again.
    """
    needed(env, "SHA256")  # nothing is written of which nobody said what it has to be
    disk = _target(env)
    try:
        with opened(disk) as handle, _arriving(env) as (start, _, packed_bytes, _):
            room = disks.size_bytes(handle)
            if start.startswith(qcow2.MAGIC):
                _fits(qcow2.layout(start).size_bytes + packed_bytes, room)
            else:
                _must_be_a_disk(start)
                _fits(packed_bytes if not _packing(env) else _size_told_by(start), room)
    except TROUBLES as fault:
        if _is_final(fault):
            raise ActionFailed(f"{env['IMG_URL']} can't be downloaded: {fault}") from fault


def stream(env: Environment) -> None:
    """Write the image to the disk, of which nothing boots before all is there and its sha256, as downloaded, is right.

    Raw images are written as they come. qcow2 has its pieces in any order, and where they go in tables between them:
    it is first put, as it comes, on the part of the disk that its contents will leave free.
    """
    disk = _target(env)
    for pause in (*PAUSES_SECONDS, None):
        try:
            _stream_once(disk, env)
            note(f"written to {disk}, sha256 as asked for")
            return
        except TROUBLES as fault:
            if pause is None or _is_final(fault):
                raise ActionFailed(f"{env['IMG_URL']} can't be downloaded: {fault}") from fault
            note(f"download broke off ({fault}), again in {pause} s")
            time.sleep(pause)


def _stream_once(disk: Path, env: Environment) -> None:
    with opened(disk) as handle:
        disks.zero(handle, 0, min(MIB, disks.size_bytes(handle)))
        with _arriving(env) as (start, pieces, _, digest):
            everything = itertools.chain([start], pieces)
            if start.startswith(qcow2.MAGIC):
                _write_qcow2(handle, qcow2.layout(start), everything, lambda: _verify(digest, env))
            else:
                _write_first_megabyte_last(handle, everything, lambda: _verify(digest, env))
        disks.read_partitions_again(handle)


def _write_qcow2(disk: int, layout: qcow2.Layout, pieces: Iterator[bytes], verify: Callable[[], None]) -> None:
    scratch = -(-layout.size_bytes // MIB) * MIB
    length = _write_all(disk, pieces, scratch)
    verify()

    def read(offset: int, wanted: int) -> bytes:
        return os.pread(disk, min(wanted, max(0, length - offset)), scratch + offset)

    _write_first_megabyte_last(disk, qcow2.pieces(layout, read), lambda: disks.zero(disk, scratch, length))


def _write_first_megabyte_last(disk: int, pieces: Iterator[bytes], before_last: Callable[[], None]) -> None:
    """The first MiB holds the partition table and boot code. Blank until all else is there and proven right,
    it keeps a machine from booting half an image or a wrong one."""
    first, pieces = _first_megabyte(pieces)
    _must_be_a_disk(first)
    _write_all(disk, pieces, len(first))
    before_last()
    os.fsync(disk)
    _write(disk, memoryview(first), 0)
    os.fsync(disk)


def _first_megabyte(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """And all that follows it."""
    start = bytearray()
    for piece in pieces:
        start += piece
        if len(start) >= MIB:
            break
    return bytes(start[:MIB]), itertools.chain([bytes(start[MIB:])], pieces)


def _write_all(disk: int, pieces: Iterator[bytes], offset: int) -> int:
    """How many bytes that were."""
    room, end = disks.size_bytes(disk), offset
    for piece in pieces:
        _fits(end + len(piece), room)
        _write(disk, memoryview(piece), end)
        end += len(piece)
    return end - offset


def _must_be_a_disk(start: bytes) -> None:
    if start[BOOT_SIGNATURE_AT : BOOT_SIGNATURE_AT + 2] != BOOT_SIGNATURE:
        raise ActionFailed("the image is none of a disk: it doesn't begin with a partition table or a boot record")


def _size_told_by(start: bytes) -> int:
    """How many bytes the disk has that a partition table was made for: a GPT tells where its backup is. Else 0."""
    if start[SECTOR : SECTOR + 8] != GPT_SIGNATURE:
        return 0
    return (struct.unpack_from("<Q", start, SECTOR + 32)[0] + 1) * SECTOR


def _fits(wanted: int, room: int) -> None:
    if wanted > room:
        raise ActionFailed(f"the image needs at least {wanted} bytes, which is larger than the disk ({room} bytes)")


def _write(disk: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(disk, data, offset)
        data, offset = data[done:], offset + done


def _verify(digest: "hashlib._Hash", env: Environment) -> None:
    found, wanted = digest.hexdigest(), needed(env, "SHA256").lower()
    if found != wanted:
        raise ActionFailed(f"{env['IMG_URL']} has sha256 {found}, expected {wanted}: nothing bootable was written")


def _target(env: Environment) -> Path:
    return Path(env["DEST_DISK"]) if env.get("DEST_DISK") else disks.install_disk(env)


@contextmanager
def opened(disk: Path) -> Iterator[int]:
    handle = os.open(disk, os.O_RDWR)
    try:
        yield handle
    finally:
        os.close(handle)


def _packing(env: Environment) -> str:
    """The suffix that says how it is packed; "" for an image that isn't."""
    suffix = PurePosixPath(urlsplit(env["IMG_URL"]).path).suffix
    return suffix if env.get("COMPRESSED", "true").lower() == "true" and suffix in BY_SUFFIX else ""


@contextmanager
def _arriving(env: Environment) -> "Iterator[tuple[bytes, Iterator[bytes], int, hashlib._Hash]]":
    """The unpacked image's first MiB, what follows it, how many bytes will have been downloaded then (0: not known),
    and the sum over them."""
    url, digest = needed(env, "IMG_URL"), hashlib.sha256()
    with image_opener(env).open(url, timeout=HTTP_SECONDS) as answer:
        expected = int(answer.headers.get("Content-Length") or 0)
        chunks = _summed(_downloaded(answer, expected), digest)
        try:
            start, rest = _first_megabyte(unpacked(chunks, _packing(env)))
            yield start, rest, expected, digest
        except Broken as broken:
            raise ActionFailed(f"{url} can't be unpacked: {broken}") from broken


def _downloaded(answer: http.client.HTTPResponse, expected: int) -> Iterator[bytes]:
    received, said_at = 0, time.monotonic()
    while chunk := answer.read(MIB):
        yield chunk
        received += len(chunk)
        if time.monotonic() - said_at > PROGRESS_EVERY_SECONDS:
            said_at = time.monotonic()
            note(f"{received // MIB} of {expected // MIB} MiB")
    if expected and received != expected:
        raise ConnectionError(f"ended after {received} of {expected} bytes")


def _summed(chunks: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _is_final(fault: Exception) -> bool:
    """Whether the server answered, and asking again would give the same."""
    return isinstance(fault, urllib.error.HTTPError) and fault.code < 500

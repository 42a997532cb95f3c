"""An immutable system: two slots for its image, of which one runs and the other is written to.

A new image is started once, by a boot counter in the name of its file on the boot partition. It stays only after its
agent has reached the server; else the next start is the old image's again.
"""

import hashlib
import http.client
import os
import re
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from edge.agent import command_line
from edge.agent.failure import UpdateFailed
from edge.agent.memory import Entry, Job, Memory, Wanted
from edge.link import HTTP_SECONDS, Token, pauses
from edge.microos.unpack import BY_SUFFIX, Broken, unpacked
from wire import maintmgr_pb2 as mm

MARK = Path("/usr/lib/edge-node/slots")  # there is one in images for two slots
OTHER = {"2": "3", "3": "2"}  # the numbers of the slots' partitions, as the first start makes them (slots-init)
ROOT = "rootfs"  # the name of the one in an image
KERNEL = "boot/eim.efi"  # in the image: its unified kernel image, which names the root file system that it is for
BOOT = "EFI/Linux"  # on the boot partition, where systemd-boot looks for these
PROGRAM = re.compile(r"edge-(\d{6})(?:\+\d+(?:-\d+)?)?\.efi")  # +tries left-tries done
ON_TRIAL = "+1"
KEPT = Path("/run/edge-agent/kept")  # edge-trial.service starts the machine again if it isn't there in time
TRIES, LONGEST_PAUSE_SECONDS = 10, 60.0  # of a download
MIB, SECTOR = 2**20, 512
GPT_AT, GPT_SIGNATURE = 512, b"EFI PART"
EXT_UUID_AT = 1024 + 0x68
TROUBLES = (OSError, http.client.HTTPException)


def are_here() -> bool:
    return MARK.exists()


class Slots:
    os_type = mm.PlatformUpdateStatusResponse.OS_TYPE_IMMUTABLE

    def __init__(self, memory: Memory, token: Token, known: dict[str, str]) -> None:
        """known: what was written down about the image when the machine was installed."""
        self.memory, self.token = memory, token
        if not memory.image:
            names = {"profile_name": "OS_PROFILE", "profile_version": "OS_VERSION", "image_id": "OS_IMAGE_ID",
                     "image_sha256": "OS_IMAGE_SHA256"}  # fmt: skip
            memory.image = {name: known.get(variable, "") for name, variable in names.items()}

    def refresh(self) -> None:
        """What there is to update to, the server knows."""

    def available(self) -> str:
        return ""

    def asked_for(self, answer: mm.PlatformUpdateStatusResponse) -> Wanted | None:
        source = answer.os_profile_update_source
        if answer.update_source.kernel_command:
            return Wanted(kernel_command=answer.update_source.kernel_command)
        if source.os_image_sha in ("", self.memory.image["image_sha256"]):
            return None
        return Wanted(
            image_url=source.os_image_url, image_sha256=source.os_image_sha, image_id=source.os_image_id,
            profile_name=source.profile_name, profile_version=source.profile_version,
        )  # fmt: skip

    # Before the window ------------------------------------------------------------------------------------------------

    def is_prepared(self, wanted: Wanted) -> bool:
        return not wanted.image_sha256 or self.memory.prepared == wanted.image_sha256

    def prepare(self, wanted: Wanted) -> None:
        """Download the image into the slot that doesn't run; nothing there starts before its digest is right."""
        self.memory.prepared = ""
        self.memory.save()
        with command_line.esp() as boot:
            if boot is None:
                raise UpdateFailed("this machine has no boot partition", "bootloader")
            forget_others(boot / BOOT, running_root())
        slot = other_slot()
        for number, pause in enumerate(pauses(2.0, 2.0, LONGEST_PAUSE_SECONDS), 1):
            try:
                with self._arriving(wanted) as pieces:
                    self.memory.prepared_root = write_slot(slot, pieces, wanted.image_sha256)
                break
            except Broken as broken:
                raise UpdateFailed(f"{wanted.image_url} can't be unpacked: {broken}", "download") from broken
            except TROUBLES as fault:
                final = isinstance(fault, urllib.error.HTTPError) and fault.code < 500
                if final or number == TRIES:
                    raise UpdateFailed(f"{wanted.image_url} can't be downloaded: {fault}", "download") from fault
                time.sleep(pause)
        self.memory.prepared = wanted.image_sha256
        self.memory.save()

    @contextmanager
    def _arriving(self, wanted: Wanted) -> "Iterator[Arriving]":
        """A relative address is our server's own, which our authority vouches for; others are vouched for by theirs."""
        server = self.token.server
        url = urllib.parse.urljoin(f"{server.url}/", wanted.image_url)
        opener = server.opener if url.startswith(f"{server.url}/") else urllib.request.build_opener()
        suffix = PurePosixPath(urllib.parse.urlsplit(url).path).suffix
        with opener.open(url, timeout=HTTP_SECONDS) as answer:
            yield Arriving(answer, suffix if suffix in BY_SUFFIX else "")

    # In the window ----------------------------------------------------------------------------------------------------

    def install(self, job: Job) -> bool:
        wanted = job.wanted
        if not wanted.image_sha256:
            job.log = [_happened("configuration", "kernel command line", wanted.kernel_command)]
            return command_line.change(self.memory, wanted.kernel_command)
        with command_line.esp() as boot, mounted(other_slot()) as root:
            assert boot is not None  # it was there when the image was prepared
            arguments = self.memory.kernel_command
            if arguments and command_line.secure_boot():
                raise UpdateFailed("Secure Boot is on: the new image can't have the kernel command line", "bootloader")
            offer(boot / BOOT, root / KERNEL, arguments)
        job.log = [_happened("os", wanted.profile_name or "image", wanted.image_id)]
        return True

    def after_reboot(self, job: Job) -> None:
        wanted = job.wanted
        if not wanted.image_sha256:
            if not command_line.is_in_force(wanted.kernel_command):
                raise UpdateFailed("the kernel was started without the new command line", "bootloader")
        elif running_root() != self.memory.prepared_root:
            job.log = []
            with command_line.esp() as boot:
                if boot is not None:
                    forget_others(boot / BOOT, running_root())
            self.memory.prepared = ""
            raise UpdateFailed(
                f"rolled back: the image {wanted.image_id} was started, and didn't reach the server; "
                f"{self.memory.image['image_id'] or 'the one before'} runs again",
                "criticalservices", "rolledback",
            )  # fmt: skip

    def keep(self, job: Job) -> None:
        """The server has been reached: this image is the one that starts from now on."""
        if job.wanted.image_sha256:
            with command_line.esp() as boot:
                assert boot is not None  # we were started from it
                keep(boot / BOOT, running_root())
            self.memory.image = {
                "profile_name": job.wanted.profile_name, "profile_version": job.wanted.profile_version,
                "image_id": job.wanted.image_id, "image_sha256": job.wanted.image_sha256,
            }  # fmt: skip
            self.memory.prepared = ""
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.touch()


# Slots on the disk ----------------------------------------------------------------------------------------------------


class Arriving:
    """The unpacked image piece by piece, and the sum over it as it was downloaded."""

    def __init__(self, answer: http.client.HTTPResponse, packing: str) -> None:
        self.answer, self.packing, self.digest = answer, packing, hashlib.sha256()
        self.expected = int(answer.headers.get("Content-Length") or 0)

    def __iter__(self) -> Iterator[bytes]:
        return unpacked(self._downloaded(), self.packing)

    def _downloaded(self) -> Iterator[bytes]:
        received = 0
        while chunk := self.answer.read(MIB):
            self.digest.update(chunk)
            received += len(chunk)
            yield chunk
        if self.expected and received != self.expected:
            raise ConnectionError(f"ended after {received} of {self.expected} bytes")


def write_slot(slot: Path, pieces: Arriving, sha256: str) -> str:
    """Write the root file system of a disk image; its UUID. Its first MiB, without which it is none, is written last,

    when all that was downloaded has the right digest. Raises UpdateFailed.
    """
    handle = os.open(slot, os.O_RDWR)
    try:
        room = os.lseek(handle, 0, os.SEEK_END)
        os.pwrite(handle, bytes(MIB), 0)
        first, table, place = bytearray(), bytearray(), None
        at = 0  # in the image
        for piece in pieces:
            if place is None:
                table += piece
                if len(table) < MIB:
                    continue
                place, piece = _root_of(bytes(table)), bytes(table)
                if place[1] - place[0] > room:
                    raise UpdateFailed(f"the image's root has {place[1] - place[0]} bytes, the slot {room}",
                                       "insufficientstorage")  # fmt: skip
            start, end = place
            wanted = piece[max(0, start - at) : max(0, end - at)]
            offset = max(at, start) - start
            at += len(piece)
            missing = max(0, MIB - len(first)) if offset <= len(first) else 0
            first += wanted[:missing]
            _write(handle, memoryview(wanted)[missing:], offset + missing)
        if place is None or len(first) < MIB:
            raise UpdateFailed("the image is none of a disk with a root file system", "signaturecheck")
        if pieces.digest.hexdigest() != sha256.lower():
            found = pieces.digest.hexdigest()
            raise UpdateFailed(f"the image has sha256 {found}, expected {sha256}: it isn't used", "signaturecheck")
        os.fsync(handle)
        _write(handle, memoryview(bytes(first)), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
    return str(uuid.UUID(bytes=bytes(first[EXT_UUID_AT : EXT_UUID_AT + 16])))


def _write(handle: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(handle, data, offset)
        data, offset = data[done:], offset + done


def _root_of(start: bytes) -> tuple[int, int]:
    """First and last byte + 1 of the partition called rootfs, by the table at an image's start. Raises UpdateFailed."""
    if start[GPT_AT : GPT_AT + 8] == GPT_SIGNATURE:
        first, count, size = struct.unpack_from("<QII", start, GPT_AT + 72)
        for at in range(first * SECTOR, min(first * SECTOR + count * size, len(start) - size), size):
            name = start[at + 56 : at + 128].decode("utf-16-le", errors="replace").rstrip("\0")
            if name == ROOT:
                begins, last = struct.unpack_from("<QQ", start, at + 32)
                return begins * SECTOR, (last + 1) * SECTOR
    raise UpdateFailed("the image is none of a disk with a partition called rootfs", "signaturecheck")


def running_root() -> str:
    """The UUID of the root file system that we were started with."""
    found = re.search(r"\broot=UUID=(\S+)", Path("/proc/cmdline").read_text())
    if not found:
        raise UpdateFailed("the kernel wasn't told which root it starts", "bootloader")
    return found[1]


def other_slot() -> Path:
    """The partition that doesn't run."""
    asked = ["findmnt", "-no", "SOURCE", "/"]
    device = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    own = Path("/sys/class/block", Path(device).name).resolve()
    numbers = {file.read_text().strip(): file.parent.name for file in own.parent.glob("*/partition")}
    other = numbers.get(OTHER.get((own / "partition").read_text().strip(), ""))
    if other is None:
        raise UpdateFailed(f"{own.parent.name} has no second slot", "insufficientstorage")
    return Path("/dev", other)


@contextmanager
def mounted(partition: Path) -> Iterator[Path]:
    point = Path("/run/edge-agent/slot")
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-o", "ro", str(partition), str(point)], check=True, capture_output=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True, capture_output=True)


# Kernels on the boot partition: edge-000002.efi is kept; edge-000003+1.efi will be started once. The highest number
# whose counter isn't used up is what systemd-boot starts. -----------------------------------------------------------


def offer(folder: Path, kernel: Path, arguments: str) -> Path:
    """Have it started at the next start, once."""
    number = max((int(PROGRAM.fullmatch(file.name)[1]) for file in programs(folder)), default=0) + 1  # type: ignore[index]
    draft, target = folder / "edge.new", folder / f"edge-{number:06d}{ON_TRIAL}.efi"
    with draft.open("wb") as out:
        out.write(kernel.read_bytes())
        out.flush()
        os.fsync(out.fileno())
    if arguments:
        command_line.change_in_uki(draft, "", arguments)
    return draft.replace(target)


def keep(folder: Path, root: str) -> None:
    """The kernel for this root isn't on trial any more."""
    for file in programs(folder):
        if is_for(file, root):
            file.rename(folder / f"edge-{PROGRAM.fullmatch(file.name)[1]}.efi")  # type: ignore[index]


def forget_others(folder: Path, root: str) -> None:
    """All but the kernel for this root: the slot of theirs is written to, or wasn't any good."""
    (folder / "edge.new").unlink(missing_ok=True)
    for file in programs(folder):
        if not is_for(file, root):
            file.unlink()


def programs(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if PROGRAM.fullmatch(file.name))


def is_for(program: Path, root: str) -> bool:
    return f"root=UUID={root}" in command_line.of_uki(program).split()


def _happened(kind: str, name: str, version: str) -> Entry:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"update_type": kind, "package_name": name, "update_time": now, "action": "upgrade", "status": "installed",
            "version": version, "failure_reason": "nofailure"}  # fmt: skip

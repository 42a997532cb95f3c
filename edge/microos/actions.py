"""The workflow's actions on a real machine's disks; what goes wrong is an ActionFailed with a sentence."""

import base64
import bz2
import functools
import hashlib
import http.client
import lzma
import os
import shlex
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from edge.errors import ActionFailed
from edge.microos import disks

MIB = 2**20
EDGE_BYTES = (
    16 * MIB
)  # holds every partition table and boot record there is, at the start and (backup GPT, RAID) at the end
PAUSES_SECONDS = (2, 4, 8, 16, *[30] * 20)  # before each new try to download: ten minutes in all
PROGRESS_EVERY_SECONDS = 3.0
ANSWER_WITHIN_SECONDS = 30
EFI_VARIABLES = Path("/sys/firmware/efi/efivars")
EFI_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # the vendor of the firmware's own variables
COMMAND_LAST_WORDS = 300  # characters of a failed command's output that go to the operator

Environment = dict[str, str]


def check_secure_boot(env: Environment, variables: Path = EFI_VARIABLES) -> None:
    """Stop when the firmware's secure boot isn't as the operator asked for the machine."""
    variable = variables / f"SecureBoot-{EFI_GLOBAL}"
    enabled = variable.exists() and variable.read_bytes()[4:5] == b"\1"
    wanted = env.get("SECURITY_FEATURE_FLAG", "")
    if enabled and wanted == "SECURITY_FEATURE_NONE":
        raise ActionFailed("secure boot is on, but the instance asks for no security feature: turn one of them round")
    if not enabled and wanted != "SECURITY_FEATURE_NONE":
        raise ActionFailed(f"secure boot is off, but the instance asks for {wanted or 'an unspecified feature'}")


def erase_fixed_disks(env: Environment) -> None:
    for disk in disks.wait_for_fixed_disks():
        erase(disk)
        print(f"erased {disk}", flush=True)


def erase(disk: Path) -> None:
    """Make a disk look empty in seconds: discard all of it where it can do that, and zero both ends in any case.

    Zeroing whole disks would take hours; what identifies data (partition tables and their backups, boot records,
    RAID and LVM labels) lies at the ends, and the image overwrites the start of each of its file systems.
    """
    handle = os.open(disk, os.O_RDWR)
    try:
        size = disks.size_bytes(handle)
        disks.discard(handle)
        disks.zero(handle, 0, min(EDGE_BYTES, size))
        disks.zero(handle, max(0, size - EDGE_BYTES), min(EDGE_BYTES, size))
        os.fsync(handle)
        disks.read_partitions_again(handle)
    except OSError as fault:
        raise ActionFailed(f"{disk} can't be erased: {fault}") from fault
    finally:
        os.close(handle)


def stream_image(env: Environment) -> None:
    """Download, unpack and write the image in one go, with the downloaded bytes' sha256 checked before it can boot."""
    url, sha256 = _needed(env, "IMG_URL"), env.get("SHA256", "").lower()
    disk = Path(env["DEST_DISK"]) if env.get("DEST_DISK") else disks.wait_for_fixed_disks()[0]
    for pause in (*PAUSES_SECONDS, None):
        try:
            _stream_once(url, sha256, disk, env)
            return
        except (ConnectionError, TimeoutError, http.client.HTTPException, urllib.error.URLError) as fault:
            if pause is None or _is_final(fault):
                raise ActionFailed(f"{url} can't be downloaded: {fault}") from fault
            print(f"download broke off ({fault}), again in {pause} s", flush=True)
            time.sleep(pause)


def _stream_once(url: str, sha256: str, disk: Path, env: Environment) -> None:
    handle = os.open(disk, os.O_RDWR)
    try:
        digest, packed = hashlib.sha256(), _download(url, _trust(env))
        unpack = _decompressor(url if env.get("COMPRESSED", "true").lower() == "true" else "")
        _write_first_megabyte_last(
            handle, _unpacked(packed, unpack, digest.update), lambda: _verify(digest, sha256, url)
        )
        disks.read_partitions_again(handle)
    except (zlib.error, lzma.LZMAError, EOFError, ValueError) as broken:
        raise ActionFailed(f"{url} can't be unpacked: {broken}") from broken
    finally:
        os.close(handle)


def _write_first_megabyte_last(disk: int, chunks: Iterator[bytes], verify: Callable[[], None]) -> None:
    """The first MiB holds the partition table and boot code. Blank until all else is there and proven right,
    it keeps a machine from booting half an image or a wrong one."""
    size = disks.size_bytes(disk)
    disks.zero(disk, 0, min(MIB, size))
    first, offset = bytearray(), 0
    for chunk in chunks:
        if offset + len(chunk) > size:
            raise ActionFailed(f"the image is larger than the disk ({size} bytes)")
        held_back = max(0, min(len(chunk), MIB - offset))
        first += chunk[:held_back]
        _write(disk, memoryview(chunk)[held_back:], offset + held_back)
        offset += len(chunk)
    verify()
    os.fsync(disk)
    _write(disk, memoryview(first), 0)
    os.fsync(disk)


def _write(disk: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(disk, data, offset)
        data, offset = data[done:], offset + done


def _verify(digest: "hashlib._Hash", wanted: str, url: str) -> None:
    if wanted and digest.hexdigest() != wanted:
        raise ActionFailed(f"{url} has sha256 {digest.hexdigest()}, expected {wanted}: nothing bootable was written")


def _download(url: str, trust: ssl.SSLContext) -> Iterator[bytes]:
    with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_SECONDS, context=trust) as answer:  # noqa: S310 - the server's
        expected = int(answer.headers.get("Content-Length") or 0)
        received, said_at = 0, time.monotonic()
        while chunk := answer.read(MIB):
            yield chunk
            received += len(chunk)
            if time.monotonic() - said_at > PROGRESS_EVERY_SECONDS:
                said_at = time.monotonic()
                print(f"{received // MIB} of {expected // MIB} MiB", flush=True)
        if expected and received != expected:
            raise ConnectionError(f"ended after {received} of {expected} bytes")


def _is_final(fault: Exception) -> bool:
    """Whether the server answered, and asking again would give the same."""
    return isinstance(fault, urllib.error.HTTPError) and fault.code < 500


def _trust(env: Environment) -> ssl.SSLContext:
    pem = base64.b64decode(env.get("TLS_CA_CERT", "")).decode()
    return ssl.create_default_context(cadata=pem or None)


class _Decompressor(Protocol):
    eof: bool

    def decompress(self, data: bytes) -> bytes: ...


def _decompressor(name: str) -> _Decompressor | None:
    """By the suffix, as the platform's images are named; None for an image that isn't packed."""
    match Path(name).suffix:
        case ".gz":
            return zlib.decompressobj(wbits=31)
        case ".bz2" | ".bzip2":
            return bz2.BZ2Decompressor()
        case ".xz":
            return lzma.LZMADecompressor()
        case ".zs" | ".zst":
            raise ActionFailed(f"{name} is packed by zstd, which this machine can't unpack: use gz, xz or bz2")
        case _:
            return None


def _unpacked(chunks: Iterator[bytes], unpack: _Decompressor | None, saw: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        saw(chunk)
        yield unpack.decompress(chunk) if unpack else chunk
    if unpack and not unpack.eof:
        raise EOFError("it ends too early")


def write_file(env: Environment) -> None:
    """Put one file into the installed system."""
    disk = Path(env["DEST_DISK"]) if env.get("DEST_DISK") else disks.root_partition(disks.wait_for_fixed_disks()[0])
    with disks.mounted(disk, env.get("FS_TYPE") or "ext4") as root:
        write_into(root, env)


def write_into(root: Path, env: Environment) -> None:
    """The file below `root`, with its parents; a path that leads out of `root` is refused."""
    target = (root / _needed(env, "DEST_PATH").lstrip("/")).resolve()
    if not target.is_relative_to(root.resolve()):
        raise ActionFailed(f"{env['DEST_PATH']} leads out of the installed system")
    owner = int(env.get("UID") or 0), int(env.get("GID") or 0)
    for parent in reversed([p for p in target.parents if not p.exists()]):
        parent.mkdir()
        parent.chmod(int(env.get("DIRMODE") or "0755", 8))
        os.chown(parent, *owner)
    draft = target.with_name(f".{target.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(env.get("CONTENTS", ""))
        os.fchmod(file.fileno(), int(env.get("MODE") or "0644", 8))
        os.fchown(file.fileno(), *owner)
        os.fsync(file.fileno())
    draft.replace(target)


def execute(env: Environment) -> None:
    """Run a command inside the installed system, with its devices and the kernel's file systems there."""
    named = env.get("BLOCK_DEVICE")
    disk = Path(named) if named else disks.root_partition(disks.wait_for_fixed_disks()[0])
    command = _needed(env, "CMD_LINE")
    interpreter = shlex.split(env.get("DEFAULT_INTERPRETER") or "/bin/sh -c")
    with disks.mounted(disk, env.get("FS_TYPE") or "ext4") as root, ExitStack() as kernel:
        for name, fs_type in (("proc", "proc"), ("sys", "sysfs"), ("dev", "devtmpfs")):
            disks.mount(fs_type, root / name, fs_type)
            kernel.callback(disks.unmount, root / name)
        done = subprocess.run(["chroot", str(root), *interpreter, command], capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-COMMAND_LAST_WORDS:]
        raise ActionFailed(f"{command!r} ended with code {done.returncode}: {said}")


def boot_from_disk_next(env: Environment, variables: Path = EFI_VARIABLES) -> None:
    """Put the entry we booted from last in the firmware's order, still active.

    A deactivated one could only be brought back at the machine; where it comes up again, the server says what boots.
    """
    current, order = variables / f"BootCurrent-{EFI_GLOBAL}", variables / f"BootOrder-{EFI_GLOBAL}"
    if not (current.exists() and order.exists()):
        print("no UEFI boot entries on this machine, its boot order stays", flush=True)
        return
    booted, raw = current.read_bytes()[4:6], order.read_bytes()
    entries = [raw[i : i + 2] for i in range(4, len(raw), 2)]
    if booted in entries and len(entries) > 1:
        entries.remove(booted)
        order.write_bytes(raw[:4] + b"".join([*entries, booted]))


def prepare_reboot(env: Environment) -> None:
    """Everything written goes to the disk; the machine reboots once the server has heard that we are done."""
    os.sync()


def _needed(env: Environment, name: str) -> str:
    if not env.get(name):
        raise ActionFailed(f"the action came without {name}")
    return env[name]


def _readable(action: Callable[[Environment], None]) -> Callable[[Environment], None]:
    """A fault of the machine's is an answer to the operator, not a crash."""

    @functools.wraps(action)
    def told(env: Environment) -> None:
        try:
            action(env)
        except OSError as fault:
            raise ActionFailed(str(fault)) from fault

    return told


ACTIONS: dict[str, Callable[[Environment], None]] = {
    "securebootflag": _readable(check_secure_boot),
    "erase_non_removable_disks": _readable(erase_fixed_disks),
    "image2disk": _readable(stream_image),
    "writefile": _readable(write_file),
    "cexec": _readable(execute),
    "efibootset": _readable(boot_from_disk_next),
    "reboot-action": _readable(prepare_reboot),
}

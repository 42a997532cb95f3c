"""The installed system's root partition encrypted where it lies (LUKS2), by a key that only this machine's TPM has."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import ActionFailed
from edge.microos import disks, layout
from edge.microos.programs import run
from edge.worker import note

MAGIC = b"LUKS\xba\xbe"
HEADER_BYTES = 32 * 2**20  # what cryptsetup asks for to put its header in, and to move the data behind it
TPM = Path("/sys/class/tpmrm")
# Whether Secure Boot is on, its keys, and whose signature started what runs: the same when the micro-OS runs and when
# the installed system does. With the firmware's code (PCR 0) measured too, each firmware update would lock it out.
PCRS = "7"
MAPPED = Path("/dev/mapper")
ROOT = "rootfs"  # what it is called when it is unlocked, as its partition is
BY_TPM = "tpm2-device=auto,headless=1"
BY_ITSELF = {"SYSTEMD_CRYPTSETUP_USE_TOKEN_MODULE": "0"}  # its plug-in isn't where it looks, /usr not merged
UNLOCKS = "etc/unlocks-by-tpm2"  # a file in systems whose start can do that
MEMORY = Path("/dev/shm")  # noqa: S108 - it is in memory, and only we are here


def check() -> None:
    """Raises ActionFailed on a machine that nothing can be encrypted for."""
    if not (TPM.is_dir() and any(TPM.iterdir())):
        raise ActionFailed("this machine shows no TPM 2.0 to keep the disk's key: switch it on in the firmware")


def is_luks(partition: Path) -> bool:
    with partition.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def opened(partition: Path, name: str = ROOT) -> Iterator[Path]:
    """Where the file system is: the partition, or what the TPM unlocks in it."""
    if not is_luks(partition):
        yield partition
        return
    run("systemd-cryptsetup", "attach", name, partition, "-", BY_TPM, **BY_ITSELF)
    try:
        yield MAPPED / name
    finally:
        run("systemd-cryptsetup", "detach", name)


def encrypt(disk: Path, lvm_gib: int = 0) -> None:
    """The root file system, which then has all the room behind it, and the space for users' volumes, if there is to be.

    Done once more after a power cut, if the key is in the TPM already.
    """
    root = disks.root_partition(disk)
    volumes = layout.set_aside(disk, lvm_gib) if lvm_gib else None
    if is_luks(root):
        _must_be_whole(root)
    else:
        _must_unlock(root)
        _make_room(disk, root)
        with _key() as key:
            _encrypt_in_place(root, key)
    layout.grow(disk, root)
    with opened(root) as inside:
        run("e2fsck", "-f", "-y", inside, fine=(0, 1))
        run("resize2fs", inside)
        if volumes:
            _encrypt_volumes(volumes)
            with disks.mounted(inside) as system, (system / "etc/crypttab").open("a") as table:
                table.write(f"{layout.LVM} PARTLABEL={layout.LVM} - tpm2-device=auto,nofail\n")
    note(f"{root.name} is encrypted: this machine's TPM unlocks it while Secure Boot stays as it is (PCR {PCRS})")


def _encrypt_volumes(partition: Path) -> None:
    with _key() as key:
        run("cryptsetup", "luksFormat", *CHEAP, "--sector-size=4096", "--key-file", key, partition)
        _enrol(partition, key)
    with opened(partition, layout.LVM) as inside:
        layout.make_volume_group(inside)


def _must_be_whole(root: Path) -> None:
    about = json.loads(run("cryptsetup", "luksDump", "--dump-json-metadata", root))
    unlocks = any(token["type"] == "systemd-tpm2" for token in about["tokens"].values())
    if not unlocks or about["config"].get("requirements"):
        raise ActionFailed(
            f"{root.name} was being encrypted when the machine went off, and the key of that is gone: "
            "provision the instance again"
        )


def _must_unlock(root: Path) -> None:
    with disks.mounted(root) as system:
        able = (system / UNLOCKS).exists()
    if not able:
        raise ActionFailed(
            f"the image can't unlock its own disk: it has no /{UNLOCKS}, by which images say that they can"
        )


def _make_room(disk: Path, root: Path) -> None:
    """Behind the file system, so that this needn't shrink."""
    layout.use_all_of(disk)
    layout.name(
        disk, root, "rootfs"
    )  # by which it is known from now on: its file system's label can't be read any more
    known = layout.table(disk)
    partition, (blocks, block_bytes) = known.partition(root), disks.ext_blocks(root)
    wanted = blocks * block_bytes + HEADER_BYTES
    if wanted > partition.size:
        if wanted > partition.size + known.room_behind(partition):
            raise ActionFailed(
                f"{disk} has no room for the {HEADER_BYTES} bytes that encryption needs behind {root.name}"
            )
        layout.grow(disk, root, -(-wanted // layout.MIB) * layout.MIB)


@contextmanager
def _key() -> Iterator[Path]:
    """A file in memory with the key that is there until the TPM has one."""
    file = MEMORY / "luks-key"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_hex(32))
        yield file
    finally:
        file.unlink()


# So long a random key needs no costly derivation, and is gone in minutes.
CHEAP = ("--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--batch-mode", "--type=luks2")


def _encrypt_in_place(root: Path, key: Path) -> None:
    _, block_bytes = disks.ext_blocks(root)
    sector, room = min(block_bytes, 4096), f"--reduce-device-size={HEADER_BYTES // 2**20}M"
    run("cryptsetup", "reencrypt", "--encrypt", *CHEAP, f"--sector-size={sector}", room, "--key-file", key, root)
    _enrol(root, key)


def _enrol(partition: Path, key: Path) -> None:
    """The TPM gets a key of its own, and the one in memory counts no more."""
    tpm = ("--tpm2-device=auto", f"--tpm2-pcrs={PCRS}", "--wipe-slot=password")
    run("systemd-cryptenroll", f"--unlock-key-file={key}", *tpm, partition)

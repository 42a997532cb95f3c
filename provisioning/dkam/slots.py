"""The immutable disk image: the same small Debian, with two slots for it, of which systemd-boot starts one (UEFI only).

The image itself has the boot partition and the first slot. The first start makes the second slot, and a partition for
all that changes on the machine, from what is left of its disk (files/slots-init).
"""

import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from provisioning.dkam import image, microos, signing, uki
from provisioning.dkam.image import ESP_START, MIB, SECTOR
from provisioning.dkam.kernel import Kernel
from provisioning.dkam.signing import Key
from provisioning.dkam.tools import remove, require, run

NAME = "debian-12-slots.raw.gz"
ESP_SIZE = 192 * MIB  # for two unified kernel images, and a third that is being written
SLOT_START = ESP_START + ESP_SIZE
SLOT_SIZE = 1024 * MIB  # what later images may grow to
FILES = microos.FILES / "slots"
KERNEL = "boot/eim.efi"  # in a slot, from where the agent offers it to the boot partition
FIRST = "edge-000001.efi"
COMMAND_LINE = image.COMMAND_LINE.replace("root=LABEL=rootfs", "root=UUID={root}") + " panic=10"


def make(
    root_tar: Path,
    packages_tar: Path,
    checkout: Path,
    keys: Iterable[Key],
    folder: Path,
    change: Callable[[Path], None] = lambda root: None,
) -> None:
    """Write the gzipped raw image into the folder. change: what else is done to its root, for another version of it."""
    require("mke2fs", "mformat", "mmd", "mcopy", "sfdisk")
    root, identity, loader = folder / "root", str(uuid.uuid4()), folder / "boot.efi"
    root.mkdir()
    with tarfile.open(packages_tar) as packages:
        kernel = Kernel(packages)
        (folder / "vmlinuz").write_bytes(kernel.image())
        microos.make_disk_initramfs(kernel, packages, folder, "slots-init")
        image.fill_root(root, root_tar, kernel, checkout, folder)
        loader.write_bytes(uki.member(packages, uki.SYSTEMD_BOOT))
    _own_files(root)
    change(root)
    program = root / KERNEL
    command_line = COMMAND_LINE.format(root=identity)
    uki.make(packages_tar, folder / "vmlinuz", folder / "disk-initramfs", command_line, program)
    for efi in (program, loader):
        signing.sign(efi, keys)
    raw, slot = folder / "disk.raw", image.root_file_system(root, folder, identity)
    _partitions(raw)
    _boot_partition(raw, program, loader, folder)
    image.copy_sparse(slot, raw, SLOT_START)
    with raw.open("r+b") as disk:
        disk.truncate(SLOT_START + slot.stat().st_size)  # the slot's end is as empty as the disk that it comes to
    remove(root)
    image.compress(raw, folder / NAME)
    for scratch in (raw, slot, loader, folder / "vmlinuz", folder / "disk-initramfs"):
        scratch.unlink()


def _own_files(root: Path) -> None:
    image.copy_files(FILES, root)
    (root / "data").mkdir()
    shutil.copyfile(root / "usr/share/systemd/tmp.mount", root / "etc/systemd/system/tmp.mount")
    image.enable(root, "/etc/systemd/system/tmp.mount", "local-fs.target.wants")
    image.enable(root, "/etc/systemd/system/edge-trial.timer", "timers.target.wants")


def _partitions(raw: Path) -> None:
    with raw.open("wb") as disk:
        disk.truncate(SLOT_START + SLOT_SIZE + MIB)
    run(
        *("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw),
        stdin=(
            "label: gpt\n"
            f'start={ESP_START // SECTOR}, size={ESP_SIZE // SECTOR}, type=U, name="ESP"\n'
            f'start={SLOT_START // SECTOR}, size={SLOT_SIZE // SECTOR}, type=L, name="rootfs"\n'
        ),
    )


def _boot_partition(raw: Path, program: Path, loader: Path, folder: Path) -> None:
    drive = f"{raw}@@{ESP_START}"
    run("mformat", "-i", drive, "-F", "-v", "ESP", "-T", str(ESP_SIZE // SECTOR), "-h", "64", "-s", "32", "::")
    run("mmd", "-i", drive, "::EFI", "::EFI/BOOT", "::EFI/Linux", "::loader")
    (folder / "loader.conf").write_text("timeout 0\neditor no\nauto-firmware no\n")
    configuration = folder / "loader.conf"
    files = {"loader/loader.conf": configuration, "EFI/BOOT/BOOTX64.EFI": loader, f"EFI/Linux/{FIRST}": program}
    for path, source in files.items():
        run("mcopy", "-i", drive, source, f"::{path}")
    (folder / "loader.conf").unlink()

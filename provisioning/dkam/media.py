"""Images that are a USB stick and a DVD at once, also a virtual one: one FAT file system that UEFI boots from."""

from pathlib import Path

from provisioning.dkam.tools import require, run

MIB = 2**20
SPARE_BYTES = 2 * MIB  # for FAT's tables and folders
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"  # the type of an EFI system partition


def make(files: dict[str, Path], target: Path) -> None:
    """files: path on the stick -> what to put there. EFI/BOOT/BOOTX64.EFI is what UEFI starts."""
    require("mformat", "mmd", "mcopy", "xorriso")
    fat, empty = target.with_suffix(".fat"), target.with_suffix(".empty")
    size = sum(-(-source.stat().st_size // 4096) * 4096 for source in files.values()) + SPARE_BYTES
    with fat.open("wb") as file:
        file.truncate(-(-size // MIB) * MIB)
    run("mformat", "-i", fat, "-v", "EIM", "::")
    folders = {parent for path in files for parent in Path(path).parents if parent.name}
    for folder in sorted(folders, key=lambda path: len(path.parts)):
        run("mmd", "-i", fat, f"::{folder}")
    for path, source in files.items():
        run("mcopy", "-i", fat, source, f"::{path}")
    empty.mkdir()
    partition = ("-append_partition", "2", ESP, fat, "-appended_part_as_gpt")
    boot = ("-e", "--interval:appended_partition_2:all::", "-no-emul-boot")
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "EIM", "-o", target, *partition, *boot, empty)
    empty.rmdir()
    fat.unlink()

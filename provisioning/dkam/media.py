"""Images that are a USB stick and a DVD at once, also a virtual one: one FAT file system that UEFI boots from."""

from pathlib import Path

from provisioning.dkam.tools import require, run

MIB = 2**20
SPARE_BYTES = 2 * MIB  # for FAT's tables and folders


def make(files: dict[str, Path], target: Path) -> None:
    """files: path on the stick -> what to put there. EFI/BOOT/BOOTX64.EFI is what UEFI starts."""
    require("mformat", "mmd", "mcopy", "xorriso")
    fat = target.with_suffix(".fat")
    size = sum(-(-source.stat().st_size // 4096) * 4096 for source in files.values()) + SPARE_BYTES
    with fat.open("wb") as file:
        file.truncate(-(-size // MIB) * MIB)
    run("mformat", "-i", fat, "-v", "EIM", "::")
    folders = {parent for path in files for parent in Path(path).parents if parent.name}
    for folder in sorted(folders, key=lambda path: len(path.parts)):
        run("mmd", "-i", fat, f"::{folder}")
    for path, source in files.items():
        run("mcopy", "-i", fat, source, f"::{path}")
    # A file of the volume, not a partition appended behind it: how large it is El Torito can't tell in its 16 bits, so
    # UEFI takes what there is from its beginning to the end of the volume.
    boot = ("-e", fat.name, "-no-emul-boot", "-efi-boot-part", "--efi-boot-image", "--protective-msdos-label")
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "EIM", "-o", target, *boot, "-graft-points", f"{fat.name}={fat}")
    fat.unlink()

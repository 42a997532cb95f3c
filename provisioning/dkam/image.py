"""The disk image that machines get: a small Debian with cloud-init and the node agent, bootable by UEFI and by BIOS."""

import gzip
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from provisioning.dkam import microos, python, signing, uki
from provisioning.dkam.kernel import Kernel
from provisioning.dkam.signing import Key
from provisioning.dkam.tools import as_root, remove, require, run

NAME = "debian-12.raw.gz"
PACKAGES = (
    *("systemd-sysv", "dbus", "systemd-resolved", "udev", "kmod", "iproute2", "netbase", "ca-certificates", "sudo"),
    *("python3", "libstdc++6", "cloud-init", "cloud-guest-utils", "fdisk", "e2fsprogs", "systemd-boot-efi"),
    "openssh-server",
)
MIB = 2**20
SECTOR = 512
ESP_START, ESP_SIZE = 1 * MIB, 64 * MIB  # 64 MiB: the least that mformat makes a FAT32 of, which is what UEFI asks for
ROOT_START = ESP_START + ESP_SIZE
ROOT_SPARE = 96 * MIB  # for the first minutes; cloud-init grows the file system over the whole disk
GZIP_LEVEL = 3  # a tenth larger than with 6, in a third of the time
COMMAND_LINE = "root=LABEL=rootfs ro console=tty0 console=ttyS0,115200 quiet net.ifnames=0 systemd.show_status=0"
FILES = microos.FILES / "image"
GPT_BOOT_CODE = Path("/usr/lib/SYSLINUX/gptmbr.bin")


def make(root_tar: Path, packages_tar: Path, checkout: Path, keys: Iterable[Key], folder: Path) -> None:
    """Write the gzipped raw image into the folder. With Secure Boot on, it boots where one of the keys is known."""
    require("mke2fs", "mformat", "mmd", "mcopy", "sfdisk", "syslinux")
    raw, root = folder / "disk.raw", folder / "root"
    root.mkdir()
    with tarfile.open(packages_tar) as packages:
        kernel = Kernel(packages)
        (folder / "vmlinuz").write_bytes(kernel.image())
        microos.make_disk_initramfs(kernel, packages, folder)
        fill_root(root, root_tar, kernel, checkout, folder)
        (root / "etc/unlocks-by-tpm2").write_text("its initramfs (disk-init) unlocks its root by the TPM\n")
    efi = folder / "boot.efi"
    uki.make(packages_tar, folder / "vmlinuz", folder / "disk-initramfs", COMMAND_LINE, efi)
    signing.sign(efi, keys)
    root_image = root_file_system(root, folder)
    _partitions(raw, root_image.stat().st_size)
    _boot_partition(raw, efi, folder)
    copy_sparse(root_image, raw, ROOT_START)
    remove(root)
    compress(raw, folder / NAME)
    for scratch in (raw, root_image, efi, folder / "vmlinuz", folder / "disk-initramfs"):
        scratch.unlink()


def fill_root(root: Path, root_tar: Path, kernel: Kernel, checkout: Path, scratch: Path) -> None:
    # Devices come from devtmpfs; leaving them out lets anyone unpack.
    run(*as_root(), "tar", "-xpf", root_tar, "-C", root, "--numeric-owner", "--exclude=./dev/*")
    kernel.install_modules(root)
    copy_files(FILES / "root", root)
    code = root / microos.CODE
    python.install_wheels(code, checkout / "requirements.txt", scratch)
    python.install_sources(code, checkout)
    python.compile_all(code, root)
    enable(root, "/lib/systemd/system/systemd-networkd.service", "multi-user.target.wants")
    enable(root, "/lib/systemd/system/systemd-resolved.service", "multi-user.target.wants")
    enable(root, "/etc/systemd/system/edge-node-agent.path", "paths.target.wants")
    for of_all in (*root.glob("etc/ssh/ssh_host_*"), *root.glob("etc/systemd/system/**/ssh*.service")):
        of_all.unlink()  # each machine makes its own key, and starts SSH if somebody may log in
    for unit in (FILES / "masked-units").read_text().split():
        (root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("uninitialized\n")  # each machine makes its own
    (root / "etc/hostname").write_text("edge-node\n")


def copy_files(source: Path, root: Path) -> None:
    """All below it, to the same places."""
    for file in (path for path in source.rglob("*") if path.is_file()):
        target = root / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)  # whatever the umask was when this checkout was made


def enable(root: Path, unit: str, wants: str) -> None:
    link = root / "etc/systemd/system" / wants / Path(unit).name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(unit)


def root_file_system(root: Path, folder: Path, identity: str = "random") -> Path:
    """identity: its UUID."""
    used = sum(_blocks(path) for path in root.rglob("*")) * 4096
    size = -(-(used * 21 // 20 + ROOT_SPARE) // MIB) * MIB
    target = folder / "root.ext4"
    options = f"-q -F -t ext4 -b 4096 -m 1 -L rootfs -U {identity} -d"
    run(*as_root(), "mke2fs", *options.split(), root, target, f"{size // 1024}k")
    return target


def _blocks(path: Path) -> int:
    return -(-path.lstat().st_size // 4096) + 1 if path.is_file() and not path.is_symlink() else 1


def _partitions(raw: Path, root_size: int) -> None:
    with raw.open("wb") as disk:
        disk.truncate(ROOT_START + root_size + MIB)
    run(
        *("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw),
        stdin=(
            "label: gpt\n"
            f'start={ESP_START // SECTOR}, size={ESP_SIZE // SECTOR}, type=U, name="ESP", attrs=LegacyBIOSBootable\n'
            f'start={ROOT_START // SECTOR}, size={root_size // SECTOR}, type=L, name="rootfs"\n'
        ),
    )


def _boot_partition(raw: Path, efi: Path, folder: Path) -> None:
    """One FAT partition for both firmwares: a unified kernel image where UEFI looks, and SYSLINUX for BIOS."""
    drive = f"{raw}@@{ESP_START}"
    geometry = ["-T", ESP_SIZE // SECTOR, "-h", 64, "-s", 32, "-H", ESP_START // SECTOR]  # SYSLINUX reads the last one
    run("mformat", "-i", drive, "-F", "-v", "ESP", *map(str, geometry), "::")
    run("mmd", "-i", drive, "::EFI", "::EFI/BOOT")
    bios = f"DEFAULT debian\nLABEL debian\n  LINUX /vmlinuz\n  INITRD /initrd\n  APPEND {COMMAND_LINE}\n"
    (folder / "text").write_text(bios)
    run("mcopy", "-i", drive, folder / "text", "::syslinux.cfg")
    (folder / "text").unlink()
    kernel, initrd = folder / "vmlinuz", folder / "disk-initramfs"
    for path, source in {"vmlinuz": kernel, "initrd": initrd, "EFI/BOOT/BOOTX64.EFI": efi}.items():
        run("mcopy", "-i", drive, source, f"::{path}")
    run("syslinux", "--install", "--offset", str(ESP_START), raw)
    with raw.open("r+b") as disk:
        disk.write(GPT_BOOT_CODE.read_bytes()[:440])


def copy_sparse(source: Path, target: Path, offset: int) -> None:
    with source.open("rb") as read, target.open("r+b") as write:
        while chunk := read.read(MIB):
            if chunk.strip(b"\0"):
                write.seek(offset + read.tell() - len(chunk))
                write.write(chunk)


def compress(raw: Path, target: Path) -> None:
    with (
        raw.open("rb") as source,
        target.open("wb") as packed,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as out,
    ):
        shutil.copyfileobj(source, out, MIB)

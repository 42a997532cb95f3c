"""The micro-OS: a kernel, and a first root file system with Python, the edge code and nothing unneeded."""

import shutil
import tarfile
from pathlib import Path

from provisioning.dkam import cpio, python
from provisioning.dkam.kernel import Kernel
from provisioning.dkam.tools import require, run

# grpc is C++; the last two are not of the micro-OS but of what starts it.
PACKAGES = ("busybox-static", "python3", "libstdc++6", "linux-image-amd64", "systemd-boot-efi", "ipxe")
FILES = Path(__file__).parent / "files"
CODE = "opt/edge"  # where edge, wire and the wheels live, here and on the installed system
CA_FILE = "etc/eim/ca.crt"
CONSOLES = ("console=tty0", "console=ttyS0,115200", "quiet")

KEPT = (
    "./bin/busybox", "./lib64/", "./lib/x86_64-linux-gnu/", "./usr/lib/x86_64-linux-gnu/", "./usr/lib/locale/C.utf8/",
    "./usr/bin/python3", "./usr/lib/python3.11/", "./etc/python3.11/",
)  # fmt: skip
LEFT_OUT = (
    "/perl", "/gconv/", "/libdb-", "libtirpc", "libnsl", "libapt", "/security/", "libperl", "/audit/", "libsystemd",
    "python3.11/test/", "python3.11/config-3.11", "/lib2to3/", "/idlelib/", "/distutils/", "/ensurepip/", "/tkinter/",
    "/pydoc_data/", "/xmlrpc/", "/wsgiref/", "/curses/", "/dbm/", "/sqlite3/", "/turtle",
)  # fmt: skip


def make_initramfs(packages: Path, checkout: Path, ca_pem: str, folder: Path) -> None:
    """`vmlinuz` and `initramfs` in the folder, out of the tar of unpacked packages and this checkout's code."""
    require("zstd", "depmod")
    root = folder / "root"
    root.mkdir()
    with tarfile.open(packages) as tar:
        kernel = Kernel(tar)
        (folder / "vmlinuz").write_bytes(kernel.image())
        _unpack(tar, root)
        kernel.install_modules(root)
    _own_files(root, FILES / "microos-init", ca_pem)
    python.install_wheels(root / CODE, checkout / "requirements.txt", folder)
    python.install_sources(root / CODE, checkout)
    python.compile_all(root, root)
    pack(root, folder / "initramfs")
    shutil.rmtree(root)


def make_disk_initramfs(kernel: Kernel, packages: tarfile.TarFile, folder: Path, init: str = "disk-init") -> Path:
    """The installed system's first root file system: finds the disk's root partition and hands over, nothing else."""
    root = folder / "disk-initramfs-root"
    root.mkdir()
    _unpack(packages, root, kept=("./bin/busybox",))
    kernel.install_modules(root)
    _own_files(root, FILES / init, "")
    pack(root, folder / "disk-initramfs")
    shutil.rmtree(root)
    return folder / "disk-initramfs"


def pack(root: Path, target: Path) -> None:
    archive = target.with_suffix(".cpio")
    with archive.open("wb") as out:
        cpio.write(root, out)
    run("zstd", "-q", "-T0", "-12", "--rm", "-f", archive, "-o", target)


def _unpack(tar: tarfile.TarFile, root: Path, kept: tuple[str, ...] = KEPT) -> None:
    wanted = [m for m in tar if m.name.startswith(kept) and not any(part in m.name for part in LEFT_OUT)]
    for member in wanted:
        member.uid, member.gid = 0, 0
    tar.extractall(root, members=[m for m in wanted if not m.isdev()])  # noqa: S202 - Debian's, signed


def _own_files(root: Path, init: Path, ca_pem: str) -> None:
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "root", "etc", "bin", "sbin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for command in ("sh", "modprobe"):  # the kernel itself starts /sbin/modprobe; init links the other commands
        (root / "bin" / command).symlink_to("busybox")
    (root / "sbin/modprobe").symlink_to("../bin/busybox")
    shutil.copyfile(FILES / "udhcpc-script", root / "etc/udhcpc-script")
    for program in (shutil.copyfile(init, root / "init"), root / "etc/udhcpc-script"):
        program.chmod(0o755)
    if ca_pem:
        (root / CA_FILE).parent.mkdir(parents=True, exist_ok=True)
        (root / CA_FILE).write_text(ca_pem)

"""The micro-OS: a kernel, and a first root file system with Python, the edge code and nothing unneeded."""

import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from provisioning.dkam import cpio, python
from provisioning.dkam.kernel import Kernel
from provisioning.dkam.tools import require, run

# What systemd's tools load when they are to use a TPM.
TPM = ("libtss2-esys-3.0.2-0", "libtss2-mu0", "libtss2-rc0", "libtss2-tcti-device0")
# grpc is C++; the last two are not of the micro-OS but of what starts it.
PACKAGES = (
    "busybox-static", "python3", "libstdc++6", "linux-image-amd64", "fdisk", "e2fsprogs", "lvm2", "cryptsetup-bin",
    "systemd", *TPM, "systemd-boot-efi", "ipxe",
)  # fmt: skip
LOADED_LATER = r"/libtss2-(esys|mu|rc|tcti-device)\.so|/libcryptsetup\.so"  # by their names, while it runs
FILES = Path(__file__).parent / "files"
CODE = "opt/edge"  # where edge, wire and the wheels live, here and on the installed system
CA_FILE = "etc/eim/ca.crt"
CONSOLES = ("console=tty0", "console=ttyS0,115200", "quiet")

UNLOCK = "./lib/systemd/systemd-cryptsetup"
KEPT = (
    "./sbin/sfdisk", "./sbin/e2fsck", "./sbin/resize2fs", "./sbin/lvm", "./sbin/cryptsetup", "./sbin/veritysetup",
    "./usr/bin/systemd-cryptenroll", UNLOCK,
    "./bin/busybox", "./lib64/", "./lib/x86_64-linux-gnu/", "./usr/lib/x86_64-linux-gnu/", "./usr/lib/locale/C.utf8/",
    "./usr/bin/python3", "./usr/lib/python3.11/", "./etc/python3.11/",
)  # fmt: skip
LEFT_OUT = (
    "/perl", "/gconv/", "/libdb-", "libtirpc", "libnsl", "libapt", "/security/", "libperl", "/audit/", "/lvm2/",
    "python3.11/test/", "python3.11/config-3.11", "/lib2to3/", "/idlelib/", "/distutils/", "/ensurepip/", "/tkinter/",
    "/pydoc_data/", "/xmlrpc/", "/wsgiref/", "/curses/", "/dbm/", "/sqlite3/", "/turtle",
)  # fmt: skip


def make_initramfs(packages: Path, checkout: Path, ca_pem: str, folder: Path) -> None:
    """`vmlinuz` and `initramfs` in the folder, out of the tar of unpacked packages and this checkout's code."""
    require("zstd", "depmod", "objdump")
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
    """The installed system's first root file system: finds the disk's root partition, unlocks it, and hands over."""
    root = folder / "disk-initramfs-root"
    root.mkdir()
    _unpack(packages, root, kept=("./bin/busybox", UNLOCK, "./lib64/", *_libraries(packages)))
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


def _libraries(packages: tarfile.TarFile) -> list[str]:
    """The names of all that unlocking loads, links to them included."""
    by_name = {Path(name).name: name for name in packages.getnames() if "/x86_64-linux-gnu/" in name and ".so" in name}
    wanted, found = [UNLOCK, *(name for name in by_name.values() if re.search(LOADED_LATER, name))], set()
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found.add(name)
        member = packages.getmember(name)
        if member.issym():
            wanted.append(by_name[Path(member.linkname).name])
            continue
        content = packages.extractfile(member)
        assert content is not None  # a file, not a folder
        wanted += [by_name[it] for it in _needed(content.read()) if it in by_name]
    return sorted(found)


def _needed(program: bytes) -> list[str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(program)
        file.flush()
        return re.findall(r"^ +NEEDED +(\S+)$", run("objdump", "--private-headers", file.name), re.MULTILINE)


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

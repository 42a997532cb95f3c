"""Other people's programs, run as steps of a build: found or named with their package, and their last words kept."""

import os
import shutil
import subprocess
from pathlib import Path

from provisioning.dkam.errors import CommandFailed, ToolMissing

PACKAGES = {
    "apt-cache": "apt",
    "depmod": "kmod",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "mmd": "mtools",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "sfdisk": "fdisk",
    "syslinux": "syslinux",
    "newuidmap": "uidmap",
    "zstd": "zstd",
}
FILES = {
    Path("/usr/lib/SYSLINUX/gptmbr.bin"): "syslinux",
    Path("/usr/lib/ipxe/qemu/pxe-virtio.rom"): "ipxe-qemu",
    Path("/usr/share/OVMF/OVMF_CODE_4M.fd"): "ovmf",
}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not in an ordinary user's PATH on Debian, yet mke2fs and depmod live there
SEARCH_PATH = f"/usr/local/bin:/usr/bin:/bin:{SBIN}"


def require(*tools: str) -> None:
    _refuse({tool: PACKAGES[tool] for tool in tools if not _is_there(tool)})


def require_all() -> None:
    """All that building and a QEMU machine need, so that what is missing is told at once and not piece by piece."""
    needless = {"newuidmap"} if os.geteuid() == 0 else set()
    missing = {tool: package for tool, package in PACKAGES.items() if tool not in needless and not _is_there(tool)}
    _refuse(missing | {file.name: package for file, package in FILES.items() if not file.exists()})


def _is_there(tool: str) -> bool:
    return shutil.which(tool, path=SEARCH_PATH) is not None


def _refuse(missing: dict[str, str]) -> None:
    if missing:
        raise ToolMissing(missing)


def as_root() -> tuple[str, ...]:
    """What goes before a command that has to see and make files of other owners: for an ordinary user, a namespace in
    which they are root over the ids that /etc/subuid gives them."""
    return () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--map-auto")


def remove(folder: Path) -> None:
    run(*as_root(), "rm", "-rf", folder)


def run(*command: str | Path, stdin: str = "", **environment: str) -> str:
    """Run to the end and return what it printed; anything but code 0 is a failed build with its last line."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **environment},
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "error", "ERROR"))]
        raise CommandFailed(Path(str(command[0])).name, done.returncode, (errors or said or ["it said nothing"])[-1])
    return done.stdout

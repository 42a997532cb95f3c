"""Other people's programs, run as steps of a build: found or named with their package, and their last words kept."""

import os
import shutil
import subprocess
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Thread
from typing import TextIO

from provisioning.dkam.errors import CommandFailed, ToolMissing

PACKAGES = {
    "apt-cache": "apt",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "depmod": "kmod",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "make": "make",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "mmd": "mtools",
    "mmdebstrap": "mmdebstrap",
    "nginx": "nginx-light",
    "objcopy": "binutils",
    "objdump": "binutils",
    "qemu-system-x86_64": "qemu-system-x86",
    "sbsign": "sbsigntool",
    "sbvarsign": "sbsigntool",
    "sfdisk": "fdisk",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "swtpm": "swtpm",
    "syslinux": "syslinux",
    "newuidmap": "uidmap",
    "xorriso": "xorriso",
    "zstd": "zstd",
}
FILES = {
    Path("/usr/lib/SYSLINUX/gptmbr.bin"): "syslinux",
    Path("/usr/lib/ipxe/qemu/pxe-virtio.rom"): "ipxe-qemu",
    Path("/usr/share/OVMF/OVMF_CODE_4M.fd"): "ovmf",
    Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"): "ovmf",
}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not in an ordinary user's PATH on Debian, yet mke2fs and depmod live there
SEARCH_PATH = f"/usr/local/bin:/usr/bin:/bin:{SBIN}"


def require(*tools: str) -> None:
    _refuse({tool: PACKAGES[tool] for tool in tools if not _is_there(tool)})


def require_all() -> None:
    """All that building and a QEMU machine need, so that what is missing is told at once and not piece by piece."""
    _refuse(missing())


def missing() -> dict[str, str]:
    """Of these the programs and files that aren't there, and the package of each."""
    needless = {"make", "nginx", "ssh", "ssh-keygen"}  # an own iPXE, the shipped deployment, `machine_life`
    needless |= {"newuidmap"} if os.geteuid() == 0 else set()
    programs = {tool: package for tool, package in PACKAGES.items() if tool not in needless and not _is_there(tool)}
    return programs | {file.name: package for file, package in FILES.items() if not file.exists()}


def _is_there(tool: str) -> bool:
    return shutil.which(tool, path=SEARCH_PATH) is not None


def _refuse(lacking: dict[str, str]) -> None:
    if lacking:
        raise ToolMissing(lacking)


def as_root() -> tuple[str, ...]:
    """What goes before a command that has to see and make files of other owners: for an ordinary user, a namespace in
    which they are root over the ids that /etc/subuid gives them."""
    return () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--map-auto")


def remove(folder: Path) -> None:
    run(*as_root(), "rm", "-rf", folder)


# Where the programs' output goes while a step runs: the log that an operator reads.
log: ContextVar[TextIO | None] = ContextVar("log", default=None)
LAST_LINES = 200  # kept of a program's output, to say why it failed


def run(*command: str | Path, stdin: str = "", pass_fds: tuple[int, ...] = (), **environment: str) -> str:
    """Run to the end and return what it printed; anything but code 0 is a failed build with its last line."""
    name = Path(str(command[0])).name
    tell(f"$ {' '.join(str(part) for part in command)}")
    printed: list[str] = []
    errors: deque[str] = deque(maxlen=LAST_LINES)
    # setpriv: a program of a killed worker's must not work on beside its successor's.
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *(str(part) for part in command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **environment},
        pass_fds=pass_fds,
    ) as process:
        assert process.stdin and process.stdout and process.stderr  # they are pipes
        reader = Thread(target=_take, args=(process.stderr, errors, log.get()))
        reader.start()
        with suppress(BrokenPipeError), process.stdin:  # it may end without reading
            process.stdin.write(stdin)
        _take(process.stdout, printed, None)
        reader.join()
    if process.returncode != 0:
        said = [line.rstrip() for line in (*errors, *printed) if line.strip()]
        worst = [line for line in said if line.startswith(("E:", "error", "ERROR"))]
        raise CommandFailed(name, process.returncode, (worst or said or ["it said nothing"])[-1])
    return "".join(printed)


def tell(line: str) -> None:
    """A line into the log of the step that runs."""
    if file := log.get():
        file.write(f"{line}\n")
        file.flush()


def _take(lines: TextIO, into: "list[str] | deque[str]", copy: TextIO | None) -> None:
    for line in lines:
        into.append(line)
        if copy:
            copy.write(line)
            copy.flush()

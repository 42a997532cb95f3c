"""The kernel's command line, where it is kept: GRUB's settings, SYSLINUX's, or inside a unified kernel image.

What comes from the server stands at the end, so that it can be replaced by what comes next.
"""

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.agent.failure import UpdateFailed
from edge.agent.memory import Memory

ALLOWED = re.compile(r"[A-Za-z0-9\-_=.,/ ]*")  # as the archived system's agent
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ESP = Path("/run/edge-agent/esp")
GRUB = Path("/etc/default/grub.d/90-edge-policy.cfg")
SECURE_BOOT = Path("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")


def change(memory: Memory, text: str) -> bool:
    """False if the next start has it already. Raises UpdateFailed where it can't be changed."""
    if not ALLOWED.fullmatch(text):
        raise UpdateFailed(f"the kernel command line {text!r} has letters other than A-Z a-z 0-9 - _ = . , /")
    before, text = memory.kernel_command, " ".join(text.split())
    if text == before:
        return not is_in_force(text)
    if secure_boot():
        raise UpdateFailed("Secure Boot is on: the kernel's command line is signed, and only a new image has another")
    changed = _change_grub(text)
    with esp() as folder:
        changed |= change_in(folder, before, text) if folder else False
    if not changed:
        raise UpdateFailed("this system's boot loader is none that can be told a kernel command line", "bootloader")
    memory.kernel_command = text
    memory.save()
    return True


def is_in_force(text: str) -> bool:
    running = Path("/proc/cmdline").read_text().split()
    return {*text.split()} <= {*running}


def secure_boot() -> bool:
    return SECURE_BOOT.exists() and SECURE_BOOT.read_bytes()[4:5] == b"\1"


def _change_grub(text: str) -> bool:
    if not shutil.which("update-grub"):
        return False
    GRUB.parent.mkdir(parents=True, exist_ok=True)
    GRUB.write_text(f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {text}"\n')
    done = subprocess.run(["update-grub"], capture_output=True, text=True)
    if done.returncode != 0:
        raise UpdateFailed(f"update-grub: {done.stderr.strip()[-500:]}", "bootloader")
    return True


def change_in(folder: Path, before: str, text: str) -> bool:
    """On a boot partition: at the end of each command line there, `text` instead of `before`."""
    changed = False
    if (config := folder / "syslinux.cfg").exists():
        lines = [_replaced(line, before, text) if line.strip().startswith("APPEND ") else line
                 for line in config.read_text().splitlines()]  # fmt: skip
        draft = config.with_name("syslinux.new")
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(config)
        changed = True
    for program in folder.glob("EFI/*/*.[eE][fF][iI]"):
        changed |= change_in_uki(program, before, text)
    return changed


def change_in_uki(program: Path, before: str, text: str) -> bool:
    """False for a program that is no unified kernel image. Raises UpdateFailed if there isn't so much room in it."""
    with program.open("r+b") as file:
        place = _section(file.read(4096), b".cmdline")
        if place is None:
            return False
        start, room = place
        file.seek(start)
        now = file.read(room).rstrip(b"\0").decode()
        words = _replaced(now, before, text).encode()
        if len(words) >= room:
            raise UpdateFailed(f"the kernel's command line would be {len(words)} bytes long, {room - 1} are the most")
        file.seek(start)
        file.write(words.ljust(room, b"\0"))
    return True


def of_uki(program: Path) -> str:
    """"" of a program that is no unified kernel image."""
    with program.open("rb") as file:
        place = _section(file.read(4096), b".cmdline")
        if place is None:
            return ""
        file.seek(place[0])
        return file.read(place[1]).rstrip(b"\0").decode()


def _replaced(line: str, before: str, text: str) -> str:
    return f"{line.rstrip().removesuffix(before).rstrip() if before else line.rstrip()} {text}".rstrip()


def _section(head: bytes, name: bytes) -> tuple[int, int] | None:
    """Where in the file of an EFI program a section is, and how long."""
    if head[:2] != b"MZ":
        return None
    pe = struct.unpack_from("<I", head, 0x3C)[0]
    count, optional = struct.unpack_from("<H", head, pe + 6)[0], struct.unpack_from("<H", head, pe + 20)[0]
    for number in range(count):
        found, virtual, _, raw, pointer = struct.unpack_from("<8sIIII", head, pe + 24 + optional + 40 * number)
        if found.rstrip(b"\0") == name:
            return pointer, min(virtual, raw)
    return None


@contextmanager
def esp() -> Iterator[Path | None]:
    """The EFI system partition while it is needed; None if this machine has none."""
    listed = subprocess.run(["lsblk", "-rno", "PATH,PARTTYPE"], capture_output=True, text=True, check=True).stdout
    found = [row[0] for line in listed.splitlines() if len(row := line.split()) == 2 and row[1].lower() == ESP_TYPE]
    if not found:
        yield None
        return
    ESP.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-o", "sync,umask=077", found[0], str(ESP)], check=True, capture_output=True)
    try:
        yield ESP
    finally:
        subprocess.run(["umount", str(ESP)], check=True, capture_output=True)

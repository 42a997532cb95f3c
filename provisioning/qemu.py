"""A machine made by QEMU: an empty disk, a network card that boots from a URL, and a serial console kept in a file."""

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from provisioning.dkam.tools import SEARCH_PATH, require
from provisioning.lan import Lan

HOST_AS_SEEN_BY_GUEST = "10.0.2.2"  # QEMU's user networking leads there to this machine's loopback
DISKS = {
    "virtio": "virtio-blk-pci,drive=disk",
    "ahci": "ide-hd,drive=disk,bus=ide.0",  # the q35 board's own SATA controller
    "nvme": "nvme,drive=disk,serial=NVME0001",
}
NICS = {"virtio": "virtio-net-pci", "e1000e": "e1000e"}
OVMF = Path("/usr/share/OVMF")
# OVMF's own ways to boot from a network would be tried for two minutes before iPXE's.
OVMF_OFF = [f"name=opt/org.tianocore/{name}" for name in ("IPv4PXESupport", "IPv6PXESupport", "IPv6Support")]


@dataclass(frozen=True)
class Hardware:
    uuid: str
    serial: str
    mac: str
    disk: str = "virtio"
    nic: str = "virtio"
    ssh_port: int = 0  # of this machine's loopback, that leads to its own port 22; in QEMU's user networking
    firmware: str = "bios"  # or uefi
    secure_boot: bool = False  # firmware that can enforce it, and does once keys are enrolled
    cpus: int = 2
    memory_mib: int = 1536
    disk_gib: int = 4


@dataclass(frozen=True)
class Boot:
    """From where: a card's iPXE ROM with a URL, a stick or virtual DVD, or the firmware's own network boot in a LAN."""

    url: str = ""  # for iPXE
    usb: Path | None = None
    dvd: Path | None = None
    lan: Lan | None = None
    https_authorities: Path | None = None  # an EFI signature list
    once: bool = False  # it goes off instead of starting again


class Machine:
    """Switched on when the `with` block begins and off when it ends, however it ends.

    What its firmware keeps, keys of Secure Boot for one, stays in the folder for the next time unless it is `fresh`.
    """

    def __init__(self, hardware: Hardware, boot: Boot, folder: Path, fresh: bool = True) -> None:
        require("qemu-system-x86_64")
        self.hardware, self.boot, self.folder = hardware, boot, folder
        self.console, self.variables = folder / "console.log", folder / "variables.fd"
        if fresh:
            self.variables.unlink(missing_ok=True)
        self._read_to = 0

    def __enter__(self) -> "Machine":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console.write_bytes(b"")
        disk = self.folder / "disk.raw"
        disk.unlink(missing_ok=True)
        with disk.open("wb") as empty:
            empty.truncate(self.hardware.disk_gib * 2**30)  # sparse: it costs what the machine writes
        with (self.folder / "qemu.log").open("wb") as log:
            # setpriv: it must not outlive us, whatever ends us.
            command = ["setpriv", "--pdeathsig", "KILL", *self._command(disk)]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": SEARCH_PATH}
            )
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        (self.folder / "disk.raw").unlink(missing_ok=True)

    def is_on(self) -> bool:
        return self.process.poll() is None

    def new_lines(self) -> list[str]:
        """Whole lines that came on the serial console since the last call."""
        with self.console.open("rb") as file:
            file.seek(self._read_to)
            text, newline, _ = file.read().rpartition(b"\n")
        self._read_to += len(text) + len(newline)
        return [line.strip() for line in text.decode(errors="replace").splitlines()]

    def until(self, words: str, seconds: float) -> bool:
        """Wait until these words are on the console, at most so long, and not longer than the machine is on."""
        deadline = time.monotonic() + seconds
        while True:
            last_look = not self.is_on() or time.monotonic() > deadline
            if words in self.console.read_text(errors="replace"):
                return True
            if last_look:
                return False
            time.sleep(0.2)

    def until_off(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self, lines: int) -> list[str]:
        said = self.console.read_text(errors="replace").splitlines() + self._complaints()
        return [line for line in said if line.strip()][-lines:]

    def _complaints(self) -> list[str]:
        return [f"qemu: {line}" for line in (self.folder / "qemu.log").read_text(errors="replace").splitlines()]

    def _command(self, disk: Path) -> list[str]:
        it = self.hardware
        arguments = [
            "qemu-system-x86_64",
            # Not KVM: it is often there and doesn't work, as in nested machines. Multi-threaded TCG always does.
            # The plainest CPU: emulating what "max" has more costs a third more time.
            *("-machine", "q35,graphics=off", "-accel", "tcg,thread=multi", "-cpu", "qemu64"),
            *("-smp", str(it.cpus), "-m", str(it.memory_mib), "-display", "none", "-monitor", "none"),
            *("-serial", f"file:{self.console}", "-smbios", f"type=1,serial={it.serial},uuid={it.uuid}"),
            *("-drive", f"if=none,id=disk,file={disk},format=raw,cache=unsafe,discard=unmap"),
            *("-device", "virtio-rng-pci", "-netdev", self._network(), *(["-no-reboot"] if self.boot.once else [])),
        ]
        before = ["ip", "netns", "exec", self.boot.lan.name] if self.boot.lan else []
        return [*before, *arguments, *(self._uefi() if it.firmware == "uefi" else self._bios()), *self._media()]

    def _network(self) -> str:
        if self.boot.lan:
            return f"tap,id=net,ifname={self.boot.lan.tap},script=no,downscript=no"
        ssh = f",hostfwd=tcp:127.0.0.1:{self.hardware.ssh_port}-:22" if self.hardware.ssh_port else ""
        return f"user,id=net,bootfile={self.boot.url}{ssh}"

    def _bios(self) -> list[str]:
        """The network first, as at a machine whose owner wants the server to say what it boots."""
        it = self.hardware
        nic = f"{NICS[it.nic]},netdev=net,mac={it.mac},bootindex=1"
        return ["-device", f"{DISKS[it.disk]},bootindex=2", "-device", nic]

    def _uefi(self) -> list[str]:
        """The order in which OVMF finds things: the disk, which is empty at first, then the network."""
        it = self.hardware
        if not self.variables.exists():
            shutil.copyfile(OVMF / "OVMF_VARS_4M.fd", self.variables)
        code = OVMF / ("OVMF_CODE_4M.secboot.fd" if it.secure_boot else "OVMF_CODE_4M.fd")
        flash = [
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"),
        ]
        if it.secure_boot:  # only the firmware itself writes its variables then
            flash += ["-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
        rom = "" if self.boot.url else ",romfile="
        devices = ["-device", DISKS[it.disk], "-device", f"{NICS[it.nic]},netdev=net,mac={it.mac}{rom}"]
        if authorities := self.boot.https_authorities:
            flash += ["-fw_cfg", f"name=etc/edk2/https/cacerts,file={authorities}"]
        return [*flash, *devices, *(word for name in OVMF_OFF for word in ("-fw_cfg", f"{name},string=n"))]

    def _media(self) -> list[str]:
        if self.boot.usb:
            stick = f"if=none,id=stick,file={self.boot.usb},format=raw,readonly=on"
            storage = "usb-storage,drive=stick,removable=on,bootindex=0"
            return ["-drive", stick, "-device", "qemu-xhci", "-device", storage]
        if self.boot.dvd:
            return ["-drive", f"if=none,id=dvd,media=cdrom,file={self.boot.dvd},readonly=on", *_DVD]
        return []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


_DVD = ["-device", "ide-cd,drive=dvd,bus=ide.1,bootindex=0"]

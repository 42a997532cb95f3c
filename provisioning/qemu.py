"""A machine made by QEMU: disks, a network card that boots from a URL, and a serial console to read and to type on."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioning.dkam.tools import SEARCH_PATH, require
from provisioning.lan import Lan

HOST_AS_SEEN_BY_GUEST = "10.0.2.2"  # QEMU's user networking leads there to this machine's loopback
DISKS = {
    "virtio": "virtio-blk-pci,drive=disk,serial=VIRTIO0001",
    "ahci": "ide-hd,drive=disk,bus=ide.0,serial=SATA0001",  # the q35 board's own SATA controller
    "nvme": "nvme,drive=disk,serial=NVME0001",
}
NICS = {"virtio": "virtio-net-pci", "e1000e": "e1000e"}
SECOND_DISK_BYTES = 2**30
SOMEBODY_ELSES = b"somebody else's "
MIB = 2**20
CONSOLE, TPM = "console.sock", "tpm.sock"  # in the machine's folder; a socket's whole path may have 107 characters
# The plainest CPU, because emulating what "max" has more costs a third more time; but with AES, which QEMU does faster
# than a guest, and what no CPU with AES is without.
CPU = "qemu64,+aes,+pclmulqdq,+ssse3,+sse4.1,+sse4.2"
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
    second_disk: str = ""  # its serial number, if there is one: smaller than the first, and of the same kind
    tpm: bool = False
    read_only: bool = False  # its first disk
    clock: str = "utc"  # or a date and time, like 2001-01-01T00:00:00


def serial(hardware: Hardware) -> str:
    """Of its first disk."""
    return DISKS[hardware.disk].rpartition("serial=")[2]


@dataclass(frozen=True)
class Boot:
    """From where: a card's iPXE ROM with a URL, a stick or virtual DVD, or the firmware's own network boot in a LAN."""

    url: str = ""  # for iPXE
    usb: Path | None = None
    dvd: Path | None = None
    lan: Lan | None = None
    lonely: bool = False  # the network has nobody in it, not even a DHCP server
    https_authorities: Path | None = None  # an EFI signature list
    once: bool = False  # it goes off instead of starting again
    kernel: tuple[Path, Path, str] | None = None  # with an initramfs and a command line, started without all that


class Machine:
    """Switched on when the `with` block begins and off when it ends, however it ends.

    What its firmware and its TPM keep, keys of Secure Boot for one, stays in the folder for the next time unless it is
    `fresh`. Its first disk is empty at first, its second one holds what somebody else has put on it.
    """

    def __init__(self, hardware: Hardware, boot: Boot, folder: Path, fresh: bool = True) -> None:
        require("qemu-system-x86_64")
        self.hardware, self.boot, self.folder = hardware, boot, folder
        self.console, self.variables = folder / "console.log", folder / "variables.fd"
        self.disk, self.second_disk = folder / "disk.raw", folder / "second.raw"
        if fresh:
            self.variables.unlink(missing_ok=True)
            shutil.rmtree(folder / "tpm", ignore_errors=True)
        self._read_to = 0
        self._tpm: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console.write_bytes(b"")
        self._empty(self.disk, self.hardware.disk_gib * 2**30)
        if self.hardware.second_disk:
            self._empty(self.second_disk, SECOND_DISK_BYTES)
            with self.second_disk.open("r+b") as other:
                other.write(SOMEBODY_ELSES * (MIB // len(SOMEBODY_ELSES)))
        self.switch_on()
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut_power()
        for disk in (self.disk, self.second_disk):
            disk.unlink(missing_ok=True)

    def switch_on(self) -> None:
        if self.hardware.tpm:
            self._tpm = self._start_tpm()
        with (self.folder / "qemu.log").open("wb") as log:
            # setpriv: it must not outlive us, whatever ends us.
            command = ["setpriv", "--pdeathsig", "KILL", *self._command()]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": SEARCH_PATH}, cwd=self.folder
            )

    def cut_power(self) -> None:
        """At once, as if its plug were pulled; its disks and what its firmware keeps are as they are at that moment."""
        for process in (self.process, self._tpm):
            if process:
                process.kill()
                process.wait()
        self._tpm = None

    def is_untouched(self) -> bool:
        """Whether the second disk holds what it held, and nothing else."""
        with self.second_disk.open("rb") as other:
            ours = other.read(MIB) == SOMEBODY_ELSES * (MIB // len(SOMEBODY_ELSES))
            return ours and all(not piece.strip(b"\0") for piece in iter(lambda: other.read(MIB), b""))

    @contextmanager
    def keyboard(self) -> Iterator[socket.socket]:
        """What is sent there is typed on the serial console; all of it, when the `with` block is over.

        QEMU hands on as much as the machine has room for, 16 characters at most, and forgets what is still to come if
        the line is hung up.
        """
        with socket.socket(socket.AF_UNIX) as keys:
            keys.connect(str(self.folder / CONSOLE))
            yield keys
            keys.shutdown(socket.SHUT_WR)
            while keys.recv(4096):  # what is on the console, until QEMU has read all, or ended
                pass

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

    @staticmethod
    def _empty(disk: Path, size_bytes: int) -> None:
        disk.unlink(missing_ok=True)
        with disk.open("wb") as file:
            file.truncate(size_bytes)  # sparse: it costs what the machine writes

    def _start_tpm(self) -> "subprocess.Popen[bytes]":
        require("swtpm")
        state, way = self.folder / "tpm", self.folder / TPM
        state.mkdir(exist_ok=True)
        way.unlink(missing_ok=True)
        command = f"swtpm socket --tpm2 --tpmstate dir=tpm --ctrl type=unixio,path={TPM} --flags startup-clear".split()
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, env={"PATH": SEARCH_PATH},
            cwd=self.folder,
        )  # fmt: skip
        while not way.exists() and process.poll() is None:
            time.sleep(0.02)
        return process

    def _complaints(self) -> list[str]:
        return [f"qemu: {line}" for line in (self.folder / "qemu.log").read_text(errors="replace").splitlines()]

    def _command(self) -> list[str]:
        it = self.hardware
        only_read = ",readonly=on" if it.read_only else ""
        arguments = [
            "qemu-system-x86_64",
            # Not KVM: it is often there and doesn't work, as in nested machines. Multi-threaded TCG always does.
            *("-machine", "q35,graphics=off", "-accel", "tcg,thread=multi", "-cpu", CPU),
            *("-smp", str(it.cpus), "-m", str(it.memory_mib), "-display", "none", "-monitor", "none"),
            *(
                "-chardev",
                f"socket,id=console,path={CONSOLE},server=on,wait=off,logappend=on,logfile={self.console.name}",
            ),
            *("-serial", "chardev:console", "-smbios", f"type=1,serial={it.serial},uuid={it.uuid}"),
            *("-drive", f"if=none,id=disk,file={self.disk.name},format=raw,cache=unsafe,discard=unmap{only_read}"),
            *("-rtc", f"base={it.clock}"),
            *("-device", "virtio-rng-pci", "-netdev", self._network(), *(["-no-reboot"] if self.boot.once else [])),
        ]
        before = ["ip", "netns", "exec", self.boot.lan.name] if self.boot.lan else []
        firmware = self._uefi() if it.firmware == "uefi" else self._bios()
        return [*before, *arguments, *firmware, *self._second_disk(), *self._chip(), *self._media(), *self._kernel()]

    def _second_disk(self) -> list[str]:
        if not (serial := self.hardware.second_disk):
            return []
        drive = f"if=none,id=second,file={self.second_disk.name},format=raw,cache=unsafe"
        device = DISKS[self.hardware.disk].replace("drive=disk", "drive=second").replace("ide.0", "ide.2")
        return ["-drive", drive, "-device", f"{device.partition(',serial=')[0]},serial={serial}"]

    def _chip(self) -> list[str]:
        if not self.hardware.tpm:
            return []
        emulator = ("-tpmdev", "emulator,id=tpm,chardev=chip", "-device", "tpm-tis,tpmdev=tpm")
        return ["-chardev", f"socket,id=chip,path={TPM}", *emulator]

    def _kernel(self) -> list[str]:
        if not self.boot.kernel:
            return []
        kernel, initramfs, command_line = self.boot.kernel
        return ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", command_line]

    def _network(self) -> str:
        if self.boot.lan:
            return f"tap,id=net,ifname={self.boot.lan.tap},script=no,downscript=no"
        if self.boot.lonely:
            return "hubport,id=net,hubid=0"
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

"""What a machine is made of, read from /proc, /sys and its firmware (DMI), as the host manager wants to hear it."""

import fcntl
import ipaddress
import os
import re
import socket
import struct
from pathlib import Path

from wire import hostmgr_pb2 as hm

TEXT_LENGTH = 128  # the longest text the host manager accepts
BIOS_VENDOR_LENGTH = 40
SECTOR_BYTES = 512  # the unit of /sys/block/*/size, whatever the disk's own sectors are
PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
BIOS_DATE = re.compile(r"(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/\d{4}")
NO_DISK = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
DISPLAY_CLASS = "0x03"
SIOCGIFADDR, SIOCGIFNETMASK = 0x8915, 0x891B


class Machine:
    """The machine below `root`, which is / except where a test brings its own tree."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def read(self, *path: str) -> str:
        """A file's text without surrounding blanks; empty when the kernel doesn't have it."""
        try:
            return self.root.joinpath(*path).read_text(errors="replace").strip("\0 \t\n")
        except OSError:  # absent, or there and unreadable, like the speed of a link that is down
            return ""

    def text(self, *path: str) -> str:
        return self.read(*path)[:TEXT_LENGTH]

    def number(self, *path: str) -> int:
        text = self.read(*path)
        return int(text) if text.isdecimal() else 0

    def dmi(self, name: str) -> str:
        return self.text("sys/class/dmi/id", name)

    def entries(self, folder: str) -> list[Path]:
        path = self.root / folder
        return sorted(path.iterdir()) if path.is_dir() else []

    def system_info(self) -> hm.SystemInfo:
        """Everything; a part the kernel can't tell is left out, which the server takes as "no statement"."""
        info = hm.SystemInfo(
            hw_info=hm.HWInfo(
                serial_num=self.dmi("product_serial"),
                product_name=self.dmi("product_name"),
                storage=hm.Storage(disk=self.disks()),
                network=self.nics(),
                usb=self.usbs(),
                gpu=self.gpus(),
            ),
            os_info=self.operating_system(),
            bm_ctl_info=hm.BmInfo(bm_type=hm.BmInfo.NONE),
            bios_info=self.bios(),
        )
        if memory := self.memory_bytes():
            info.hw_info.memory.size = memory
        if cpu := self.cpu():
            info.hw_info.cpu.CopyFrom(cpu)
        return info

    def memory_bytes(self) -> int:
        """What is installed and online; what the kernel keeps for itself counts, unlike in MemTotal."""
        block = self.read("sys/devices/system/memory/block_size_bytes")
        online = [path for path in self.entries("sys/devices/system/memory") if self.read(str(path), "online") == "1"]
        if block and online:
            return int(block, 16) * len(online)
        total = re.search(r"^MemTotal:\s+(\d+) kB", self.read("proc/meminfo"), re.MULTILINE)
        return int(total[1]) * 1024 if total else 0

    def cpu(self) -> hm.SystemCPU | None:
        processors: list[dict[str, str]] = [
            dict(re.findall(r"^(.+?)\s*: ?(.*)$", block, re.MULTILINE))
            for block in self.read("proc/cpuinfo").split("\n\n")
        ]
        if not processors[0]:
            return None
        cores: dict[int, set[int]] = {}
        for index, processor in enumerate(processors):
            package = int(processor.get("physical id", 0))
            cores.setdefault(package, set()).add(int(processor.get("core id", index)))
        first = processors[0]
        return hm.SystemCPU(
            arch=os.uname().machine,
            vendor=first.get("vendor_id", "")[:TEXT_LENGTH],
            model=first.get("model name", "")[:TEXT_LENGTH],
            sockets=len(cores),
            cores=sum(len(each) for each in cores.values()),
            threads=len(processors),
            features=first.get("flags", first.get("Features", "")).split(),
            cpu_topology=hm.CPUTopology(
                sockets=[
                    hm.Socket(socket_id=package, core_groups=[hm.CoreGroup(core_type="P-Core", core_list=sorted(each))])
                    for package, each in sorted(cores.items())
                ]
            ),
        )

    def disks(self) -> list[hm.SystemDisk]:
        found = []
        for block in self.entries("sys/block"):
            size = self.number(str(block), "size") * SECTOR_BYTES
            if size and not block.name.startswith(NO_DISK):
                found.append(
                    hm.SystemDisk(
                        name=block.name,
                        serial_number=self.text(str(block), "serial") or self.text(str(block), "device/serial"),
                        vendor=self.text(str(block), "device/vendor"),
                        model=self.text(str(block), "device/model"),
                        wwid=self.text(str(block), "wwid") or self.text(str(block), "device/wwid"),
                        size=size,
                    )
                )
        return found

    def nics(self) -> list[hm.SystemNetwork]:
        """The real ones: an interface without a device behind it is virtual."""
        return [self.nic(path) for path in self.entries("sys/class/net") if (path / "device").exists()]

    def nic(self, path: Path) -> hm.SystemNetwork:
        folder = str(path)
        megabits = self.number(folder, "speed")
        duplex = self.text(folder, "duplex")
        virtual_functions = self.number(folder, "device/sriov_numvfs")
        return hm.SystemNetwork(
            name=path.name,
            pci_id=pci_address(path / "device"),
            mac=self.text(folder, "address"),
            link_state=self.read(folder, "carrier") == "1",
            current_speed=megabits * 1_000_000,
            current_duplex="" if duplex == "unknown" else duplex,
            sriovenabled=virtual_functions > 0,
            sriovnumvfs=virtual_functions,
            sriov_vfs_total=self.number(folder, "device/sriov_totalvfs"),
            mtu=self.number(folder, "mtu"),
            ip_addresses=ipv4_addresses(path.name),
        )

    def usbs(self) -> list[hm.SystemUSB]:
        return [
            hm.SystemUSB(
                **{"class": self.text(str(path), "bDeviceClass")},  # type: ignore[arg-type] # a word of Python
                idvendor=self.text(str(path), "idVendor"),
                idproduct=self.text(str(path), "idProduct"),
                bus=self.number(str(path), "busnum"),
                addr=self.number(str(path), "devnum"),
                description=self.text(str(path), "product"),
                serial=self.text(str(path), "serial"),
            )
            for path in self.entries("sys/bus/usb/devices")
            if (path / "idVendor").exists()
        ]

    def gpus(self) -> list[hm.SystemGPU]:
        return [
            hm.SystemGPU(
                pci_id=path.name,
                vendor=self.text(str(path), "vendor"),
                product=self.text(str(path), "device"),
                name=path.name,
                description="Display controller",
            )
            for path in self.entries("sys/bus/pci/devices")
            if self.read(str(path), "class").startswith(DISPLAY_CLASS)
        ]

    def bios(self) -> hm.BiosInfo:
        date = self.dmi("bios_date")
        return hm.BiosInfo(
            version=self.dmi("bios_version"),
            release_date=date if BIOS_DATE.fullmatch(date) else "",
            vendor=self.dmi("bios_vendor")[:BIOS_VENDOR_LENGTH],
        )

    def operating_system(self) -> hm.OsInfo:
        release = dict(re.findall(r'^(\w+)="?(.*?)"?$', self.read("etc/os-release"), re.MULTILINE))
        return hm.OsInfo(
            kernel=hm.OsKernel(version=os.uname().release[:TEXT_LENGTH]),
            release=hm.OsRelease(id=release.get("ID", ""), version=release.get("VERSION_ID", "")),
        )


def pci_address(device: Path) -> str:
    """The PCI address a device hangs on; a virtio device is one step below it. Empty when there is none."""
    addresses = [part for part in device.resolve().parts if PCI_ADDRESS.fullmatch(part)]
    return addresses[-1] if addresses else ""


def ipv4_addresses(interface: str) -> list[hm.IPAddress]:
    """The interface's main IPv4 address, as the kernel tells it."""
    name = struct.pack("256s", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(asker, question, name)[20:24])
                for question in (SIOCGIFADDR, SIOCGIFNETMASK)
            )
        except OSError:  # the interface has no address
            return []
    prefix = ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen
    return [hm.IPAddress(ip_address=address, network_prefix_bits=prefix)]

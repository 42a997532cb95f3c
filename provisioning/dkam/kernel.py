"""The kernel out of an unpacked linux-image package, and the few of its modules that a machine needs to start."""

import re
import tarfile
from pathlib import Path

from provisioning.dkam.errors import BuildFailed
from provisioning.dkam.tools import require, run

MODULES = (
    # virtual machines
    "virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng",
    # disks of real ones
    "ahci", "ata_piix", "sd_mod", "nvme", "usb_storage", "uas",
    # network cards
    "e1000", "e1000e", "igb", "igc", "ixgbe", "r8169", "tg3",
    # file systems
    "ext4", "crc32c_generic", "autofs4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "efivarfs", "overlay",
    # encrypted disks, and volumes on them
    "dm_mod", "dm_crypt", "dm_verity", "xts", "aesni_intel", "sha256_ssse3",
    # DHCP, keyboards and power buttons
    "af_packet", "xhci_pci", "ehci_pci", "uhci_hcd", "usbhid", "hid_generic", "button", "efi_pstore",
)  # fmt: skip


class Kernel:
    """One kernel inside a tar file of unpacked packages; reads members where they lie, without unpacking all 400 MB."""

    def __init__(self, packages: tarfile.TarFile) -> None:
        self._tar = packages
        names = packages.getnames()
        versions = [match[1] for name in names if (match := re.fullmatch(r"\./boot/vmlinuz-(.+)", name))]
        if len(versions) != 1:
            raise BuildFailed(f"one kernel was expected in the Debian packages, found {versions or 'none'}")
        self.version = versions[0]
        base = f"./lib/modules/{self.version}/"
        self._modules = {_name(Path(n).stem): n for n in names if n.startswith(base) and n.endswith(".ko")}
        self._indexes = [f"{base}modules.builtin", f"{base}modules.order", f"{base}modules.builtin.modinfo"]

    def image(self) -> bytes:
        return self._read(f"./boot/vmlinuz-{self.version}")

    def install_modules(self, root: Path) -> None:
        """The chosen modules and all they depend on, with the indexes modprobe reads, below <root>/lib/modules."""
        require("depmod")
        for member in [*self._indexes, *(self._modules[name] for name in self._closure())]:
            target = root / member.removeprefix("./")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._read(member))
        run("depmod", "-b", root, self.version)

    def _closure(self) -> set[str]:
        wanted, found = list(MODULES), set()
        while wanted:
            name = wanted.pop()
            if name in found or name not in self._modules:  # not a module: built into this kernel
                continue
            found.add(name)
            declared = re.search(rb"\0depends=([^\0]*)\0", self._read(self._modules[name]))
            softly = re.findall(rb"\0softdep=(?:pre|post): ([^\0]*)\0", self._read(self._modules[name]))
            wanted += [_name(other) for other in declared[1].decode().split(",") if other] if declared else []
            wanted += [_name(other) for names in softly for other in names.decode().split() if ":" not in other]
        return found

    def _read(self, member: str) -> bytes:
        content = self._tar.extractfile(member)
        if content is None:
            raise BuildFailed(f"{member} isn't a file in the Debian packages")
        return content.read()


def _name(module: str) -> str:
    return module.replace("-", "_")

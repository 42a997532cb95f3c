"""How a machine that was started from a stick or by firmware goes on with the system on its disk."""

import struct
import uuid

import pytest

from edge.errors import ActionFailed
from edge.microos import efi


def gpt(path, *partitions):
    """partitions: (type, its own UUID, first sector, last sector)."""
    header = efi.GPT_SIGNATURE.ljust(72, b"\0") + struct.pack("<QII", 2, len(partitions), 128)
    entries = [kind.bytes_le + its.bytes_le + struct.pack("<QQ", first, last) for kind, its, first, last in partitions]
    path.write_bytes(b"\0" * 512 + header.ljust(512, b"\0") + b"".join(entry.ljust(128, b"\0") for entry in entries))
    return path


def test_firmware_is_told_to_start_the_system_partition_next(tmp_path):
    its, variables = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"), tmp_path / "efivars"
    variables.mkdir()
    disk = gpt(tmp_path / "disk", (uuid.uuid4(), uuid.uuid4(), 34, 2047), (efi.SYSTEM_PARTITION, its, 2048, 133119))
    assert efi.boot_disk_next(disk, variables)
    assert (variables / f"BootNext-{efi.GLOBAL}").read_bytes() == b"\7\0\0\0\xa0\xe1"
    option = (variables / f"BootE1A0-{efi.GLOBAL}").read_bytes()
    hard_disk = bytes([4, 1, 42, 0]) + struct.pack("<IQQ", 2, 2048, 131072) + its.bytes_le + b"\2\2"
    assert hard_disk in option and "\\EFI\\BOOT\\BOOTX64.EFI".encode("utf-16-le") in option
    path = option[option.index(hard_disk) :]
    assert path.endswith(b"\x7f\xff\4\0") and struct.unpack_from("<H", option, 8)[0] == len(path)


def test_the_installed_disk_is_first_in_the_boot_order_and_what_booted_us_is_last_and_stays(tmp_path):
    its, variables = uuid.uuid4(), tmp_path / "efivars"
    variables.mkdir()
    disk = gpt(tmp_path / "disk", (efi.SYSTEM_PARTITION, its, 2048, 133119))
    assert not efi.has_entries(variables)
    for name, numbers in {"BootCurrent": b"\2\0", "BootOrder": b"\2\0\0\0\1\0"}.items():
        (variables / f"{name}-{efi.GLOBAL}").write_bytes(efi.LASTING + numbers)
    assert efi.has_entries(variables)
    for _ in range(2):  # the second time it is in the order already
        efi.boot_disk_first(disk, variables)
        assert (variables / f"BootOrder-{efi.GLOBAL}").read_bytes() == efi.LASTING + b"\xa0\xe1\0\0\1\0\2\0"
    assert its.bytes_le in (variables / f"BootE1A0-{efi.GLOBAL}").read_bytes()
    # Later, started from a stick: the disk that was installed on is started, whatever disk is there first now.
    other = gpt(tmp_path / "other", (efi.SYSTEM_PARTITION, uuid.uuid4(), 2048, 133119))
    assert efi.boot_disk_next(other, variables)
    assert its.bytes_le in (variables / f"BootE1A0-{efi.GLOBAL}").read_bytes()


def test_a_disk_that_firmware_cannot_start_is_told_and_a_bios_is_told_nothing(tmp_path):
    (tmp_path / "blank").write_bytes(b"\0" * 4096)
    with pytest.raises(ActionFailed, match="no partition table"):
        efi.system_partition(tmp_path / "blank")
    with pytest.raises(ActionFailed, match="no EFI system partition"):
        efi.system_partition(gpt(tmp_path / "other", (uuid.uuid4(), uuid.uuid4(), 34, 2047)))
    assert not efi.boot_disk_next(tmp_path / "blank", tmp_path / "no-efivars")

"""Reading a machine's parts from its kernel's files: a made-up machine, and the one that runs the tests."""

from pathlib import Path

import pytest

from edge.hardware import Machine, pci_address

CPU = """processor\t: {n}
vendor_id\t: GenuineIntel
model name\t: A CPU
physical id\t: {socket}
core id\t\t: {core}
flags\t\t: fpu avx2
"""


@pytest.fixture
def tree(tmp_path):
    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def test_processors_are_counted_as_sockets_cores_and_threads(tree, tmp_path):
    tree("proc/cpuinfo", "\n".join(CPU.format(n=n, socket=n // 4, core=n // 2 % 2) for n in range(8)))
    cpu = Machine(tmp_path).system_info().hw_info.cpu
    assert (cpu.sockets, cpu.cores, cpu.threads, cpu.model, list(cpu.features)) == (2, 4, 8, "A CPU", ["fpu", "avx2"])
    assert [list(socket.core_groups[0].core_list) for socket in cpu.cpu_topology.sockets] == [[0, 1], [0, 1]]


def test_memory_is_what_is_installed_or_else_what_the_kernel_has(tree, tmp_path):
    tree("proc/meminfo", "MemTotal:        2000 kB\nMemFree: 1 kB\n")
    assert Machine(tmp_path).memory_bytes() == 2_048_000
    tree("sys/devices/system/memory/block_size_bytes", "8000000\n")
    tree("sys/devices/system/memory/memory0/online", "1\n")
    tree("sys/devices/system/memory/memory1/online", "0\n")
    assert Machine(tmp_path).memory_bytes() == 128 << 20


def test_disks_are_listed_without_loops_and_empty_drives(tree, tmp_path):
    tree("sys/block/nvme0n1/size", "2048\n")
    tree("sys/block/nvme0n1/device/model", "Fast One   \n")
    tree("sys/block/nvme0n1/device/serial", "S1\n")
    tree("sys/block/loop0/size", "2048\n")
    tree("sys/block/sda/size", "0\n")
    [disk] = Machine(tmp_path).disks()
    assert (disk.name, disk.model, disk.serial_number, disk.size) == ("nvme0n1", "Fast One", "S1", 1 << 20)


def test_interfaces_without_a_device_are_virtual_and_left_out(tree, tmp_path):
    tree("sys/class/net/lo/address", "00:00:00:00:00:00")
    tree("sys/class/net/enp1s0/address", "52:54:00:12:34:56\n")
    tree("sys/class/net/enp1s0/carrier", "1\n")
    tree("sys/class/net/enp1s0/speed", "-1\n")  # what the kernel says of a link that is down
    device = tree("sys/devices/pci0000:00/0000:00:03.0/virtio0/name", "").parent
    (tmp_path / "sys/class/net/enp1s0/device").symlink_to(device)
    [nic] = Machine(tmp_path).nics()
    assert (nic.name, nic.mac, nic.link_state, nic.current_speed) == ("enp1s0", "52:54:00:12:34:56", True, 0)
    assert nic.pci_id == "0000:00:03.0"


def test_a_part_that_hangs_on_no_pci_bus_has_no_pci_address(tmp_path):
    assert pci_address(tmp_path) == ""


def test_usb_devices_and_display_adapters_are_found(tree, tmp_path):
    tree("sys/bus/usb/devices/1-1/idVendor", "046d\n")
    tree("sys/bus/usb/devices/1-1/busnum", "1\n")
    tree("sys/bus/usb/devices/1-1/bDeviceClass", "09\n")
    tree("sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "09\n")
    tree("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n")
    tree("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n")
    machine = Machine(tmp_path)
    [usb] = machine.usbs()
    assert (usb.idvendor, usb.bus, getattr(usb, "class")) == ("046d", 1, "09")
    assert [gpu.pci_id for gpu in machine.gpus()] == ["0000:00:02.0"]


def test_a_firmware_that_tells_a_strange_date_or_a_long_name_keeps_the_report_acceptable(tree, tmp_path):
    tree("sys/class/dmi/id/bios_date", "someday\n")
    tree("sys/class/dmi/id/bios_vendor", "V" * 200)
    tree("sys/class/dmi/id/product_name", "P" * 200)
    info = Machine(tmp_path).system_info()
    assert (info.bios_info.release_date, len(info.bios_info.vendor), len(info.hw_info.product_name)) == ("", 40, 128)


def test_what_a_machine_cannot_tell_is_left_out_of_its_report(tmp_path):
    info = Machine(tmp_path).system_info()
    assert not info.hw_info.HasField("cpu")
    assert not info.hw_info.HasField("memory")


def test_the_machine_that_runs_the_tests_has_a_processor_and_memory():
    hardware = Machine().system_info().hw_info
    assert hardware.cpu.threads >= hardware.cpu.cores >= hardware.cpu.sockets > 0
    assert hardware.memory.size > 0

"""Simulated machines as they leave the factory: machine `number` has the same identity and parts in every process."""

import uuid

from edge.onboard import Identity
from wire import hostmgr_pb2 as hm

GIB = 1 << 30
CPUS = ("Intel(R) Xeon(R) D-1746TER", "Intel(R) Core(TM) i7-1370PE", "AMD EPYC 3251")


def identity(number: int) -> Identity:
    """Who machine `number` is, the same in every process: its firmware was written in the factory."""
    serial = f"FLEET{number:05d}"
    high, low = divmod(number, 256)
    return Identity(
        uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{serial}.fleet.example")),
        serial=serial,
        mac=f"02:ed:9e:{high >> 8:02x}:{high & 255:02x}:{low:02x}",
        ip=f"10.{77 + (high >> 8)}.{high & 255}.{low}",
    )


def hardware(number: int) -> hm.SystemInfo:
    """What machine `number` is made of."""
    machine = identity(number)
    cores = (8, 14, 16)[number % 3]
    return hm.SystemInfo(
        hw_info=hm.HWInfo(
            serial_num=machine.serial,
            product_name="Simulated Edge Node",
            cpu=hm.SystemCPU(
                arch="x86_64",
                vendor="GenuineIntel" if number % 3 < 2 else "AuthenticAMD",
                model=CPUS[number % 3],
                sockets=1,
                cores=cores,
                threads=2 * cores,
                features=["aes", "avx2", "sse4_2"],
                cpu_topology=hm.CPUTopology(
                    sockets=[hm.Socket(core_groups=[hm.CoreGroup(core_type="P-Core", core_list=range(cores))])]
                ),
            ),
            memory=hm.SystemMemory(size=(16, 32, 64)[number % 3] * GIB),
            storage=hm.Storage(
                disk=[
                    hm.SystemDisk(
                        name="nvme0n1",
                        serial_number=f"NV{machine.serial}",
                        vendor="Simulated",
                        model="Simulated NVMe 512",
                        size=512 * GIB,
                        wwid=f"eui.{number:016x}",
                    )
                ]
            ),
            network=[
                hm.SystemNetwork(
                    name="enp1s0",
                    pci_id="0000:01:00.0",
                    mac=machine.mac,
                    link_state=True,
                    current_speed=1_000_000_000,
                    current_duplex="full",
                    mtu=1500,
                    ip_addresses=[
                        hm.IPAddress(ip_address=machine.ip, network_prefix_bits=16, config_mode=hm.CONFIG_MODE_DYNAMIC)
                    ],
                )
            ],
        ),
        os_info=hm.OsInfo(kernel=hm.OsKernel(version="6.1.0"), release=hm.OsRelease(id="debian", version="12")),
        bm_ctl_info=hm.BmInfo(bm_type=hm.BmInfo.NONE),
        bios_info=hm.BiosInfo(version="1.0", release_date="01/15/2026", vendor="Simulated Firmware"),
    )

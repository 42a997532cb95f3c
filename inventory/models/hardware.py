"""What a host's hardware document holds: its items have the names and types of the REST API."""

from typing import NewType, TypedDict

Uint64 = NewType("Uint64", str)  # JSON writes 64-bit numbers as strings, as protobuf has it


class Storage(TypedDict):
    wwid: str
    serial: str
    vendor: str
    model: str
    capacityBytes: Uint64
    deviceName: str


class IpAddress(TypedDict):
    address: str  # with its prefix length, "10.0.2.15/24"
    configMethod: str
    status: str
    statusDetail: str


class Nic(TypedDict):
    deviceName: str
    pciIdentifier: str
    macAddr: str
    sriovEnabled: bool
    sriovVfsNum: int
    sriovVfsTotal: int
    features: str
    mtu: int
    linkState: str
    bmcInterface: bool
    ipaddresses: list[IpAddress]


Usb = TypedDict("Usb", {
    "idVendor": str, "idProduct": str, "bus": int, "addr": int, "class": str, "serial": str, "deviceName": str,
})  # fmt: skip


class Gpu(TypedDict):
    pciId: str
    product: str
    vendor: str
    deviceName: str
    description: str
    capabilities: list[str]


class Hardware(TypedDict):
    storages: list[Storage]
    nics: list[Nic]
    usbs: list[Usb]
    gpus: list[Gpu]

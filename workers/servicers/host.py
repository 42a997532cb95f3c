"""The host manager's door: heartbeats, the state of the installed system, and the machine's hardware."""

import json
import re
from contextlib import contextmanager
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from google.protobuf.json_format import MessageToDict

from inventory.models import Host, Indicator, Status
from wire import hostmgr_pb2 as wire
from wire import hostmgr_pb2_grpc
from workers import presence
from workers.reporting import INVALID, guid, provisioned_instance, reporting_host
from workers.southbound import Node, Refusal, for_nodes

PROVISIONED = "Provisioned"

RUNNING = Status("Running", Indicator.IDLE)
ERROR = Status("Error", Indicator.ERROR)
UNKNOWN = Status("Unknown")

_HOST = wire.HostStatus
HOST_STATUS = {_HOST.RUNNING: RUNNING, _HOST.ERROR: ERROR}  # any other value reads "Unknown"

_INSTANCE = wire.InstanceStatus
HOST_STATUS_OF_INSTANCE = {
    _INSTANCE.INSTANCE_STATUS_RUNNING: RUNNING,
    _INSTANCE.INSTANCE_STATUS_INITIALIZING: RUNNING,
    _INSTANCE.INSTANCE_STATUS_ERROR: ERROR,
}
INSTANCE_STATUS = {
    _INSTANCE.INSTANCE_STATUS_UNSPECIFIED: Status(""),
    _INSTANCE.INSTANCE_STATUS_INITIALIZING: Status("Initializing", Indicator.IN_PROGRESS),
    _INSTANCE.INSTANCE_STATUS_RUNNING: RUNNING,
    _INSTANCE.INSTANCE_STATUS_ERROR: ERROR,
}
_DETAIL = re.compile(r"^[a-zA-Z0-9\-_./:;=?@!#,<>*() ]{0,1024}\Z")


class HostManager(hostmgr_pb2_grpc.HostmgrServicer):
    @for_nodes
    def UpdateHostStatusByHostGuid(self, node: Node, request):
        host_uuid = guid(request.host_guid)
        if not request.HasField("host_status"):
            raise Refusal(INVALID, "host_status is missing")
        with written_down(node, host_uuid, f"host {request.host_status.host_status}") as is_news:
            if is_news:
                host = reporting_host(node, host_uuid)
                provisioned_instance(host)
                host.observe(host_status=HOST_STATUS.get(request.host_status.host_status, UNKNOWN))
        return wire.HostStatusResp()

    @for_nodes
    def UpdateInstanceStateStatusByHostGUID(self, node: Node, request):
        """The heartbeat. One that says what the last one said costs one call to Redis."""
        host_uuid = guid(request.host_guid)
        if not _DETAIL.match(request.provider_status_detail):
            raise Refusal(INVALID, "provider_status_detail has letters that a detail can't have, or over 1024 of them")
        said = f"{request.instance_state} {request.instance_status} {request.provider_status_detail}"
        with written_down(node, host_uuid, said) as is_news:
            if is_news:
                host = reporting_host(node, host_uuid)
                instance = provisioned_instance(host)
                host.observe(host_status=HOST_STATUS_OF_INSTANCE.get(request.instance_status, UNKNOWN))
                instance.observe(
                    instance_status=INSTANCE_STATUS.get(request.instance_status, UNKNOWN),
                    instance_status_detail=request.provider_status_detail,
                )
        return wire.UpdateInstanceStateStatusByHostGUIDResponse()

    @for_nodes
    def UpdateHostSystemInfoByGUID(self, node: Node, request):
        """What the machine is made of. A part that the message doesn't mention is no statement about it."""
        host = reporting_host(node, guid(request.host_guid), "serial_number", "hardware")
        provisioned_instance(host)
        if not request.HasField("system_info"):
            raise Refusal(INVALID, "system_info is missing")
        if facts := system_facts(request.system_info, host):
            host.observe(**facts)
        return wire.UpdateHostSystemInfoByGUIDResponse()


@contextmanager
def written_down(node: Node, host_uuid: UUID, said: str):
    """True if this host says something new. If that can't be written down, the next heartbeat is news again."""
    node.must_be(host_uuid)
    try:
        yield presence.heard(node.schema, host_uuid, said)
    except BaseException:
        presence.forget(node.schema, host_uuid)
        raise


def system_facts(info: wire.SystemInfo, host: Host) -> dict:
    """The observed columns that this report makes statements about."""
    facts: dict = {}
    if info.HasField("bios_info"):
        bios = info.bios_info
        facts |= {
            "bios_version": bios.version[:128], "bios_vendor": bios.vendor[:128],
            "bios_release_date": bios.release_date[:128],
        }  # fmt: skip
    if not info.HasField("hw_info"):
        return facts
    hw = info.hw_info
    if hw.serial_num and not host.serial_number:  # one that differs is the onboarding manager's business
        facts["serial_number"] = hw.serial_num[:128]
    if hw.product_name:
        facts["product_name"] = hw.product_name[:128]
    # Agents whose tools are missing send these empty: no statement either.
    if hw.HasField("cpu") and hw.cpu.cores:
        facts |= cpu_facts(hw.cpu)
    if hw.HasField("memory") and hw.memory.size:
        facts["memory_bytes"] = hw.memory.size
    parts = {
        "storages": [storage(disk) for disk in hw.storage.disk] if hw.HasField("storage") else None,
        "nics": [nic(network) for network in hw.network] or None,
        "usbs": [usb(device) for device in hw.usb] or None,
        "gpus": [gpu(card) for card in hw.gpu if card.pci_id] or None,
    }
    facts["hardware"] = host.hardware | {name: part for name, part in parts.items() if part is not None}
    return facts


def cpu_facts(cpu: wire.SystemCPU) -> dict:
    topology = ""
    if cpu.HasField("cpu_topology") and cpu.cpu_topology.sockets:
        if len(cpu.cpu_topology.sockets) != cpu.sockets:
            raise Refusal(INVALID, f"{cpu.sockets} sockets, but a topology of {len(cpu.cpu_topology.sockets)}")
        topology = json.dumps(
            MessageToDict(
                cpu.cpu_topology, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            ),
            separators=(",", ":"),
        )
    return {
        "cpu_model": cpu.model[:128], "cpu_architecture": cpu.arch[:128], "cpu_sockets": cpu.sockets,
        "cpu_cores": cpu.cores, "cpu_threads": cpu.threads, "cpu_capabilities": ",".join(cpu.features),
        "cpu_topology": topology,
    }  # fmt: skip


def storage(disk: wire.SystemDisk) -> dict:
    return {
        "wwid": disk.wwid, "serial": disk.serial_number, "vendor": disk.vendor, "model": disk.model,
        "capacityBytes": str(disk.size), "deviceName": disk.name,
    }  # fmt: skip


def nic(network: wire.SystemNetwork) -> dict:
    return {
        "deviceName": network.name, "pciIdentifier": network.pci_id, "macAddr": network.mac,
        "sriovEnabled": network.sriovenabled, "sriovVfsNum": network.sriovnumvfs,
        "sriovVfsTotal": network.sriov_vfs_total, "features": ",".join(network.features), "mtu": network.mtu,
        "linkState": "NETWORK_INTERFACE_LINK_STATE_UP" if network.link_state else "NETWORK_INTERFACE_LINK_STATE_DOWN",
        "bmcInterface": network.bmc_net,
        "ipaddresses": [ip_address(address) for address in network.ip_addresses],
    }  # fmt: skip


def ip_address(address: wire.IPAddress) -> dict:
    try:
        validate_ipv46_address(address.ip_address)
    except ValidationError:
        raise Refusal(INVALID, f"{address.ip_address!r} is not an IP address") from None
    if not 1 <= address.network_prefix_bits <= 128:
        raise Refusal(INVALID, f"{address.network_prefix_bits} is not a prefix length")
    return {
        "address": f"{address.ip_address}/{address.network_prefix_bits}",
        "configMethod": {1: "IP_ADDRESS_CONFIG_METHOD_STATIC", 2: "IP_ADDRESS_CONFIG_METHOD_DYNAMIC"}.get(
            address.config_mode, "IP_ADDRESS_CONFIG_METHOD_UNSPECIFIED"
        ),
        "status": "IP_ADDRESS_STATUS_CONFIGURED", "statusDetail": "IPAddress is configured",
    }  # fmt: skip


def usb(device: wire.SystemUSB) -> dict:
    return {
        "idVendor": device.idvendor, "idProduct": device.idproduct, "bus": device.bus, "addr": device.addr,
        "class": getattr(device, "class"), "serial": device.serial, "deviceName": device.description,
    }  # fmt: skip


def gpu(card: wire.SystemGPU) -> dict:
    return {
        "pciId": card.pci_id, "product": card.product, "vendor": card.vendor, "deviceName": card.name,
        "description": card.description, "capabilities": list(card.features),
    }  # fmt: skip


def add_to(server) -> None:
    hostmgr_pb2_grpc.add_HostmgrServicer_to_server(HostManager(), server)

"""The host manager's door: heartbeats, the state of the installed system, and the machine's hardware.

A message that a report leaves out is no statement about its part; one that is there replaces its part whole. What the
operator entered (name, site, metadata) is never touched. An agent's word on the state of its instance is not written:
what is installed, the loop decides.
"""

import json
import re
from collections.abc import Iterable
from hashlib import blake2b

from django.db import connection, transaction
from google.protobuf.json_format import MessageToDict

from inventory import addresses, presence
from inventory.models import Host, Indicator, Instance, Status
from wire import hostmgr_pb2 as wire
from wire import hostmgr_pb2_grpc
from workers import rules
from workers.answers import refused_until_it_changes
from workers.reporting import INVALID, guid, provisioned_instance, reporting_host
from workers.silence import NO_CONNECTION, UPDATING
from workers.southbound import Node, Refusal, unless_repeated

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
_HOST_COLUMNS = ("host_status", "host_status_indicator", "instance__update_status", "instance__update_status_indicator")
_BEAT_COLUMNS = (*_HOST_COLUMNS, *(f"instance__instance_status{end}" for end in ("", "_indicator", "_detail")))
_HARDWARE_COLUMNS = (
    "serial_number", "product_name", "memory_bytes", "cpu_model", "cpu_sockets", "cpu_cores", "cpu_threads",
    "cpu_architecture", "cpu_capabilities", "cpu_topology", "bios_vendor", "bios_version", "bios_release_date",
    "hardware",
)  # fmt: skip
_DETAIL = re.compile(r"^[a-zA-Z0-9\-_./:;=?@!#,<>*() ]{0,1024}\Z")


def status_in(request: wire.UpdateHostStatusByHostGuidRequest) -> presence.Report:
    host_uuid = guid(request.host_guid)
    if not request.HasField("host_status"):
        raise Refusal(INVALID, "host_status is missing")
    return presence.Report(host_uuid, presence.BEAT, f"host {request.host_status.host_status}")


def heartbeat_in(request: wire.UpdateInstanceStateStatusByHostGUIDRequest) -> presence.Report:
    host_uuid = guid(request.host_guid)
    if not _DETAIL.match(request.provider_status_detail):
        raise Refusal(INVALID, "provider_status_detail has letters that a detail can't have, or over 1024 of them")
    return presence.Report(
        host_uuid, presence.BEAT, f"{request.instance_state} {request.instance_status} {request.provider_status_detail}"
    )


def system_info_in(request: wire.UpdateHostSystemInfoByGUIDRequest) -> presence.Report:
    """Two agents tell of different parts in turn, so what is compared is what the same parts were like last time."""
    host_uuid = guid(request.host_guid)
    if not request.HasField("system_info"):
        raise Refusal(INVALID, "system_info is missing")
    parts = "+".join(field.name for field, _ in request.system_info.ListFields())
    said = blake2b(request.system_info.SerializeToString(deterministic=True), digest_size=16).hexdigest()
    return presence.Report(host_uuid, f"system_info {parts}", said)


class HostManager(hostmgr_pb2_grpc.HostmgrServicer):
    @refused_until_it_changes
    @unless_repeated(status_in, wire.HostStatusResp())
    @transaction.atomic
    def UpdateHostStatusByHostGuid(self, node: Node, request):
        host = reporting_host(node, guid(request.host_guid), *_HOST_COLUMNS, lock=True)
        show(host, provisioned_instance(host), HOST_STATUS.get(request.host_status.host_status, UNKNOWN))
        return wire.HostStatusResp()

    @refused_until_it_changes
    @unless_repeated(heartbeat_in, wire.UpdateInstanceStateStatusByHostGUIDResponse())
    @transaction.atomic
    def UpdateInstanceStateStatusByHostGUID(self, node: Node, request):
        """The heartbeat. The host is locked, or a heartbeat that comes while it is marked silent would be lost."""
        host = reporting_host(node, guid(request.host_guid), *_BEAT_COLUMNS, lock=True)
        instance = provisioned_instance(host)
        show(host, instance, HOST_STATUS_OF_INSTANCE.get(request.instance_status, UNKNOWN))
        status, detail = INSTANCE_STATUS.get(request.instance_status, UNKNOWN), request.provider_status_detail
        if (instance.instance_status, instance.instance_status_indicator) != status:
            instance.observe(instance_status=status, instance_status_detail=detail)
        elif instance.instance_status_detail != detail:
            instance.observe(instance_status_detail=detail)
        return wire.UpdateInstanceStateStatusByHostGUIDResponse()

    @refused_until_it_changes
    @unless_repeated(system_info_in, wire.UpdateHostSystemInfoByGUIDResponse())
    def UpdateHostSystemInfoByGUID(self, node: Node, request):
        """What the machine is made of."""
        host = reporting_host(node, guid(request.host_guid), *_HARDWARE_COLUMNS)
        provisioned_instance(host)
        rules.check(request)
        facts = system_facts(request.system_info, host)
        if changed := {name: value for name, value in facts.items() if getattr(host, name) != value}:
            host.observe(**changed)
        return wire.UpdateHostSystemInfoByGUIDResponse()


def show(host: Host, instance: Instance, status: Status) -> None:
    """Write the host's status, but not over that of a machine that is being updated, unless it was taken for lost."""
    if (host.host_status, host.host_status_indicator) == status:
        return
    is_updated = (instance.update_status, instance.update_status_indicator) == (UPDATING, Indicator.IN_PROGRESS)
    if is_updated and host.host_status != NO_CONNECTION.text:
        presence.forget(connection.schema_name, host.uuid)  # it is news yet when the update is over
    else:
        host.observe(host_status=status)


def system_facts(info: wire.SystemInfo, host: Host) -> dict:
    """The observed columns that this report makes statements about."""
    facts: dict = {}
    if info.HasField("bios_info"):
        bios = info.bios_info
        facts |= {
            "bios_version": bios.version, "bios_vendor": bios.vendor, "bios_release_date": bios.release_date,
        }  # fmt: skip
    if not info.HasField("hw_info"):
        return facts
    hw = info.hw_info
    if hw.serial_num and not host.serial_number:  # one that differs is the onboarding manager's business
        facts["serial_number"] = hw.serial_num
    if hw.product_name:
        facts["product_name"] = hw.product_name
    # Agents whose tools are missing send these empty: no statement either.
    if hw.HasField("cpu") and hw.cpu.cores:
        facts |= cpu_facts(hw.cpu)
    if hw.HasField("memory") and hw.memory.size:
        facts["memory_bytes"] = hw.memory.size
    parts = {
        "nics": last_of_each((network.name, nic(network)) for network in hw.network),
        "usbs": last_of_each(((device.bus, device.addr), usb(device)) for device in hw.usb),
        "gpus": last_of_each((card.pci_id, gpu(card)) for card in hw.gpu if card.ByteSize()),
    }
    if hw.HasField("storage"):
        parts["storages"] = last_of_each((disk.name, storage(disk)) for disk in hw.storage.disk)
    facts["hardware"] = addresses.marked(host.hardware | parts, addresses.duplicates_in(host.hardware))
    return facts


def last_of_each(items: Iterable[tuple[object, dict]]) -> list[dict]:
    """Of several with one key, the last."""
    return [*dict(items).values()]


def cpu_facts(cpu: wire.SystemCPU) -> dict:
    if not (cpu.sockets and cpu.threads):
        raise Refusal(INVALID, f"hw_info.cpu: {cpu.cores} cores, but {cpu.sockets} sockets and {cpu.threads} threads")
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
        "cpu_model": cpu.model, "cpu_architecture": cpu.arch, "cpu_sockets": cpu.sockets,
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
        "ipaddresses": last_of_each(
            (told["address"], told) for told in map(ip_address, network.ip_addresses)
        ),
    }  # fmt: skip


def ip_address(address: wire.IPAddress) -> dict:
    return {
        "address": rules.address(address.ip_address, address.network_prefix_bits),
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
    if not card.pci_id:
        raise Refusal(INVALID, "hw_info.gpu has one without a pci_id")
    return {
        "pciId": card.pci_id, "product": card.product, "vendor": card.vendor, "deviceName": card.name,
        "description": card.description, "capabilities": list(card.features),
    }  # fmt: skip


def add_to(server) -> None:
    hostmgr_pb2_grpc.add_HostmgrServicer_to_server(HostManager(), server)

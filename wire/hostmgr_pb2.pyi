from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConfigMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_MODE_UNSPECIFIED: _ClassVar[ConfigMode]
    CONFIG_MODE_STATIC: _ClassVar[ConfigMode]
    CONFIG_MODE_DYNAMIC: _ClassVar[ConfigMode]

class InstanceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTANCE_STATE_UNSPECIFIED: _ClassVar[InstanceState]
    INSTANCE_STATE_INSTALLED: _ClassVar[InstanceState]
    INSTANCE_STATE_RUNNING: _ClassVar[InstanceState]
    INSTANCE_STATE_STOPPED: _ClassVar[InstanceState]
    INSTANCE_STATE_DELETED: _ClassVar[InstanceState]

class InstanceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTANCE_STATUS_UNSPECIFIED: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_BOOTING: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_BOOT_FAILED: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_PROVISIONING: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_PROVISIONED: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_PROVISION_FAILED: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_RUNNING: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_ERROR: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_UPDATING: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_UPDATE_FAILED: _ClassVar[InstanceStatus]
    INSTANCE_STATUS_INITIALIZING: _ClassVar[InstanceStatus]
CONFIG_MODE_UNSPECIFIED: ConfigMode
CONFIG_MODE_STATIC: ConfigMode
CONFIG_MODE_DYNAMIC: ConfigMode
INSTANCE_STATE_UNSPECIFIED: InstanceState
INSTANCE_STATE_INSTALLED: InstanceState
INSTANCE_STATE_RUNNING: InstanceState
INSTANCE_STATE_STOPPED: InstanceState
INSTANCE_STATE_DELETED: InstanceState
INSTANCE_STATUS_UNSPECIFIED: InstanceStatus
INSTANCE_STATUS_BOOTING: InstanceStatus
INSTANCE_STATUS_BOOT_FAILED: InstanceStatus
INSTANCE_STATUS_PROVISIONING: InstanceStatus
INSTANCE_STATUS_PROVISIONED: InstanceStatus
INSTANCE_STATUS_PROVISION_FAILED: InstanceStatus
INSTANCE_STATUS_RUNNING: InstanceStatus
INSTANCE_STATUS_ERROR: InstanceStatus
INSTANCE_STATUS_UPDATING: InstanceStatus
INSTANCE_STATUS_UPDATE_FAILED: InstanceStatus
INSTANCE_STATUS_INITIALIZING: InstanceStatus

class HostStatus(_message.Message):
    __slots__ = ("host_status", "details", "human_readable_status")
    class Host_status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[HostStatus.Host_status]
        REGISTERING: _ClassVar[HostStatus.Host_status]
        BOOTING: _ClassVar[HostStatus.Host_status]
        BOOTFAILED: _ClassVar[HostStatus.Host_status]
        PROVISIONING: _ClassVar[HostStatus.Host_status]
        PROVISIONED: _ClassVar[HostStatus.Host_status]
        PROVISIONFAILED: _ClassVar[HostStatus.Host_status]
        RUNNING: _ClassVar[HostStatus.Host_status]
        UPDATING: _ClassVar[HostStatus.Host_status]
        UPDATEFAILED: _ClassVar[HostStatus.Host_status]
        ERROR: _ClassVar[HostStatus.Host_status]
    UNSPECIFIED: HostStatus.Host_status
    REGISTERING: HostStatus.Host_status
    BOOTING: HostStatus.Host_status
    BOOTFAILED: HostStatus.Host_status
    PROVISIONING: HostStatus.Host_status
    PROVISIONED: HostStatus.Host_status
    PROVISIONFAILED: HostStatus.Host_status
    RUNNING: HostStatus.Host_status
    UPDATING: HostStatus.Host_status
    UPDATEFAILED: HostStatus.Host_status
    ERROR: HostStatus.Host_status
    HOST_STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    HUMAN_READABLE_STATUS_FIELD_NUMBER: _ClassVar[int]
    host_status: HostStatus.Host_status
    details: str
    human_readable_status: str
    def __init__(self, host_status: _Optional[_Union[HostStatus.Host_status, str]] = ..., details: _Optional[str] = ..., human_readable_status: _Optional[str] = ...) -> None: ...

class HostStatusResp(_message.Message):
    __slots__ = ("host_action", "details")
    class Host_action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NONE: _ClassVar[HostStatusResp.Host_action]
        SHUTDOWN: _ClassVar[HostStatusResp.Host_action]
        RESTART: _ClassVar[HostStatusResp.Host_action]
        UPDATING: _ClassVar[HostStatusResp.Host_action]
        RUNNING: _ClassVar[HostStatusResp.Host_action]
    NONE: HostStatusResp.Host_action
    SHUTDOWN: HostStatusResp.Host_action
    RESTART: HostStatusResp.Host_action
    UPDATING: HostStatusResp.Host_action
    RUNNING: HostStatusResp.Host_action
    HOST_ACTION_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    host_action: HostStatusResp.Host_action
    details: str
    def __init__(self, host_action: _Optional[_Union[HostStatusResp.Host_action, str]] = ..., details: _Optional[str] = ...) -> None: ...

class Metadata(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class SystemInfo(_message.Message):
    __slots__ = ("hw_info", "os_info", "bm_ctl_info", "bios_info", "kc_info")
    HW_INFO_FIELD_NUMBER: _ClassVar[int]
    OS_INFO_FIELD_NUMBER: _ClassVar[int]
    BM_CTL_INFO_FIELD_NUMBER: _ClassVar[int]
    BIOS_INFO_FIELD_NUMBER: _ClassVar[int]
    KC_INFO_FIELD_NUMBER: _ClassVar[int]
    hw_info: HWInfo
    os_info: OsInfo
    bm_ctl_info: BmInfo
    bios_info: BiosInfo
    kc_info: ClusterInfo
    def __init__(self, hw_info: _Optional[_Union[HWInfo, _Mapping]] = ..., os_info: _Optional[_Union[OsInfo, _Mapping]] = ..., bm_ctl_info: _Optional[_Union[BmInfo, _Mapping]] = ..., bios_info: _Optional[_Union[BiosInfo, _Mapping]] = ..., kc_info: _Optional[_Union[ClusterInfo, _Mapping]] = ...) -> None: ...

class ClusterInfo(_message.Message):
    __slots__ = ("kubeconfig",)
    KUBECONFIG_FIELD_NUMBER: _ClassVar[int]
    kubeconfig: str
    def __init__(self, kubeconfig: _Optional[str] = ...) -> None: ...

class BiosInfo(_message.Message):
    __slots__ = ("version", "release_date", "vendor")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_DATE_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    version: str
    release_date: str
    vendor: str
    def __init__(self, version: _Optional[str] = ..., release_date: _Optional[str] = ..., vendor: _Optional[str] = ...) -> None: ...

class OsInfo(_message.Message):
    __slots__ = ("kernel", "release")
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    kernel: OsKernel
    release: OsRelease
    def __init__(self, kernel: _Optional[_Union[OsKernel, _Mapping]] = ..., release: _Optional[_Union[OsRelease, _Mapping]] = ...) -> None: ...

class Config(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class OsKernel(_message.Message):
    __slots__ = ("version", "config")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    version: str
    config: _containers.RepeatedCompositeFieldContainer[Config]
    def __init__(self, version: _Optional[str] = ..., config: _Optional[_Iterable[_Union[Config, _Mapping]]] = ...) -> None: ...

class OsRelease(_message.Message):
    __slots__ = ("id", "version", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    metadata: _containers.RepeatedCompositeFieldContainer[Metadata]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., metadata: _Optional[_Iterable[_Union[Metadata, _Mapping]]] = ...) -> None: ...

class Storage(_message.Message):
    __slots__ = ("disk", "features")
    DISK_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    disk: _containers.RepeatedCompositeFieldContainer[SystemDisk]
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, disk: _Optional[_Iterable[_Union[SystemDisk, _Mapping]]] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class HWInfo(_message.Message):
    __slots__ = ("serial_num", "product_name", "cpu", "gpu_deprecated", "memory", "storage", "network", "pci", "usb", "gpu")
    SERIAL_NUM_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_NAME_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    GPU_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PCI_FIELD_NUMBER: _ClassVar[int]
    USB_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    serial_num: str
    product_name: str
    cpu: SystemCPU
    gpu_deprecated: SystemGPU
    memory: SystemMemory
    storage: Storage
    network: _containers.RepeatedCompositeFieldContainer[SystemNetwork]
    pci: _containers.RepeatedCompositeFieldContainer[SystemPCI]
    usb: _containers.RepeatedCompositeFieldContainer[SystemUSB]
    gpu: _containers.RepeatedCompositeFieldContainer[SystemGPU]
    def __init__(self, serial_num: _Optional[str] = ..., product_name: _Optional[str] = ..., cpu: _Optional[_Union[SystemCPU, _Mapping]] = ..., gpu_deprecated: _Optional[_Union[SystemGPU, _Mapping]] = ..., memory: _Optional[_Union[SystemMemory, _Mapping]] = ..., storage: _Optional[_Union[Storage, _Mapping]] = ..., network: _Optional[_Iterable[_Union[SystemNetwork, _Mapping]]] = ..., pci: _Optional[_Iterable[_Union[SystemPCI, _Mapping]]] = ..., usb: _Optional[_Iterable[_Union[SystemUSB, _Mapping]]] = ..., gpu: _Optional[_Iterable[_Union[SystemGPU, _Mapping]]] = ...) -> None: ...

class SystemCPU(_message.Message):
    __slots__ = ("arch", "vendor", "model", "sockets", "cores", "threads", "features", "cpu_topology")
    ARCH_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SOCKETS_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CPU_TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    arch: str
    vendor: str
    model: str
    sockets: int
    cores: int
    threads: int
    features: _containers.RepeatedScalarFieldContainer[str]
    cpu_topology: CPUTopology
    def __init__(self, arch: _Optional[str] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., sockets: _Optional[int] = ..., cores: _Optional[int] = ..., threads: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., cpu_topology: _Optional[_Union[CPUTopology, _Mapping]] = ...) -> None: ...

class SystemMemory(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class SystemDisk(_message.Message):
    __slots__ = ("serial_number", "name", "vendor", "model", "size", "wwid")
    SERIAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WWID_FIELD_NUMBER: _ClassVar[int]
    serial_number: str
    name: str
    vendor: str
    model: str
    size: int
    wwid: str
    def __init__(self, serial_number: _Optional[str] = ..., name: _Optional[str] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., size: _Optional[int] = ..., wwid: _Optional[str] = ...) -> None: ...

class SystemGPU(_message.Message):
    __slots__ = ("pci_id", "product", "vendor", "name", "description", "features")
    PCI_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    pci_id: str
    product: str
    vendor: str
    name: str
    description: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pci_id: _Optional[str] = ..., product: _Optional[str] = ..., vendor: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class SystemNetwork(_message.Message):
    __slots__ = ("name", "pci_id", "mac", "link_state", "current_speed", "current_duplex", "supported_link_mode", "advertising_link_mode", "features", "sriovenabled", "sriovnumvfs", "sriov_vfs_total", "peer_name", "peer_description", "peer_mac", "peer_mgmt_ip", "peer_port", "ip_addresses", "mtu", "bmc_net")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PCI_ID_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    LINK_STATE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_SPEED_FIELD_NUMBER: _ClassVar[int]
    CURRENT_DUPLEX_FIELD_NUMBER: _ClassVar[int]
    SUPPORTED_LINK_MODE_FIELD_NUMBER: _ClassVar[int]
    ADVERTISING_LINK_MODE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SRIOVENABLED_FIELD_NUMBER: _ClassVar[int]
    SRIOVNUMVFS_FIELD_NUMBER: _ClassVar[int]
    SRIOV_VFS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PEER_NAME_FIELD_NUMBER: _ClassVar[int]
    PEER_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PEER_MAC_FIELD_NUMBER: _ClassVar[int]
    PEER_MGMT_IP_FIELD_NUMBER: _ClassVar[int]
    PEER_PORT_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    BMC_NET_FIELD_NUMBER: _ClassVar[int]
    name: str
    pci_id: str
    mac: str
    link_state: bool
    current_speed: int
    current_duplex: str
    supported_link_mode: _containers.RepeatedScalarFieldContainer[str]
    advertising_link_mode: _containers.RepeatedScalarFieldContainer[str]
    features: _containers.RepeatedScalarFieldContainer[str]
    sriovenabled: bool
    sriovnumvfs: int
    sriov_vfs_total: int
    peer_name: str
    peer_description: str
    peer_mac: str
    peer_mgmt_ip: str
    peer_port: str
    ip_addresses: _containers.RepeatedCompositeFieldContainer[IPAddress]
    mtu: int
    bmc_net: bool
    def __init__(self, name: _Optional[str] = ..., pci_id: _Optional[str] = ..., mac: _Optional[str] = ..., link_state: _Optional[bool] = ..., current_speed: _Optional[int] = ..., current_duplex: _Optional[str] = ..., supported_link_mode: _Optional[_Iterable[str]] = ..., advertising_link_mode: _Optional[_Iterable[str]] = ..., features: _Optional[_Iterable[str]] = ..., sriovenabled: _Optional[bool] = ..., sriovnumvfs: _Optional[int] = ..., sriov_vfs_total: _Optional[int] = ..., peer_name: _Optional[str] = ..., peer_description: _Optional[str] = ..., peer_mac: _Optional[str] = ..., peer_mgmt_ip: _Optional[str] = ..., peer_port: _Optional[str] = ..., ip_addresses: _Optional[_Iterable[_Union[IPAddress, _Mapping]]] = ..., mtu: _Optional[int] = ..., bmc_net: _Optional[bool] = ...) -> None: ...

class CPUTopology(_message.Message):
    __slots__ = ("sockets",)
    SOCKETS_FIELD_NUMBER: _ClassVar[int]
    sockets: _containers.RepeatedCompositeFieldContainer[Socket]
    def __init__(self, sockets: _Optional[_Iterable[_Union[Socket, _Mapping]]] = ...) -> None: ...

class Socket(_message.Message):
    __slots__ = ("socket_id", "core_groups")
    SOCKET_ID_FIELD_NUMBER: _ClassVar[int]
    CORE_GROUPS_FIELD_NUMBER: _ClassVar[int]
    socket_id: int
    core_groups: _containers.RepeatedCompositeFieldContainer[CoreGroup]
    def __init__(self, socket_id: _Optional[int] = ..., core_groups: _Optional[_Iterable[_Union[CoreGroup, _Mapping]]] = ...) -> None: ...

class CoreGroup(_message.Message):
    __slots__ = ("core_type", "core_list")
    CORE_TYPE_FIELD_NUMBER: _ClassVar[int]
    CORE_LIST_FIELD_NUMBER: _ClassVar[int]
    core_type: str
    core_list: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, core_type: _Optional[str] = ..., core_list: _Optional[_Iterable[int]] = ...) -> None: ...

class IPAddress(_message.Message):
    __slots__ = ("ip_address", "network_prefix_bits", "config_mode")
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_PREFIX_BITS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_MODE_FIELD_NUMBER: _ClassVar[int]
    ip_address: str
    network_prefix_bits: int
    config_mode: ConfigMode
    def __init__(self, ip_address: _Optional[str] = ..., network_prefix_bits: _Optional[int] = ..., config_mode: _Optional[_Union[ConfigMode, str]] = ...) -> None: ...

class SystemPCI(_message.Message):
    __slots__ = ("dev_class",)
    DEV_CLASS_FIELD_NUMBER: _ClassVar[int]
    dev_class: str
    def __init__(self, dev_class: _Optional[str] = ...) -> None: ...

class Interfaces(_message.Message):
    __slots__ = ()
    CLASS_FIELD_NUMBER: _ClassVar[int]
    def __init__(self, **kwargs) -> None: ...

class SystemUSB(_message.Message):
    __slots__ = ("idvendor", "idproduct", "bus", "addr", "description", "serial", "interfaces")
    CLASS_FIELD_NUMBER: _ClassVar[int]
    IDVENDOR_FIELD_NUMBER: _ClassVar[int]
    IDPRODUCT_FIELD_NUMBER: _ClassVar[int]
    BUS_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    INTERFACES_FIELD_NUMBER: _ClassVar[int]
    idvendor: str
    idproduct: str
    bus: int
    addr: int
    description: str
    serial: str
    interfaces: _containers.RepeatedCompositeFieldContainer[Interfaces]
    def __init__(self, idvendor: _Optional[str] = ..., idproduct: _Optional[str] = ..., bus: _Optional[int] = ..., addr: _Optional[int] = ..., description: _Optional[str] = ..., serial: _Optional[str] = ..., interfaces: _Optional[_Iterable[_Union[Interfaces, _Mapping]]] = ..., **kwargs) -> None: ...

class BmInfo(_message.Message):
    __slots__ = ("bm_type", "bmc_info")
    class Bm_type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        IPMI: _ClassVar[BmInfo.Bm_type]
        REDFISH: _ClassVar[BmInfo.Bm_type]
        PDU: _ClassVar[BmInfo.Bm_type]
        VPRO: _ClassVar[BmInfo.Bm_type]
        FDO: _ClassVar[BmInfo.Bm_type]
        NONE: _ClassVar[BmInfo.Bm_type]
    IPMI: BmInfo.Bm_type
    REDFISH: BmInfo.Bm_type
    PDU: BmInfo.Bm_type
    VPRO: BmInfo.Bm_type
    FDO: BmInfo.Bm_type
    NONE: BmInfo.Bm_type
    BM_TYPE_FIELD_NUMBER: _ClassVar[int]
    BMC_INFO_FIELD_NUMBER: _ClassVar[int]
    bm_type: BmInfo.Bm_type
    bmc_info: BmcInfo
    def __init__(self, bm_type: _Optional[_Union[BmInfo.Bm_type, str]] = ..., bmc_info: _Optional[_Union[BmcInfo, _Mapping]] = ...) -> None: ...

class BmcInfo(_message.Message):
    __slots__ = ("bm_ip", "bm_username", "bm_password")
    BM_IP_FIELD_NUMBER: _ClassVar[int]
    BM_USERNAME_FIELD_NUMBER: _ClassVar[int]
    BM_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    bm_ip: str
    bm_username: str
    bm_password: str
    def __init__(self, bm_ip: _Optional[str] = ..., bm_username: _Optional[str] = ..., bm_password: _Optional[str] = ...) -> None: ...

class UpdateHostStatusByHostGuidRequest(_message.Message):
    __slots__ = ("host_guid", "host_status")
    HOST_GUID_FIELD_NUMBER: _ClassVar[int]
    HOST_STATUS_FIELD_NUMBER: _ClassVar[int]
    host_guid: str
    host_status: HostStatus
    def __init__(self, host_guid: _Optional[str] = ..., host_status: _Optional[_Union[HostStatus, _Mapping]] = ...) -> None: ...

class UpdateHostSystemInfoByGUIDRequest(_message.Message):
    __slots__ = ("host_guid", "system_info")
    HOST_GUID_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_INFO_FIELD_NUMBER: _ClassVar[int]
    host_guid: str
    system_info: SystemInfo
    def __init__(self, host_guid: _Optional[str] = ..., system_info: _Optional[_Union[SystemInfo, _Mapping]] = ...) -> None: ...

class UpdateHostSystemInfoByGUIDResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateInstanceStateStatusByHostGUIDRequest(_message.Message):
    __slots__ = ("host_guid", "instance_status", "instance_state", "provider_status_detail")
    HOST_GUID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_STATE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_STATUS_DETAIL_FIELD_NUMBER: _ClassVar[int]
    host_guid: str
    instance_status: InstanceStatus
    instance_state: InstanceState
    provider_status_detail: str
    def __init__(self, host_guid: _Optional[str] = ..., instance_status: _Optional[_Union[InstanceStatus, str]] = ..., instance_state: _Optional[_Union[InstanceState, str]] = ..., provider_status_detail: _Optional[str] = ...) -> None: ...

class UpdateInstanceStateStatusByHostGUIDResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

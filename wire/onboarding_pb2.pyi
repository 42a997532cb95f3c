from wire import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateNodesRequest(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: _containers.RepeatedCompositeFieldContainer[NodeData]
    def __init__(self, payload: _Optional[_Iterable[_Union[NodeData, _Mapping]]] = ...) -> None: ...

class CreateNodesResponse(_message.Message):
    __slots__ = ("payload", "project_id")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    payload: _containers.RepeatedCompositeFieldContainer[NodeData]
    project_id: str
    def __init__(self, payload: _Optional[_Iterable[_Union[NodeData, _Mapping]]] = ..., project_id: _Optional[str] = ...) -> None: ...

class NodeData(_message.Message):
    __slots__ = ("hwdata",)
    HWDATA_FIELD_NUMBER: _ClassVar[int]
    hwdata: _containers.RepeatedCompositeFieldContainer[HwData]
    def __init__(self, hwdata: _Optional[_Iterable[_Union[HwData, _Mapping]]] = ...) -> None: ...

class HwData(_message.Message):
    __slots__ = ("uuid", "serialnum", "mac_id", "sut_ip")
    UUID_FIELD_NUMBER: _ClassVar[int]
    SERIALNUM_FIELD_NUMBER: _ClassVar[int]
    MAC_ID_FIELD_NUMBER: _ClassVar[int]
    SUT_IP_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    serialnum: str
    mac_id: str
    sut_ip: str
    def __init__(self, uuid: _Optional[str] = ..., serialnum: _Optional[str] = ..., mac_id: _Optional[str] = ..., sut_ip: _Optional[str] = ...) -> None: ...

class OnboardNodeStreamRequest(_message.Message):
    __slots__ = ("uuid", "serialnum", "mac_id", "host_ip")
    UUID_FIELD_NUMBER: _ClassVar[int]
    SERIALNUM_FIELD_NUMBER: _ClassVar[int]
    MAC_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_IP_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    serialnum: str
    mac_id: str
    host_ip: str
    def __init__(self, uuid: _Optional[str] = ..., serialnum: _Optional[str] = ..., mac_id: _Optional[str] = ..., host_ip: _Optional[str] = ...) -> None: ...

class OnboardNodeStreamResponse(_message.Message):
    __slots__ = ("status", "node_state", "client_id", "client_secret", "project_id")
    class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NODE_STATE_UNSPECIFIED: _ClassVar[OnboardNodeStreamResponse.NodeState]
        NODE_STATE_REGISTERED: _ClassVar[OnboardNodeStreamResponse.NodeState]
        NODE_STATE_ONBOARDED: _ClassVar[OnboardNodeStreamResponse.NodeState]
    NODE_STATE_UNSPECIFIED: OnboardNodeStreamResponse.NodeState
    NODE_STATE_REGISTERED: OnboardNodeStreamResponse.NodeState
    NODE_STATE_ONBOARDED: OnboardNodeStreamResponse.NodeState
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NODE_STATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    node_state: OnboardNodeStreamResponse.NodeState
    client_id: str
    client_secret: str
    project_id: str
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., node_state: _Optional[_Union[OnboardNodeStreamResponse.NodeState, str]] = ..., client_id: _Optional[str] = ..., client_secret: _Optional[str] = ..., project_id: _Optional[str] = ...) -> None: ...

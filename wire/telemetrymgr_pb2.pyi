from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeverityLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_LEVEL_UNSPECIFIED: _ClassVar[SeverityLevel]
    SEVERITY_LEVEL_CRITICAL: _ClassVar[SeverityLevel]
    SEVERITY_LEVEL_ERROR: _ClassVar[SeverityLevel]
    SEVERITY_LEVEL_WARN: _ClassVar[SeverityLevel]
    SEVERITY_LEVEL_INFO: _ClassVar[SeverityLevel]
    SEVERITY_LEVEL_DEBUG: _ClassVar[SeverityLevel]

class TelemetryResourceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TELEMETRY_RESOURCE_KIND_UNSPECIFIED: _ClassVar[TelemetryResourceKind]
    TELEMETRY_RESOURCE_KIND_METRICS: _ClassVar[TelemetryResourceKind]
    TELEMETRY_RESOURCE_KIND_LOGS: _ClassVar[TelemetryResourceKind]

class CollectorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLLECTOR_KIND_UNSPECIFIED: _ClassVar[CollectorKind]
    COLLECTOR_KIND_HOST: _ClassVar[CollectorKind]
    COLLECTOR_KIND_CLUSTER: _ClassVar[CollectorKind]
SEVERITY_LEVEL_UNSPECIFIED: SeverityLevel
SEVERITY_LEVEL_CRITICAL: SeverityLevel
SEVERITY_LEVEL_ERROR: SeverityLevel
SEVERITY_LEVEL_WARN: SeverityLevel
SEVERITY_LEVEL_INFO: SeverityLevel
SEVERITY_LEVEL_DEBUG: SeverityLevel
TELEMETRY_RESOURCE_KIND_UNSPECIFIED: TelemetryResourceKind
TELEMETRY_RESOURCE_KIND_METRICS: TelemetryResourceKind
TELEMETRY_RESOURCE_KIND_LOGS: TelemetryResourceKind
COLLECTOR_KIND_UNSPECIFIED: CollectorKind
COLLECTOR_KIND_HOST: CollectorKind
COLLECTOR_KIND_CLUSTER: CollectorKind

class GetTelemetryConfigByGuidRequest(_message.Message):
    __slots__ = ("guid",)
    GUID_FIELD_NUMBER: _ClassVar[int]
    guid: str
    def __init__(self, guid: _Optional[str] = ...) -> None: ...

class GetTelemetryConfigResponse(_message.Message):
    __slots__ = ("host_guid", "timestamp", "cfg")
    class TelemetryCfg(_message.Message):
        __slots__ = ("input", "type", "kind", "level", "interval")
        INPUT_FIELD_NUMBER: _ClassVar[int]
        TYPE_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        INTERVAL_FIELD_NUMBER: _ClassVar[int]
        input: str
        type: TelemetryResourceKind
        kind: CollectorKind
        level: SeverityLevel
        interval: int
        def __init__(self, input: _Optional[str] = ..., type: _Optional[_Union[TelemetryResourceKind, str]] = ..., kind: _Optional[_Union[CollectorKind, str]] = ..., level: _Optional[_Union[SeverityLevel, str]] = ..., interval: _Optional[int] = ...) -> None: ...
    HOST_GUID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    CFG_FIELD_NUMBER: _ClassVar[int]
    host_guid: str
    timestamp: str
    cfg: _containers.RepeatedCompositeFieldContainer[GetTelemetryConfigResponse.TelemetryCfg]
    def __init__(self, host_guid: _Optional[str] = ..., timestamp: _Optional[str] = ..., cfg: _Optional[_Iterable[_Union[GetTelemetryConfigResponse.TelemetryCfg, _Mapping]]] = ...) -> None: ...

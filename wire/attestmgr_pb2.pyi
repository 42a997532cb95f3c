from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttestationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTESTATION_STATUS_UNSPECIFIED: _ClassVar[AttestationStatus]
    ATTESTATION_STATUS_VERIFIED: _ClassVar[AttestationStatus]
    ATTESTATION_STATUS_FAILED: _ClassVar[AttestationStatus]
ATTESTATION_STATUS_UNSPECIFIED: AttestationStatus
ATTESTATION_STATUS_VERIFIED: AttestationStatus
ATTESTATION_STATUS_FAILED: AttestationStatus

class UpdateInstanceAttestationStatusByHostGuidRequest(_message.Message):
    __slots__ = ("host_guid", "attestation_status", "attestation_status_detail")
    HOST_GUID_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_STATUS_DETAIL_FIELD_NUMBER: _ClassVar[int]
    host_guid: str
    attestation_status: AttestationStatus
    attestation_status_detail: str
    def __init__(self, host_guid: _Optional[str] = ..., attestation_status: _Optional[_Union[AttestationStatus, str]] = ..., attestation_status_detail: _Optional[str] = ...) -> None: ...

class UpdateInstanceAttestationStatusByHostGuidResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

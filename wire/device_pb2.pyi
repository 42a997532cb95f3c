from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVATE: _ClassVar[OperationType]
    DEACTIVATE: _ClassVar[OperationType]

class AMTStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN: _ClassVar[AMTStatus]
    ENABLED: _ClassVar[AMTStatus]
    DISABLED: _ClassVar[AMTStatus]

class ActivationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNSPECIFIED: _ClassVar[ActivationStatus]
    ACTIVATING: _ClassVar[ActivationStatus]
    ACTIVATED: _ClassVar[ActivationStatus]
    ACTIVATION_FAILED: _ClassVar[ActivationStatus]
ACTIVATE: OperationType
DEACTIVATE: OperationType
UNKNOWN: AMTStatus
ENABLED: AMTStatus
DISABLED: AMTStatus
UNSPECIFIED: ActivationStatus
ACTIVATING: ActivationStatus
ACTIVATED: ActivationStatus
ACTIVATION_FAILED: ActivationStatus

class AMTStatusRequest(_message.Message):
    __slots__ = ("host_id", "status", "feature")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    status: AMTStatus
    feature: str
    def __init__(self, host_id: _Optional[str] = ..., status: _Optional[_Union[AMTStatus, str]] = ..., feature: _Optional[str] = ...) -> None: ...

class AMTStatusResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ActivationRequest(_message.Message):
    __slots__ = ("host_id",)
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    def __init__(self, host_id: _Optional[str] = ...) -> None: ...

class ActivationDetailsResponse(_message.Message):
    __slots__ = ("host_id", "operation", "profile_name", "action_password")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_NAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    operation: OperationType
    profile_name: str
    action_password: str
    def __init__(self, host_id: _Optional[str] = ..., operation: _Optional[_Union[OperationType, str]] = ..., profile_name: _Optional[str] = ..., action_password: _Optional[str] = ...) -> None: ...

class ActivationResultRequest(_message.Message):
    __slots__ = ("host_id", "activation_status", "message")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    activation_status: ActivationStatus
    message: str
    def __init__(self, host_id: _Optional[str] = ..., activation_status: _Optional[_Union[ActivationStatus, str]] = ..., message: _Optional[str] = ...) -> None: ...

class ActivationResultResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

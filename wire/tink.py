"""Both generations of Tinkerbell's worker protocol in one interpreter: `old.WorkflowContext`, `new.ActionRequest`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import DecodeError, Message

SERVICE = "proto.WorkflowService"
LENGTH_DELIMITED = 2


@dataclass(frozen=True)
class Method:
    """One rpc: where it is called, what goes in and what comes out."""

    path: str
    request: type[Message]
    response: type[Message]
    server_streaming: bool

    def stub(self, channel: Any) -> Any:
        """The callable of this rpc on a channel, of grpc or of grpc.aio."""
        kind = channel.unary_stream if self.server_streaming else channel.unary_unary
        return kind(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )


class Generation:
    """The messages and enums of one generation as attributes, its rpcs in `methods`.

    Each generation lives in a pool of its own, because both declare proto.WorkflowService and one pool refuses that.
    """

    def __init__(self, name: Literal["old", "new"]) -> None:
        self.name = name
        self.methods: dict[str, Method] = {}
        self.pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name(f"tink_{name}.binpb").read_bytes())
        for file in files.file:
            self.pool.Add(file)
        self.file = self.pool.FindFileByName(f"wire/tink_{name}.proto")
        for message in self.file.message_types_by_name.values():
            setattr(self, message.name, message_factory.GetMessageClass(message))
        for enum in self.file.enum_types_by_name.values():
            setattr(self, enum.name, EnumTypeWrapper(enum))
        for method in self.file.services_by_name["WorkflowService"].methods:
            self.methods[method.name] = Method(
                path=f"/{SERVICE}/{method.name}",
                request=message_factory.GetMessageClass(method.input_type),
                response=message_factory.GetMessageClass(method.output_type),
                server_streaming=method.server_streaming,
            )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the {self.name} worker protocol has no {name}")


old = Generation("old")
new = Generation("new")


def report_generation(report: bytes) -> Literal["old", "new"]:
    """Who sent this ReportActionStatus: the one path both generations share.

    Field 4 is a state (varint) with the old worker and the action's id (length-delimited) with the new one. A report
    without it is an old one that says PENDING, which is the default and left out.
    """
    position = 0
    while position < len(report):
        tag, position = _varint(report, position)
        wire_type = tag & 7
        if tag >> 3 == 4:
            return "new" if wire_type == LENGTH_DELIMITED else "old"
        position = _skip(report, position, wire_type)
    return "old"


def parse_report(report: bytes) -> Message:
    """The report as old.WorkflowActionStatus or new.ActionStatusRequest, whichever it is."""
    generation = old if report_generation(report) == "old" else new
    return generation.methods["ReportActionStatus"].request.FromString(report)


def add_to_server(servicer: Any, server: Any) -> None:
    """Serve both generations; `servicer` has a method per rpc, and its ReportActionStatus gets either message."""
    handlers = {}
    for method in [*old.methods.values(), *new.methods.values()]:
        name = method.path.rpartition("/")[2]
        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        handlers[name] = kind(
            getattr(servicer, name),
            # Both answers to a report are empty messages, so one serialiser does for either.
            request_deserializer=parse_report if name == "ReportActionStatus" else method.request.FromString,
            response_serializer=_serialise,
        )
    server.add_registered_method_handlers(SERVICE, handlers)


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
    raise DecodeError("the report ends within a number")


def _skip(data: bytes, position: int, wire_type: int) -> int:
    match wire_type:
        case 0:
            return _varint(data, position)[1]
        case 1:
            return position + 8
        case 2:
            length, position = _varint(data, position)
            return position + length
        case 5:
            return position + 4
    raise DecodeError(f"the report has a field of wire type {wire_type}")

"""The floors' gRPC methods, in the server and with the messages of the heartbeat."""

import grpc

from bench.declare import benches
from wire import hostmgr_pb2 as wire

SERVICE = "bench.Floor"


def add_to(server: grpc.aio.Server) -> None:
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=wire.UpdateInstanceStateStatusByHostGUIDRequest.FromString,
            response_serializer=wire.UpdateInstanceStateStatusByHostGUIDResponse.SerializeToString,
        )
        for bench in benches().values()
        for name, call in bench.calls.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])

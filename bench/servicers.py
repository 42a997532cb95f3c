"""The floors' gRPC methods, in the server and with the messages of the heartbeat."""

import grpc

from bench.declare import benches
from wire import hostmgr_pb2 as wire
from workers.server import Doors

SERVICE = "bench.Floor"


def add_to(server: Doors) -> None:
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=wire.UpdateInstanceStateStatusByHostGUIDRequest.FromString,
            response_serializer=wire.UpdateInstanceStateStatusByHostGUIDResponse.SerializeToString,
        )
        for bench in benches().values()
        for name, call in bench.calls.items()
    }
    server.add_registered_method_handlers(SERVICE, handlers)

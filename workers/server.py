"""The gRPC server behind the southbound door: all services on one port, each call guarded alike, and an orderly end.

A file in an app's servicers/ (or its servicers.py) with `add_to(server)` is served: that is all it takes. Handlers are
coroutines or asynchronous generators, as `workers.southbound.for_nodes` makes them; what they raise becomes a code.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, NoReturn

import grpc
from django.apps import apps
from django.db import DatabaseError, DataError
from google.protobuf import descriptor, descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from prometheus_client import Counter

from inventory import presence
from tenants.request import begin, facts
from wire import tink
from workers import southbound
from workers.southbound import Refusal

log = logging.getLogger(__name__)

CALL_SECONDS = 30  # the longest that a unary call may take, whatever deadline its caller set
GRACE = 5  # seconds in which calls in flight may finish when the server stops: the agents' own limit for one
STREAM_SILENCE = 120  # seconds without a message after which a stream is ended; agents pause for 33 at most
STREAM_BURST, STREAM_PACE = 20, 2  # messages at once, and in a second on average, that one stream may send
STREAMS = 5000  # open at once
LARGEST = 2**20  # bytes of a message
REFUSALS_TOLD = 10  # in the log, a second
WATCH = 5  # seconds between two looks at what the server needs
LOOK_AT_HEALTH = 1  # second between two looks of whoever watches it
ALIVE = ("", "InfraOAMgRPC")  # what health is asked about; the second name is the archived system's

OPTIONS = [
    ("grpc.so_reuseport", 1),
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_concurrent_streams", STREAMS),  # of one connection, which may be a proxy's for many machines
    ("grpc.max_connection_idle_ms", 15 * 60_000),  # without a call: an agent calls at least every five minutes
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.keepalive_time_ms", 60_000),  # a peer that is gone without a word is found out
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]

CALLS = Counter("eim_southbound_calls", "Calls of machines and their agents, by how they ended", ["method", "code"])


class Doors(grpc.GenericRpcHandler):
    """What each add_to(server) is given: it gathers the handlers, so that all are guarded and reflection knows them."""

    def __init__(self) -> None:
        self.methods: dict[str, grpc.RpcMethodHandler] = {}
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    def add_registered_method_handlers(self, service: str, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        for name, handler in handlers.items():
            self.methods[f"/{service}/{name}"] = handler
            self._guarded[f"/{service}/{name}"] = guarded(f"/{service}/{name}", handler)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same once more, in the form that older servers take."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._guarded.get(handler_call_details.method)

    @property
    def services(self) -> list[str]:
        return sorted({path.split("/")[1] for path in self.methods})


def doors() -> Doors:
    """All that the apps' servicers serve."""
    found = Doors()
    for add_to in _servicers():
        add_to(found)
    return found


def _servicers() -> Iterator[Callable[[Doors], None]]:
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.servicers") is None:
            continue
        package = import_module(f"{app.name}.servicers")
        if hasattr(package, "add_to"):
            yield package.add_to
        for module in iter_modules(getattr(package, "__path__", [])):
            yield import_module(f"{package.__name__}.{module.name}").add_to


class Health(health.aio.HealthServicer):
    """The standard service; of the library's own, List is missing, and a limit of who watches. Not guarded as others:

    it needs no database and refuses nobody, and whoever watches does so for long.
    """

    def __init__(self) -> None:
        super().__init__()
        self._server_status = dict.fromkeys(ALIVE, health_pb2.HealthCheckResponse.SERVING)

    async def List(self, request, context):
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request, context):
        """The library's holds a lock while it writes, so that one who doesn't read would stop all that is told."""
        if len(_open_streams) >= STREAMS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many watch, or wait: come again later")
        _open_streams[id(context)], told = None, None
        try:
            while True:
                status = self._server_status.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
                if status != told:
                    await context.write(health_pb2.HealthCheckResponse(status=status))
                    told = status
                if self._gracefully_shutting_down:
                    return
                await asyncio.sleep(LOOK_AT_HEALTH)
        finally:
            _open_streams.pop(id(context), None)


class Server:
    """All doors on one port, which other processes may share."""

    def __init__(self) -> None:
        served = doors()
        names = [*served.services, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflecting = reflection.aio.ReflectionServicer(names, pool=described(names))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflecting, served)
        self._grpc = grpc.aio.server(handlers=[served], options=OPTIONS)
        self._health = Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)

    def listen(self, address: str, tls: grpc.ServerCredentials | None = None) -> int:
        """The port, which is chosen if the address ends in :0. Raises RuntimeError if it can't be had."""
        return self._grpc.add_secure_port(address, tls) if tls else self._grpc.add_insecure_port(address)

    async def start(self) -> None:
        await self._grpc.start()

    async def stop(self, grace: float = GRACE) -> None:
        """No new calls; those in flight finish, if they do so within `grace` seconds. Streams end between messages."""
        for waiting in _open_streams.values():
            if waiting is not None:
                waiting.reschedule(0)
        await self._health.enter_graceful_shutdown()
        await self._grpc.stop(grace)
        await southbound.ears().close()

    async def keep_watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(WATCH)
            await self.look_around()

    async def look_around(self) -> None:
        """Renew what calls are judged by, say that there is a door, and answer health with whether both could be done.

        Without presence calls are answered all the same, only slowly.
        """
        try:
            await southbound.in_database(southbound.renew, poll=True)
            status = health_pb2.HealthCheckResponse.SERVING
        except (DatabaseError, Refusal) as away:
            log.warning("not ready: the database is away", extra={"because": away})
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        try:
            await asyncio.to_thread(presence.door_is_open)
        except presence.Away as away:
            log.warning("presence is away", extra={"because": away})
        for name in ALIVE:
            await self._health.set(name, status)


def described(services: Iterable[str]) -> descriptor_pool.DescriptorPool:
    """What reflection tells of these. Of the two generations of Tinkerbell's worker protocol it tells the newer."""
    pool = descriptor_pool.DescriptorPool()

    def add(file: descriptor.FileDescriptor) -> None:
        for needed in file.dependencies:
            add(needed)
        copy = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copy)
        pool.Add(copy)

    for service in services:
        source = tink.new.pool if service == tink.SERVICE else descriptor_pool.Default()
        try:
            add(source.FindFileContainingSymbol(service))
        except KeyError:
            log.debug("no description", extra={"service": service})
    return pool


# Around each call ----------------------------------------------------------------------------------------------------

_open_streams: dict[int, asyncio.Timeout | None] = {}  # and what ends the wait for the next message


def guarded(path: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    """The same handler: what it raises becomes a code and a sentence, its time is limited, and its end is counted."""
    parse, serialize = handler.request_deserializer, handler.response_serializer
    if handler.request_streaming:
        guard = _stream_stream(path, handler.stream_stream, parse)
        return grpc.stream_stream_rpc_method_handler(guard, response_serializer=serialize)
    if handler.response_streaming:
        guard = _unary_stream(path, handler.unary_stream, parse)
        return grpc.unary_stream_rpc_method_handler(guard, response_serializer=serialize)
    return grpc.unary_unary_rpc_method_handler(_unary(path, handler.unary_unary, parse), response_serializer=serialize)


def _unary(path: str, handler: Callable[..., Awaitable], parse: Callable[[bytes], Any]) -> Callable:
    async def call(message: bytes, context: grpc.aio.ServicerContext):
        begin(request_id=southbound.request_id_of(context), method=path)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await handler(parse(message), context)
        except Exception as fault:  # of whatever kind: its text is ours to read, not the caller's
            await _refuse(path, context, fault)
        _ended_well(path).inc()
        return answer

    return call


def _unary_stream(path: str, handler: Callable[..., AsyncIterator], parse: Callable[[bytes], Any]) -> Callable:
    async def call(message: bytes, context: grpc.aio.ServicerContext):
        begin(request_id=southbound.request_id_of(context), method=path)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                async for answer in handler(parse(message), context):
                    yield answer
        except Exception as fault:  # as above
            await _refuse(path, context, fault)
        _ended_well(path).inc()

    return call


def _stream_stream(path: str, handler: Callable[..., AsyncIterator], parse: Callable[[bytes], Any]) -> Callable:
    async def call(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext):
        begin(request_id=southbound.request_id_of(context), method=path)
        mine = id(context)
        try:
            if len(_open_streams) >= STREAMS:
                raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many machines are waiting: come again later")
            _open_streams[mine] = None
            async for answer in handler(_orderly(mine, messages, parse), context):
                yield answer
        except Exception as fault:  # as above
            await _refuse(path, context, fault)
        finally:
            _open_streams.pop(mine, None)
        _ended_well(path).inc()

    return call


async def _orderly(mine: int, messages: AsyncIterator[bytes], parse: Callable[[bytes], Any]) -> AsyncIterator:
    """The messages of a stream that neither stalls nor floods. Raises Refusal if it does."""
    allowance, last = float(STREAM_BURST), time.monotonic()
    coming = aiter(messages)
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(STREAM_SILENCE) as _open_streams[mine]:
                message = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if time.monotonic() - began < STREAM_SILENCE:
                raise Refusal(grpc.StatusCode.UNAVAILABLE, "The server is being restarted") from None
            raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, f"Nothing said for {STREAM_SILENCE} s") from None
        finally:
            _open_streams[mine] = None
        now = time.monotonic()
        allowance, last = min(allowance + (now - last) * STREAM_PACE, STREAM_BURST) - 1, now
        if allowance < 0:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many messages on one stream: pause between them")
        yield parse(message)


async def _refuse(path: str, context: grpc.aio.ServicerContext, fault: Exception) -> NoReturn:
    """End the call with the code that this fault means. Only a Refusal has a sentence for the caller."""
    match fault:
        case grpc.aio.AbortError():
            CALLS.labels(path, "aborted").inc()
            raise fault
        case Refusal():
            code, sentence = fault.code, fault.sentence
            _tell_refused(code, sentence)
        case DecodeError():
            code, sentence = grpc.StatusCode.INVALID_ARGUMENT, f"The message is not what {path} takes"
        case DataError():
            code, sentence = grpc.StatusCode.INVALID_ARGUMENT, "A number or a text in the message is too large to keep"
        case TimeoutError():
            code, sentence = grpc.StatusCode.DEADLINE_EXCEEDED, f"Not done within {CALL_SECONDS} s"
        case DatabaseError():
            log.warning("the database didn't do its part", extra={"because": fault})
            code, sentence = grpc.StatusCode.UNAVAILABLE, "The server can't reach its data just now"
        case _:
            log.error("a call failed", exc_info=fault)
            code, sentence = grpc.StatusCode.INTERNAL, "An unexpected fault; the server's log has it"
    CALLS.labels(path, code.name).inc()
    await context.abort(code, sentence, (("x-request-id", facts()["request_id"]),))


_told = (0, 0)  # the second in which refusals were told last, and how many


def _tell_refused(code: grpc.StatusCode, sentence: str) -> None:
    """In the log, by the id that the caller is given; not by thousands: the metrics count them all."""
    global _told
    second, count = _told
    now = int(time.monotonic())
    _told = (now, count + 1 if now == second else 1)
    if _told[1] <= REFUSALS_TOLD:
        log.info("refused", extra={"code": code.name, "because": sentence})


def _ended_well(path: str):
    return CALLS.labels(path, "OK")

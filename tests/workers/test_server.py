"""The southbound server as such: what it says of itself, what it bears, and how it begins and ends."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import grpc
import pytest
from django.conf import settings
from django.db import connection
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from eim_project import embedded
from tenants.request import facts
from wire import hostmgr_pb2
from workers import server, southbound

CODE = grpc.StatusCode
BEAT = "/hostmgr_southbound_proto.Hostmgr/UpdateInstanceStateStatusByHostGUID"
STREAM = "/onboardingmgr.v1.NonInteractiveOnboardingService/OnboardNodeStream"


def refusal_of(call, *args, **kwargs) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        answer = call(*args, **kwargs)
        list(answer)  # of a stream
    return refused.value.code(), refused.value.details()


@pytest.fixture
def channel(southbound_address):
    with grpc.insecure_channel(southbound_address) as channel:
        yield channel


def counted(method: str, code: str) -> float:
    return REGISTRY.get_sample_value("eim_southbound_calls_total", {"method": method, "code": code}) or 0


def test_health_answers_and_lists(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    listed = stub.List(health_pb2.HealthListRequest(), timeout=10).statuses
    assert {*listed} == {"", "InfraOAMgRPC"}
    for name in listed:
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_knows_every_service(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="*")]
    [answer] = stub.ServerReflectionInfo(iter(asked), timeout=10)
    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= {path.split("/")[1] for path in server.doors().methods}
    asked = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in sorted(listed)]
    answers = list(stub.ServerReflectionInfo(iter(asked), timeout=10))
    assert len(answers) == len(listed) and not any(answer.HasField("error_response") for answer in answers)


def test_what_is_no_such_message_is_refused_and_counted(channel):
    before = counted(BEAT, "INVALID_ARGUMENT")
    call = channel.unary_unary(BEAT)
    for broken in (b"\xff\xff\xff", b"\x0a\xff\x01x", b"\x0a\x02\xc3\x28"):
        code, why = refusal_of(lambda message: call(message, timeout=10), broken)
        assert code == CODE.INVALID_ARGUMENT and "Traceback" not in why
    assert counted(BEAT, "INVALID_ARGUMENT") == before + 3


@pytest.mark.parametrize("given", ["of-a-proxy-0001", ""])
def test_a_refusal_is_found_in_the_log_by_the_id_that_its_caller_is_given(channel, caplog, given):
    caplog.set_level("INFO")
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(BEAT)(b"", metadata=[("x-request-id", given)] if given else [], timeout=30)
    told = dict(refused.value.trailing_metadata())["x-request-id"]
    assert told == given or (not given and len(told) == 16)
    [line] = [record for record in caplog.records if record.getMessage() == "refused"]
    assert (line.code, line.because) == ("UNAUTHENTICATED", "A bearer token is needed")


def test_lines_of_a_call_have_its_id_and_method_also_those_of_its_database_work(public, caplog):
    """They are made where the log is written, on the thread that writes."""
    said = []

    def work():
        said.append(facts())

    async def asks(request, context):
        await southbound.in_database(work)
        return b"done"

    assert asyncio.run(_call(asks, metadata=[("x-request-id", "12345678")])) == b"done"
    [bound] = said
    assert (bound["request_id"], bound["method"], bound["schema"]) == ("12345678", "/tests.Service/Call", "public")


def test_of_many_refusals_in_a_second_not_all_are_told(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    for _ in range(100):
        server._tell_refused(CODE.UNAVAILABLE, "come again")
    assert [record.getMessage() for record in caplog.records].count("refused") == server.REFUSALS_TOLD


def test_a_message_that_is_too_large_is_refused(channel):
    huge = hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDRequest(provider_status_detail="x" * server.LARGEST)
    code, _ = refusal_of(channel.unary_unary(BEAT), huge.SerializeToString(), timeout=10)
    assert code == CODE.RESOURCE_EXHAUSTED


def test_a_method_that_there_is_not_is_unimplemented(channel):
    call = channel.unary_unary("/hostmgr_southbound_proto.Hostmgr/Nothing")
    assert refusal_of(call, b"", timeout=10)[0] == CODE.UNIMPLEMENTED


async def _call(method, message=b"", metadata=()):
    """One call of a server of our own, whose handler is this coroutine or generator."""
    doors = server.Doors()
    kind = grpc.stream_stream_rpc_method_handler if "stream" in method.__name__ else grpc.unary_unary_rpc_method_handler
    handler = kind(method, request_deserializer=bytes, response_serializer=bytes)
    doors.add_registered_method_handlers("tests.Service", {"Call": handler})
    served = grpc.aio.server(handlers=[doors])
    port = served.add_insecure_port("127.0.0.1:0")
    await served.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                if "stream" in method.__name__:
                    call = channel.stream_stream("/tests.Service/Call")(message)
                    return [answer async for answer in call]
                call = channel.unary_unary("/tests.Service/Call")
                return await call(message, metadata=metadata, timeout=20)
            except grpc.aio.AioRpcError as refused:
                return refused.code(), refused.details()
    finally:
        await served.stop(0)


def test_what_nobody_expected_is_told_to_the_log_and_not_to_the_caller(caplog):
    async def fails(request, context):
        raise RuntimeError("the password is hunter2")

    code, why = asyncio.run(_call(fails))
    assert (code, why) == (CODE.INTERNAL, "An unexpected fault; the server's log has it")
    assert "hunter2" in caplog.text


def test_no_call_takes_for_ever(monkeypatch):
    monkeypatch.setattr(server, "CALL_SECONDS", 0.1)

    async def hangs(request, context):
        await asyncio.sleep(60)

    assert asyncio.run(_call(hangs)) == (CODE.DEADLINE_EXCEEDED, "Not done within 0.1 s")


async def echo_stream(requests, context):
    async for request in requests:
        yield request


def test_a_stream_that_stalls_is_ended(monkeypatch):
    monkeypatch.setattr(server, "STREAM_SILENCE", 0.1)

    async def stalling():
        yield b"x"
        await asyncio.sleep(60)

    assert asyncio.run(_call(echo_stream, stalling())) == (CODE.DEADLINE_EXCEEDED, "Nothing said for 0.1 s")


def test_a_stream_that_floods_is_ended():
    async def flooding():
        for _ in range(10_000):
            yield b"x"

    before = counted("/tests.Service/Call", "RESOURCE_EXHAUSTED")
    asyncio.run(_call(echo_stream, flooding()))  # what it is told depends on what it is at just then
    assert counted("/tests.Service/Call", "RESOURCE_EXHAUSTED") == before + 1


def test_streams_without_end_are_not_opened(monkeypatch):
    monkeypatch.setattr(server, "STREAMS", 0)

    async def one():
        yield b"x"

    assert asyncio.run(_call(echo_stream, one()))[0] == CODE.RESOURCE_EXHAUSTED
    assert not server._open_streams


def test_a_caller_more_than_can_be_served_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr(southbound, "_busy", southbound.AT_ONCE)

    async def asks(request, context):
        return await southbound.in_database(int)

    assert asyncio.run(_call(asks))[0] == CODE.UNAVAILABLE


def test_an_agent_that_would_be_answered_too_late_is_told_to_come_again_and_nothing_is_done(public):
    """Whoever is answered when it has gone comes again, and then there is twice as much to do."""
    done, holds = [], threading.Event()

    async def ask():
        held = [asyncio.create_task(southbound.in_database(holds.wait)) for _ in range(southbound.THREADS)]
        late = asyncio.create_task(southbound.in_database(done.append, "late", patience=0.01))
        waits = asyncio.create_task(southbound.in_database(done.append, "in time"))
        await asyncio.sleep(0.05)
        holds.set()
        await asyncio.gather(*held, waits)
        with pytest.raises(southbound.Refusal) as refused:
            await late
        return refused.value.code

    assert asyncio.run(ask()) == CODE.UNAVAILABLE
    assert done == ["in time"]


def test_thousands_of_connections_that_say_nothing_disturb_nobody(southbound_address, channel):
    host, port = southbound_address.split(":")
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2000)]
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        for one in idle:
            one.close()


def test_a_stop_finishes_calls_in_flight_and_ends_streams_that_wait(monkeypatch):
    slow, waiting = asyncio.Event(), asyncio.Event()

    async def takes_a_while(request, context):
        slow.set()
        await asyncio.sleep(0.5)
        return b"done"

    async def waits(requests, context):
        async for _ in requests:
            waiting.set()
            yield b"go on"

    doors = server.Doors()
    doors.add_registered_method_handlers("tests.Service", {
        "Slow": grpc.unary_unary_rpc_method_handler(takes_a_while, bytes, bytes),
        "Wait": grpc.stream_stream_rpc_method_handler(waits, bytes, bytes),
    })  # fmt: skip
    monkeypatch.setattr(server, "doors", lambda: doors)

    async def stop_meanwhile():
        served = server.Server()
        port = served.listen("127.0.0.1:0")
        await served.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = channel.stream_stream("/tests.Service/Wait")()
            await stream.write(b"x")
            assert await stream.read() == b"go on"
            call = channel.unary_unary("/tests.Service/Slow")(b"", timeout=10)
            ending = asyncio.create_task(finish(call))
            await slow.wait()
            began = time.monotonic()
            await served.stop()
            return await ending, await stream.code(), time.monotonic() - began

    async def finish(call):
        return await call

    answer, ended, seconds = asyncio.run(stop_meanwhile())
    assert (answer, ended) == (b"done", CODE.UNAVAILABLE) and seconds < server.GRACE


def test_whoever_watches_its_health_hears_that_it_stops():
    """So that nobody is sent here any more while the calls in flight finish."""
    Response = health_pb2.HealthCheckResponse

    async def watch():
        served = server.Server()
        port = served.listen("127.0.0.1:0")
        await served.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(60):
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in server.ALIVE]
            assert [(await told.read()).status for told in watches] == [Response.SERVING] * 2
            stopping = asyncio.create_task(served.stop(30))
            heard = [(await told.read()).status for told in watches]
            await stopping  # for which no watch is waited
            return heard

    assert asyncio.run(watch()) == [Response.NOT_SERVING] * 2


def test_several_processes_share_a_port_over_tls_1_3_and_end_together(django_db_setup):
    port = embedded.free_port()
    command = [sys.executable, "manage.py", "southbound", "--address", f"127.0.0.1:{port}", "--processes", "2"]
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + connection.settings_dict["NAME"]).geturl()
    parent = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=os.environ | {"DATABASE_URL": database}, stderr=subprocess.PIPE, text=True
    )
    try:
        listening = (line for line in iter(parent.stderr.readline, "") if "southbound listens" in line)
        assert next(listening) and next(listening)
        trust = ssl.create_default_context(cafile=settings.EIM_CA_FILE)
        trust.minimum_version = ssl.TLSVersion.TLSv1_3
        trust.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with plain, trust.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            assert (secured.version(), secured.selected_alpn_protocol()) == ("TLSv1.3", "h2")
        parent.terminate()
        assert parent.wait(60) == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
    finally:
        parent.terminate()
        parent.wait(60)
        parent.stderr.close()

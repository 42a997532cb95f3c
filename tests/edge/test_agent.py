"""The node agent: what it tells, how often, and what it does when nobody wants to hear it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest

from edge import factory
from edge.agent.node import Agent, variables
from tests.edge.orchestrator import until
from wire import hostmgr_pb2 as hm

pytestmark = pytest.mark.anyio
GUID = factory.identity(1).uuid


@asynccontextmanager
async def reporting(orchestrator, token, heard):
    agent = Agent(
        orchestrator.server,
        token,
        GUID,
        lambda: factory.hardware(1),
        heartbeat=timedelta(seconds=0.05),
        watch=lambda told, trouble: heard.append((told, trouble)),
    )
    running = asyncio.create_task(agent.run())
    try:
        yield
    finally:
        running.cancel()


async def test_it_says_running_again_and_again_and_its_hardware(orchestrator, token):
    async with reporting(orchestrator, token, heard := []):
        await until(lambda: len(orchestrator.heartbeats) >= 3 and orchestrator.hardware)
    beat = orchestrator.heartbeats[0]
    assert (beat.host_guid, beat.instance_state, beat.instance_status) == (
        GUID,
        hm.INSTANCE_STATE_RUNNING,
        hm.INSTANCE_STATUS_RUNNING,
    )
    assert orchestrator.hardware[0].system_info == factory.hardware(1)
    assert {("heartbeat", ""), ("hardware", "")} <= set(heard)


async def test_a_server_that_does_not_want_it_yet_is_asked_until_it_does(orchestrator, token):
    call = "UpdateInstanceStateStatusByHostGUID"
    orchestrator.troubles[call] = [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE]
    async with reporting(orchestrator, token, heard := []):
        await until(lambda: orchestrator.heartbeats)
        assert ("heartbeat", f"FAILED_PRECONDITION: scripted trouble with {call}") in heard


async def test_a_refused_token_is_replaced_and_a_refused_secret_is_tried_again(orchestrator, token):
    orchestrator.token_status = 401
    async with reporting(orchestrator, token, heard := []):
        await until(lambda: any("the token service refused" in trouble for _, trouble in heard))
        orchestrator.token_status = 200
        orchestrator.troubles["UpdateInstanceStateStatusByHostGUID"] = [grpc.StatusCode.UNAUTHENTICATED]
        await until(lambda: orchestrator.heartbeats)
        assert len(orchestrator.authorizations) == 2


async def test_it_finds_a_restarted_server_again(orchestrator, token):
    async with reporting(orchestrator, token, []):
        await until(lambda: orchestrator.heartbeats)
        await orchestrator.stop()
        orchestrator.heartbeats.clear()
        await orchestrator.start()
        await until(lambda: orchestrator.heartbeats)


async def test_agent_variables_are_lines_of_key_and_value():
    assert variables('# who\nGUID=1\nEIM_URL="https://h:1/?a=b"\n\nnothing\n') == {
        "GUID": "1",
        "EIM_URL": "https://h:1/?a=b",
    }

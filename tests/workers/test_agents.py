"""The four agents of simulated machines, against the real server: their calls, and what may go wrong with them."""

import asyncio
import time

import pytest
from django.conf import settings
from django.db import connection

from edge import agents, factory, link
from edge.agents import Agent, Clock, Fault, obey
from inventory import presence
from tests.conftest import settle
from tests.southbound import Node, registered, wanted
from wire import hostmgr_pb2 as hm
from wire import maintmgr_pb2 as mm
from workers.management.commands.southbound import tls_credentials
from workers.server import Server, doors

SERVED = {agent for agent in Agent if agents.PATHS[agent] in doors().methods}


@pytest.fixture
def machines(southbound_address, there):
    """Two installed machines, as the server knows them, and as the simulation does."""
    made = []
    for number in (1, 2):
        node = Node(southbound_address, serial=f"FLEET0000{number}")
        node.instance = wanted(registered(node))
        node.onboard()
        settle()
        node.work_through()
        settle()
        made.append(node)
    return made


async def simulate(machines, until, faster=300.0, faults=(), beginners=agents.BEGINNERS):
    """Run their agents over TLS until this holds, of the clock."""
    served = Server()
    port = served.listen("127.0.0.1:0", tls_credentials(settings.EIM_TLS_CERT, settings.EIM_TLS_KEY))
    await served.start()
    ended = asyncio.Event()
    clock = Clock(2, faster=faster, beginners=beginners, watch=lambda *_: ended.set() if until(clock) else None)
    server = link.Server("", str(settings.EIM_CA_FILE), f"127.0.0.1:{port}")
    for number, machine in enumerate(machines):
        token = link.Token(server, "", "", machine.token)
        clock.add(agents.Node(number, str(machine.uuid), server, token, factory.hardware(number + 1)))
    for fault, count in faults:
        clock.fault(fault, count)
    running = asyncio.create_task(clock.run())
    try:
        async with asyncio.timeout(60):
            await ended.wait()
    finally:
        running.cancel()
        await clock.close()
        await served.stop(1)
    return clock


def test_all_four_agents_of_each_machine_are_heard(machines):
    clock = asyncio.run(simulate(machines, lambda clock: all(node.told == SERVED for node in clock.nodes)))
    assert {name for name in clock.counts if not name.endswith((" OK", " UNIMPLEMENTED"))} == set()
    for machine in machines:
        machine.instance.refresh_from_db()
        assert machine.instance.host.host_status == machine.instance.instance_status == "Running"
        assert machine.instance.host.product_name == "Simulated Edge Node"
    told = clock.told()
    assert told["nodes"] == 2 and told["p99_ms"] > 0


def test_who_is_silent_says_nothing_and_who_is_well_again_does(machines):
    def heard(clock):
        return clock.nodes[1].told == SERVED

    clock = asyncio.run(simulate(machines, heard, faults=[(Fault.SILENT, 1)]))
    assert clock.nodes[0].told == set()
    silent, speaking = machines
    assert presence.last_seen(connection.schema_name, silent.uuid) is None
    assert presence.last_seen(connection.schema_name, speaking.uuid) is not None
    assert obey(clock, "well") == "all are well"
    assert not clock.nodes[0].faults


def nodes_without_a_server(count: int, *faults: Fault):
    return [agents.Node(number, "x", None, None, factory.hardware(number), faults) for number in range(count)]


@pytest.mark.parametrize("moment", range(6))
def test_a_clock_ends_when_it_is_stopped_also_while_it_is_being_woken(moment):
    """Thousands of nodes wake it all the time."""

    async def stopped():
        clock = Clock(1)
        running = asyncio.create_task(clock.run())
        await asyncio.sleep(0.01)
        clock.add(*nodes_without_a_server(1, Fault.SILENT))
        for _ in range(moment):
            await asyncio.sleep(0)
        running.cancel()
        ended, _ = await asyncio.wait([running], timeout=1)
        return running in ended and running.cancelled()

    assert asyncio.run(stopped())


def test_a_fleet_comes_up_as_fast_as_its_server_lets_it_in(machines):
    """What nobody knows yet costs many times what was said before: all at once would be too much for any server."""
    clock = asyncio.run(simulate(machines, lambda clock: clock.told()["begun"] == 1, beginners=1))
    assert [node.told == SERVED for node in clock.nodes] == [True, False]


def test_faults_are_typed(machines):
    clock = Clock(1)
    assert "say one of silent, flapping" in obey(clock, "dance 3\n")
    assert obey(clock, "slow 5\n") == "0 nodes are slow"
    assert '"nodes": 0' in obey(clock, "told")


def test_one_that_flaps_speaks_at_times_and_one_with_a_wrong_serial_says_so():
    node = agents.Node(7, "x", None, None, factory.hardware(7), [Fault.FLAPPING, Fault.WRONG_SERIAL])
    assert [node.is_silent(turn) for turn in range(7)] == [True, True, True, True, False, False, True]
    report = hm.UpdateHostSystemInfoByGUIDRequest.FromString(node.report(Agent.HARDWARE))
    assert report.system_info.hw_info.serial_num == "WRONG00007"


def offer(**window) -> mm.PlatformUpdateStatusResponse:
    return mm.PlatformUpdateStatusResponse(
        os_type=mm.PlatformUpdateStatusResponse.OS_TYPE_IMMUTABLE,
        os_profile_update_source=mm.OSProfileUpdateSource(os_image_id="2", os_image_sha="ab", profile_name="emt"),
        update_schedule=mm.UpdateSchedule(**window),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_an_update_goes_through_its_states_once_and_reports_its_image(fails):
    now, update, told = int(time.time()), agents.Update(), []
    answer = offer(single_schedule=mm.SingleSchedule(start_seconds=now - 60, end_seconds=now + 3600))
    for _ in range(8):
        told.append(mm.PlatformUpdateStatusRequest.FromString(update.report("x")).update_status)
        update.hear(answer, fails)
    names = [mm.UpdateStatus.StatusType.Name(each.status_type).removeprefix("STATUS_TYPE_") for each in told]
    ended = "FAILED" if fails else "UPDATED"
    assert names == ["UP_TO_DATE", "DOWNLOADING", "DOWNLOADED", "STARTED", ended, *["UP_TO_DATE"] * 3]
    assert {each.os_image_id for each in told[4 if not fails else 8 :]} == (set() if fails else {"2"})


def test_outside_its_window_no_update_begins():
    update, now = agents.Update(), int(time.time())
    for window in (
        {},
        {"single_schedule": mm.SingleSchedule(start_seconds=now + 60, end_seconds=now + 3600)},
        {"repeated_schedules": [mm.RepeatedSchedule(cron_month=str(1 + time.gmtime(now).tm_mon % 12))]},
    ):
        update.hear(offer(**window), False)
        assert not update.goes_on
    update.hear(offer(repeated_schedules=[mm.RepeatedSchedule(cron_minutes="*", cron_hours="*")]), False)
    assert update.goes_on

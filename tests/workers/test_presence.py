"""Who falls silent has no connection, and nobody else: whatever is restarted or lost meanwhile."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import presence
from inventory.models import Indicator, Status
from tenants.models import User
from tests.conftest import client_of, settle
from tests.southbound import Node, registered, wanted
from wire import hostmgr_pb2 as hm
from workers import silence, tasks
from workers.models import Heard

NOW = 'return tonumber(redis.call("TIME")[1])'


@pytest.fixture
def memory():
    """The Redis database of presence, emptied, with a door that has been open for long."""
    memory = redis.Redis.from_url(settings.PRESENCE_URL, decode_responses=True)
    memory.flushdb()
    silence.presence.is_there_again()
    presence.door_is_open()
    memory.delete("grace")
    return memory


@pytest.fixture
def node(southbound_address, there, memory):
    """An installed machine that has sent a heartbeat."""
    return running(southbound_address, "SN0000001")


def running(address, serial) -> Node:
    node = Node(address, serial=serial)
    node.instance = wanted(registered(node))
    node.onboard()
    settle()
    node.work_through()
    settle()
    node.heartbeat()
    node.instance.refresh_from_db()
    node.host = node.instance.host
    return node


def status(node) -> str:
    node.host.refresh_from_db()
    return node.host.host_status


def fall_silent(memory, *nodes) -> None:
    """As if their time were over."""
    past = memory.eval(NOW, 0) - 1
    memory.zadd("due", {f"{connection.schema_name} {node.uuid}": past for node in nodes})


def test_a_host_that_is_silent_has_no_connection_until_it_is_heard_again(node, memory):
    assert (silence.mark(), status(node)) == (0, "Running")
    fall_silent(memory, node)
    assert (silence.mark(), status(node)) == (1, "No Connection")
    assert node.host.host_status_indicator == Indicator.ERROR
    assert (silence.mark(), memory.zcard("due")) == (0, 0)  # and nobody waits for it any more
    node.heartbeat()  # the same that it said before
    assert status(node) == "Running"
    assert memory.zcard("due") == 1


def test_the_time_is_three_periods_and_settable(node, memory, settings):
    due = memory.zscore("due", f"{connection.schema_name} {node.uuid}")
    assert 80 < due - memory.eval(NOW, 0) <= 90
    settings.HEARTBEAT_SECONDS, settings.HEARTBEATS_MISSED = 10, 2
    node.heartbeat()
    due = memory.zscore("due", f"{connection.schema_name} {node.uuid}")
    assert 10 < due - memory.eval(NOW, 0) <= 20


def test_many_that_fall_silent_at_once_are_marked_in_a_constant_number_of_statements(node, memory, southbound_address):
    nodes = [node, *(running(southbound_address, f"SN100000{number}") for number in range(3))]
    counts = []
    for group in (nodes[:1], nodes[1:]):
        fall_silent(memory, *group)
        with CaptureQueriesContext(connection) as asked:
            assert silence.mark() == len(group)
        counts.append(len(asked))
        assert {status(node) for node in group} == {"No Connection"}
    assert counts[0] == counts[1]


def test_the_tick_marks_whoever_is_silent(node, memory):
    fall_silent(memory, node)
    tasks.tick()
    assert status(node) == "No Connection"


def test_a_host_that_speaks_while_it_is_being_marked_is_not_marked(node, memory):
    fall_silent(memory, node)
    lease, hosts = presence.sweep(10)
    assert hosts == [(connection.schema_name, node.uuid)]
    node.heartbeat()
    assert silence._mark(lease, connection.schema_name, [node.uuid]) == 0
    assert (status(node), memory.zcard("due")) == ("Running", 1)


def test_a_sweeper_that_dies_leaves_the_host_to_the_next(node, memory):
    fall_silent(memory, node)
    presence.sweep(10)
    assert presence.sweep(10)[1] == []  # it has its lease
    fall_silent(memory, node)  # which is over
    assert (silence.mark(), status(node)) == (1, "No Connection")


def test_a_host_that_is_being_updated_may_be_silent_for_a_while_and_not_for_ever(node, memory):
    node.instance.observe(update_status=Status("Updating", Indicator.IN_PROGRESS))
    fall_silent(memory, node)
    assert (silence.mark(), status(node)) == (0, "Running")
    assert memory.zcard("due") == 1  # it is looked at again
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_instance SET update_status_timestamp = update_status_timestamp - 3601")
    fall_silent(memory, node)
    assert (silence.mark(), status(node)) == (1, "No Connection")
    node.heartbeat()  # while it is still being updated
    assert status(node) == "Running"


@pytest.mark.parametrize("text", ["Unknown", "Rebooting", "Invalidated"])
def test_a_status_that_says_something_else_is_not_written_over(node, memory, text):
    node.host.observe(host_status=Status(text))
    fall_silent(memory, node)
    assert (silence.mark(), status(node), memory.zcard("due")) == (0, text, 0)


def test_silence_counts_only_while_there_is_a_door(node, memory):
    fall_silent(memory, node)
    memory.set("open", memory.eval(NOW, 0) - presence.DOOR_GAP - 1)
    assert (silence.mark(), status(node)) == (0, "Running")
    presence.door_is_open()  # the server is back: everybody has the whole time once more
    assert (silence.mark(), status(node)) == (0, "Running")
    assert 80 < int(memory.get("grace")) - memory.eval(NOW, 0) <= 90
    memory.set("grace", memory.eval(NOW, 0) - 1)
    assert (silence.mark(), status(node)) == (1, "No Connection")


def test_after_redis_has_forgotten_everything_hosts_are_waited_for_again(node, memory, southbound_address):
    never = Node(southbound_address, serial="SN0000002")
    registered(never)
    seen = presence.last_seen(connection.schema_name, node.uuid)
    assert silence.remember() == 1
    assert silence.remember() == 0  # nobody was heard from since
    memory.flushdb()
    assert silence.remember() == 0  # what is known is not written over with what isn't
    assert silence.restore_if_lost()
    assert not silence.restore_if_lost()
    assert presence.last_seen(connection.schema_name, node.uuid) == seen
    assert memory.zrange("due", 0, -1) == [f"{connection.schema_name} {node.uuid}"]
    presence.door_is_open()
    memory.delete("grace")
    fall_silent(memory, node)
    assert (silence.mark(), status(node)) == (1, "No Connection")


def test_a_host_that_came_after_the_last_snapshot_is_waited_for_too(node, memory):
    memory.flushdb()
    assert not Heard.objects.exists()
    assert silence.restore_if_lost()
    assert memory.zcard("due") == 1
    assert presence.last_seen(connection.schema_name, node.uuid) is None


def test_what_could_not_be_written_down_is_news_when_it_comes_again_and_nothing_else(memory):
    host = uuid4()
    beat, disks = presence.Report(host, presence.BEAT, "1 1 fine"), presence.Report(host, "system_info disks", "ab")

    async def tell():
        ears = presence.Ears()
        heard = [await ears.hear("t_1", report) for report in (beat, disks, beat, disks)]
        await ears.forget("t_1", disks)
        heard += [await ears.hear("t_1", report) for report in (beat, disks, disks)]
        await ears.close()
        return heard

    assert asyncio.run(tell()) == [True, True, False, False, False, True, False]


def test_many_that_speak_at_once_are_heard_in_few_commands(memory):
    reports = [presence.Report(uuid4(), presence.BEAT, "1 1 fine") for _ in range(100)]

    def commands() -> int:
        told = memory.info("commandstats")
        return sum(told.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

    async def tell():
        ears = presence.Ears()
        await ears.hear("t_1", reports[0])  # which makes the connection
        before = commands()
        assert all(await asyncio.gather(*(ears.hear("t_1", report) for report in reports[1:])))
        await ears.close()
        return commands() - before

    assert asyncio.run(tell()) == 1


def test_without_redis_heartbeats_are_compared_with_postgres_and_nobody_is_marked(node, memory, monkeypatch):
    from workers import southbound

    away = redis.asyncio.Redis.from_url("redis://127.0.0.1:1")
    for ears in southbound.ears.made.values():  # of each server that tests have started
        monkeypatch.setattr(ears, "_hear", away.register_script(presence._HEAR))
    node.heartbeat(hm.INSTANCE_STATUS_ERROR)
    assert status(node) == "Error"
    node.heartbeat()
    assert status(node) == "Running"


def test_a_host_or_a_tenant_that_is_gone_is_forgotten(node, memory):
    schema = connection.schema_name
    assert presence.last_seen(schema, node.uuid)
    presence.forget_host(schema, node.uuid)
    assert (presence.last_seen(schema, node.uuid), memory.zcard("due")) == (None, 0)
    node.heartbeat()
    presence.forget_tenant(schema)
    assert presence.last_seen(schema, node.uuid) is None
    memory.zadd("due", {f"t_gone {uuid4()}": 1})
    assert (silence.mark(), memory.zcard("due")) == (0, 1)  # that of the tenant that isn't there went


def test_an_instance_that_is_gone_ends_the_heartbeats_of_its_host(node):
    from inventory.models import InstanceState

    node.instance.ask(state=InstanceState.DELETED)
    settle()
    with pytest.raises(Exception, match="FAILED_PRECONDITION"):
        node.heartbeat()


def test_when_a_host_was_last_seen_is_told_by_rest_and_in_the_admin(node, memory, there, client):
    api = client_of(there, "im-r")
    told = api.get(f"{api.base}/compute/hosts/{node.host.resource_id}/presence").json()
    seen = presence.last_seen(connection.schema_name, node.uuid)
    assert told["hostStatus"] == "Running" and told["silentAfterSeconds"] == 90
    assert datetime.fromisoformat(told["lastSeen"]).timestamp() == seen
    client.force_login(User.objects.create_superuser(f"root{uuid4().hex[:8]}"))
    page = client.get(f"/p/{there.name}/admin/inventory/host/{node.host.pk}/change/").content.decode()
    assert "Last seen" in page and datetime.fromtimestamp(seen, UTC).strftime("%Y") in page
    memory.flushdb()
    assert api.get(f"{api.base}/compute/hosts/{node.host.resource_id}/presence").json()["lastSeen"] is None

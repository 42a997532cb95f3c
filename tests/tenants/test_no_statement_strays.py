"""Twenty tenants at once, over request threads, asyncio gRPC, open streams and Celery tasks: no statement strays.

Each statement of each connection is watched: what search_path really is, when it runs, must be the schema that the
connection is taken to be in. At the end each tenant has just what was written in its name.
"""

import asyncio
import os
import random
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django_tenants.utils import schema_context
from psycopg.pq import TransactionStatus

from inventory.models import Host, HostState, InstanceState, Region, Status
from tenants import credentials
from tests.conftest import client_of, fresh_project
from tests.southbound import MAC, Node, close_connections, registered, wanted
from wire import hostmgr_pb2, onboarding_pb2
from workers import tasks

TENANTS = 20
SECONDS = 6
REQUEST_THREADS, TASK_THREADS = 4, 2
TENANTS_TABLE = re.compile(r'"?inventory_\w+')


class Witness:
    """Looks where each statement of this process runs."""

    def __init__(self):
        self.strayed: list[str] = []
        self.statements = Counter()  # of a tenant's tables, by schema

    def __call__(self, execute, sql, params, many, context):
        django, session = context["connection"], context["connection"].connection
        is_moving = sql.startswith("SET search_path")  # as django-tenants does before the statement that it is about
        if not is_moving and session.info.transaction_status != TransactionStatus.INERROR:
            path = session.execute("SHOW search_path").fetchone()[0].split(",")[0].strip('" ')
            if path != django.schema_name:
                self.strayed.append(f"in {path} instead of {django.schema_name}: {sql[:80]}")
            if TENANTS_TABLE.search(sql):
                self.statements[path] += 1
        return execute(sql, params, many, context)

    def watch(self, connection, **_):
        connection.execute_wrappers.append(self)

    @contextmanager
    def watching(self):
        """All connections that are opened within; those of this thread and of the southbound pool are opened anew."""
        connection.close()
        close_connections()
        connection_created.connect(self.watch)
        try:
            yield self
        finally:
            connection_created.disconnect(self.watch)
            connection.close()
            close_connections()
            for wrapped in connections.all():
                wrapped.execute_wrappers[:] = [w for w in wrapped.execute_wrappers if w is not self]


class Tenant:
    """A project, its client, and two of its machines: one that is installed, and one that was only registered."""

    def __init__(self, project, address: str):
        self.project, self.name = project, project.name
        self.written = 0
        with schema_context(project.schema_name):
            self.node = Node(address, serial=f"A{self.name.upper()}")
            host = registered(self.node)
            instance = wanted(host)
            host.observe(state=HostState.ONBOARDED)
            instance.observe(
                state=InstanceState.RUNNING, provisioning_status=Status("Provisioned"), instance_status=Status("")
            )
            self.newcomer = Node(address, serial=f"B{self.name.upper()}")
            registered(self.newcomer, state=HostState.REGISTERED)
            self.node.log_in(*credentials.issue(self.node.uuid))
        self.api = client_of(project, "im-rw")

    def use_the_api(self) -> None:
        made = self.api.post(f"{self.api.base}/regions", {"name": f"{self.name} {time.monotonic_ns()}"})
        assert made.status_code == 200, made.content
        self.written += 1
        listed = self.api.get(f"{self.api.base}/regions").json()["regions"]
        assert listed and {region["name"].split()[0] for region in listed} == {self.name}
        hosts = self.api.get(f"{self.api.base}/compute/hosts").json()["hosts"]
        assert {host["serialNumber"][1:] for host in hosts} == {self.name.upper()}

    async def report(self, channel) -> None:
        call = channel.unary_unary(
            "/hostmgr_southbound_proto.Hostmgr/UpdateHostSystemInfoByGUID",
            request_serializer=hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest.SerializeToString,
            response_deserializer=hostmgr_pb2.UpdateHostSystemInfoByGUIDResponse.FromString,
        )
        info = hostmgr_pb2.SystemInfo(bios_info=hostmgr_pb2.BiosInfo(vendor=self.name, version=str(random.random())))
        await call(
            hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest(host_guid=str(self.node.uuid), system_info=info),
            **self.node.auth,
        )

    async def stay_on_the_stream(self, channel, until: float) -> None:
        call = channel.stream_stream(
            "/onboardingmgr.v1.NonInteractiveOnboardingService/OnboardNodeStream",
            request_serializer=onboarding_pb2.OnboardNodeStreamRequest.SerializeToString,
            response_deserializer=onboarding_pb2.OnboardNodeStreamResponse.FromString,
        )()
        request = onboarding_pb2.OnboardNodeStreamRequest(
            uuid=str(self.newcomer.uuid), serialnum=self.newcomer.serial, mac_id=MAC, host_ip="10.0.0.5"
        )
        while time.monotonic() < until:
            await call.write(request)
            answer = await call.read()
            assert answer.project_id == str(self.project.uuid), answer
            await asyncio.sleep(random.uniform(0, 0.2))
        await call.done_writing()


@pytest.fixture
def twenty(southbound_address, django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), ExitStack() as projects:
        yield [Tenant(projects.enter_context(fresh_project()), southbound_address) for _ in range(TENANTS)]


def in_threads(count: int, until: float, work, failures: list) -> list[threading.Thread]:
    def go():
        try:
            while time.monotonic() < until:
                work()
        except BaseException as failure:
            failures.append(failure)  # raised by the test: a thread of its own would only print it
        finally:
            connections.close_all()

    return [threading.Thread(target=go) for _ in range(count)]


async def machines(tenants: list[Tenant], address: str, until: float) -> None:
    async with grpc.aio.insecure_channel(address) as channel:

        async def report_on_and_on():
            while time.monotonic() < until:
                await random.choice(tenants).report(channel)

        streams = (tenant.stay_on_the_stream(channel, until) for tenant in tenants)
        await asyncio.gather(*streams, *(report_on_and_on() for _ in range(8)))


def one_task() -> None:
    random.choice([tasks.wake, tasks.tick, lambda: tasks.run.apply(args=("reconcile",), throw=True)])()


@pytest.mark.timeout(180)
def test_no_statement_of_twenty_tenants_strays(twenty, southbound_address):
    seed = int(os.environ.get("STRAY_SEED") or random.randrange(10**6))
    print(f"STRAY_SEED={seed}")
    random.seed(seed)
    failures: list[BaseException] = []
    with Witness().watching() as witness:
        until = time.monotonic() + SECONDS
        threads = in_threads(REQUEST_THREADS, until, lambda: random.choice(twenty).use_the_api(), failures)
        threads += in_threads(TASK_THREADS, until, one_task, failures)
        for thread in threads:
            thread.start()
        try:
            asyncio.run(machines(twenty, southbound_address, until))
        finally:
            for thread in threads:
                thread.join()
    assert failures == []
    assert witness.strayed == []
    assert {tenant.project.schema_name for tenant in twenty} <= witness.statements.keys(), "somebody did nothing"
    for tenant in twenty:
        with schema_context(tenant.project.schema_name):
            assert {region.name.split()[0] for region in Region.objects.all()} <= {tenant.name}
            assert Region.objects.count() == tenant.written
            assert {*Host.objects.values_list("bios_vendor", flat=True)} <= {"", tenant.name}
            assert {host.serial_number[1:] for host in Host.objects.all()} == {tenant.name.upper()}


def test_the_witness_sees_a_statement_that_strays(twenty):
    with Witness().watching() as witness, schema_context(twenty[0].project.schema_name):
        Region.objects.count()
        assert witness.strayed == []
        with connection.cursor() as cursor:  # which sees to it that the session is where it must be
            connection.connection.execute(f'SET search_path = "{twenty[1].project.schema_name}", public')
            cursor.execute("SELECT count(*) FROM inventory_region")
    assert len(witness.strayed) == 1 and f"in {twenty[1].project.schema_name} instead of" in witness.strayed[0]

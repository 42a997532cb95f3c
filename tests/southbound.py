"""A real southbound server for tests, on a thread of this process, and nodes that call it over a real channel."""

import asyncio
import threading
from contextlib import contextmanager
from uuid import UUID, uuid4

import grpc
from django.db import connections
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem
from tenants import credentials, tokens
from wire import (
    attestmgr_pb2_grpc,
    device_pb2_grpc,
    hostmgr_pb2,
    hostmgr_pb2_grpc,
    maintmgr_pb2_grpc,
    onboarding_pb2,
    onboarding_pb2_grpc,
    telemetrymgr_pb2_grpc,
    tink,
)
from workers import southbound
from workers.server import Server

MAC = "52:54:00:00:00:01"


@contextmanager
def serving():
    """The address of a server with all doors, in plaintext."""
    loop = asyncio.new_event_loop()

    async def start():
        server = Server()
        port = server.listen("127.0.0.1:0")
        await server.start()
        return server, port

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield f"127.0.0.1:{port}"
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    close_connections()


def close_connections() -> None:
    """Those of all threads of the server's pools, so that the test database can be dropped."""
    for pool, threads in ((southbound._pool, southbound.THREADS), (southbound._polls, southbound.POLLS)):
        together = threading.Barrier(threads, timeout=10)

        def close(together=together):
            together.wait()  # or one thread would take two of these
            connections.close_all()

        for closing in [pool.submit(close) for _ in range(threads)]:
            closing.result()


class Node:
    """A machine as the server meets it: what it says of itself, and the calls that it makes."""

    def __init__(self, address: str, *, uuid: UUID | None = None, serial: str = "SN0000001"):
        self.uuid, self.serial, self.token = uuid or uuid4(), serial, ""
        channel = grpc.insecure_channel(address)
        self.onboarding = onboarding_pb2_grpc.NonInteractiveOnboardingServiceStub(channel)
        self.interactive = onboarding_pb2_grpc.InteractiveOnboardingServiceStub(channel)
        self.manager = hostmgr_pb2_grpc.HostmgrStub(channel)
        self.maintenance = maintmgr_pb2_grpc.MaintmgrServiceStub(channel)
        self.telemetry = telemetrymgr_pb2_grpc.TelemetryMgrStub(channel)
        self.attestation = attestmgr_pb2_grpc.AttestationStatusMgrServiceStub(channel)
        self.devices = device_pb2_grpc.DeviceManagementStub(channel)
        self.old = {name: method.stub(channel) for name, method in tink.old.methods.items()}
        self.new = {name: method.stub(channel) for name, method in tink.new.methods.items()}

    def onboard(self, times: int = 1, enrolment: str = "", **said):
        """The answers to `times` equal requests on one stream."""
        request = onboarding_pb2.OnboardNodeStreamRequest(
            **{"uuid": str(self.uuid), "serialnum": self.serial, "mac_id": MAC, "host_ip": "10.0.0.5"} | said
        )
        shown = [("x-enrolment-token", enrolment)] if enrolment else []
        answers = list(self.onboarding.OnboardNodeStream(iter([request] * times), metadata=shown, timeout=10))
        if answers and answers[-1].client_secret:
            self.log_in(answers[-1].client_id, answers[-1].client_secret)
        return answers

    def log_in(self, client_id: str, secret: str) -> None:
        with schema_context("public"):
            credential = credentials.of_client(client_id)
            assert credentials.is_secret_of(credential, secret)
            self.token = tokens.for_node(client_id, credentials.project_of(credential).uuid)

    def create(self, token: str, **said):
        """Somebody has signed in on its console."""
        told = {"uuid": str(self.uuid), "serialnum": self.serial, "mac_id": MAC, "sut_ip": "10.0.0.5"} | said
        payload = [onboarding_pb2.NodeData(hwdata=[onboarding_pb2.HwData(**told)])]
        return self.interactive.CreateNodes(
            onboarding_pb2.CreateNodesRequest(payload=payload),
            metadata=[("authorization", f"Bearer {token}")], timeout=10,
        )  # fmt: skip

    @property
    def auth(self):
        return {"metadata": [("authorization", f"Bearer {self.token}")], "timeout": 10}

    def heartbeat(self, status=hostmgr_pb2.INSTANCE_STATUS_RUNNING, detail="5 of 5 components running", uuid=None):
        return self.manager.UpdateInstanceStateStatusByHostGUID(
            hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDRequest(
                host_guid=str(uuid or self.uuid), instance_state=hostmgr_pb2.INSTANCE_STATE_RUNNING,
                instance_status=status, provider_status_detail=detail,
            ), **self.auth,
        )  # fmt: skip

    def report_hardware(self, **info):
        request = hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest(
            host_guid=str(self.uuid), system_info=hostmgr_pb2.SystemInfo(**info)
        )
        return self.manager.UpdateHostSystemInfoByGUID(request, **self.auth)

    def contexts(self):
        return list(self.old["GetWorkflowContexts"](tink.old.WorkflowContextRequest(worker_id=MAC), **self.auth))

    def actions(self, workflow_id: str):
        return self.old["GetWorkflowActions"](
            tink.old.WorkflowActionsRequest(workflow_id=workflow_id), **self.auth
        ).action_list

    def report(self, workflow_id: str, name: str, state: str, message: str = ""):
        return self.old["ReportActionStatus"](
            tink.old.WorkflowActionStatus(
                workflow_id=workflow_id, task_name="OS provisioning", action_name=name, worker_id=MAC,
                action_status=tink.old.State.Value(state), message=message,
            ), **self.auth,
        )  # fmt: skip

    def work_through(self) -> None:
        """Report every action that is left of the workflow done, as the old worker would."""
        [context] = self.contexts()
        for action in self.actions(context.workflow_id)[context.current_action_index :]:
            self.report(context.workflow_id, action.name, "STATE_RUNNING")
            self.report(context.workflow_id, action.name, "STATE_SUCCESS")


def registered(node: Node, *, state=HostState.ONBOARDED, serial: str | None = None, uuid="its own") -> Host:
    """Register the node's machine in the current schema."""
    host = Host(uuid=node.uuid if uuid == "its own" else uuid, serial_number=node.serial if serial is None else serial)
    host.ask(state=state)
    return host


def wanted(host: Host) -> Instance:
    """Ask for an operating system on this host."""
    os = OperatingSystem.objects.filter(name="debian").first()
    if os is None:
        os = OperatingSystem(
            name="debian", profile_name="debian", sha256="a" * 64, image_url="tink-stack/images/debian.raw.gz",
            os_type="OS_TYPE_MUTABLE", os_provider="OS_PROVIDER_KIND_INFRA",
        )  # fmt: skip
        os.ask()
    instance = Instance(host=host, os=os)
    instance.ask(state=InstanceState.RUNNING)
    return instance

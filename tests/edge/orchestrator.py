"""A small server that speaks wire for real: it does what its script says and writes down what it hears."""

import asyncio
import json
import ssl
import threading
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import grpc.aio

from edge.link import Server
from eim_project import tls
from wire import hostmgr_pb2, hostmgr_pb2_grpc, onboarding_pb2, onboarding_pb2_grpc, tink

LONGEST_HOLD_SECONDS = 600
STATES = {2: "RUNNING", 3: "FAILED", 4: "TIMEOUT", 5: "SUCCESS"}  # of the new generation
Answer = onboarding_pb2.OnboardNodeStreamResponse
REGISTERED = Answer(node_state=Answer.NODE_STATE_REGISTERED, project_id="project")
ONBOARDED = Answer(
    node_state=Answer.NODE_STATE_ONBOARDED, client_id="edgenode-1", client_secret="s3cret", project_id="project"
)


def refusal(code: grpc.StatusCode, text: str) -> Answer:
    return Answer(status={"code": code.value[0], "message": text})


def action(name: str, image: str, timeout: int = 60, **environment: str) -> dict:
    return {"name": name, "image": image, "timeout": timeout, "environment": environment, "state": "PENDING"}


class Orchestrator:
    def __init__(self, folder: Path) -> None:
        tls.ensure(folder, ["127.0.0.1"])
        self.folder = folder
        self.grpc_port = 0
        self.onboarding: list[Answer] = [ONBOARDED]
        self.actions: list[dict] = []
        self.troubles: dict[str, list[grpc.StatusCode]] = defaultdict(list)  # rpc -> how its next calls fail
        self.lose_answers: set[str] = set()  # "action state" of reports that are heard, and not answered
        self.files: dict[str, bytes | None] = {}  # None is a file that can't be had now
        self.held: dict[str, threading.Event] = {}  # of these only a half is sent until the event comes
        self.half_sent: set[str] = set()
        self.workflow_id = "workflow-1"
        self.boot_script = ""
        self.token_status = 200
        self.people: dict[str, str] = {}  # who may log in -> their password
        self.ahead_seconds = 0.0  # how much its clock is
        self.let_in: list[str] = []  # UUIDs of machines that somebody let in
        self.reports: list[tuple[str, str, str]] = []
        self.tokens: list[dict[str, str]] = []
        self.heartbeats: list[hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDRequest] = []
        self.hardware: list[hostmgr_pb2.UpdateHostSystemInfoByGUIDRequest] = []
        self.authorizations: set[str] = set()

    # Starting and stopping

    async def start(self) -> None:
        """Both doors, gRPC again on the port it had before."""
        key, certificate = ((self.folder / name).read_bytes() for name in ("server.key", "server.crt"))
        self.grpc_server = grpc.aio.server()
        tink.add_to_server(self, self.grpc_server)
        hostmgr_pb2_grpc.add_HostmgrServicer_to_server(self, self.grpc_server)
        onboarding_pb2_grpc.add_NonInteractiveOnboardingServiceServicer_to_server(self, self.grpc_server)
        onboarding_pb2_grpc.add_InteractiveOnboardingServiceServicer_to_server(self, self.grpc_server)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        self.grpc_port = self.grpc_server.add_secure_port(f"127.0.0.1:{self.grpc_port}", credentials)
        await self.grpc_server.start()

    def start_http(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.http.orchestrator = self
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        self.http.socket = trust.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    async def stop(self) -> None:
        await self.grpc_server.stop(grace=0)

    def stop_http(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.http.server_port}"

    @property
    def server(self) -> Server:
        return Server(self.url, str(self.folder / "ca.crt"), f"127.0.0.1:{self.grpc_port}")

    # What is heard and answered

    async def meet(self, context: grpc.aio.ServicerContext, rpc: str) -> None:
        """Remember who called, and fail as the script says."""
        self.authorizations |= {value for key, value in context.invocation_metadata() if key == "authorization"}
        if self.troubles[rpc]:
            await context.abort(self.troubles[rpc].pop(0), f"scripted trouble with {rpc}")

    @property
    def current(self) -> int:
        return next((i for i, each in enumerate(self.actions) if each["state"] != "SUCCESS"), len(self.actions))

    @property
    def active(self) -> bool:
        return self.current < len(self.actions) and self.actions[self.current]["state"] not in ("FAILED", "TIMEOUT")

    async def OnboardNodeStream(self, requests, context):
        script = iter(self.onboarding)
        async for _ in requests:
            # Not before a request is read: grpc's client reports a stream that ended under its write as INTERNAL.
            await self.meet(context, "OnboardNodeStream")
            answer = next(script, None)
            if answer is None:
                return
            yield answer
            if answer.node_state != Answer.NODE_STATE_REGISTERED:
                return

    async def CreateNodes(self, request, context):
        await self.meet(context, "CreateNodes")
        self.let_in += [machine.uuid for node in request.payload for machine in node.hwdata]
        return onboarding_pb2.CreateNodesResponse(payload=request.payload, project_id="project")

    async def GetWorkflowContexts(self, request, context):
        await self.meet(context, "GetWorkflowContexts")
        if self.active:
            due = self.actions[self.current]
            yield tink.old.WorkflowContext(
                workflow_id=self.workflow_id,
                current_worker=request.worker_id,
                current_task="task",
                current_action="" if due["state"] == "PENDING" and self.current == 0 else due["name"],
                current_action_index=self.current,
                current_action_state=tink.old.State.Value(f"STATE_{due['state']}"),
                total_number_of_actions=len(self.actions),
            )

    async def GetWorkflowActions(self, request, context):
        await self.meet(context, "GetWorkflowActions")
        return tink.old.WorkflowActionList(
            action_list=[
                tink.old.WorkflowAction(task_name="task", **self.offer(each), worker_id="") for each in self.actions
            ]
        )

    async def GetAction(self, request, context):
        await self.meet(context, "GetAction")
        if not self.active:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no action")
        due = self.actions[self.current]
        return tink.new.ActionResponse(
            workflow_id=self.workflow_id, task_id="task", action_id=str(self.current), **self.offer(due)
        )

    def offer(self, each: dict) -> dict:
        pairs = [f"{name}={value}" for name, value in each["environment"].items()]
        return {"name": each["name"], "image": each["image"], "timeout": each["timeout"], "environment": pairs}

    async def ReportActionStatus(self, request, context):
        await self.meet(context, "ReportActionStatus")
        if isinstance(request, tink.old.WorkflowActionStatus):
            state = tink.old.State.Name(request.action_status).removeprefix("STATE_")
            message, answer = request.message, tink.old.Empty()
        else:
            state, message = STATES[request.action_state], request.message.message
            answer = tink.new.ActionStatusResponse()
        if self.current == len(self.actions) or self.actions[self.current]["name"] != request.action_name:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.action_name} is not the current action")
        self.actions[self.current]["state"] = state
        self.reports.append((request.action_name, state, message))
        heard = f"{request.action_name} {state}"
        if heard in self.lose_answers:
            self.lose_answers.remove(heard)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return answer

    async def UpdateInstanceStateStatusByHostGUID(self, request, context):
        await self.meet(context, "UpdateInstanceStateStatusByHostGUID")
        self.heartbeats.append(request)
        return hostmgr_pb2.UpdateInstanceStateStatusByHostGUIDResponse()

    async def UpdateHostSystemInfoByGUID(self, request, context):
        await self.meet(context, "UpdateHostSystemInfoByGUID")
        self.hardware.append(request)
        return hostmgr_pb2.UpdateHostSystemInfoByGUIDResponse()

    async def UpdateHostStatusByHostGuid(self, request, context):
        return hostmgr_pb2.HostStatusResp()

    def states(self) -> list[str]:
        return [f"{name} {state}" for name, state, _ in self.reports]


class Door(BaseHTTPRequestHandler):
    """The HTTPS side: boot script, images and tokens."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        script = self.server.orchestrator.boot_script if path == "/tink-stack/boot.ipxe" else None
        files = self.server.orchestrator.files
        if held := self.server.orchestrator.held.get(path):
            self.answer_in_halves(path, files[path], held)
        elif script or files.get(path):
            self.answer(200, script.encode() if script else files[path])
        else:
            self.answer(503 if path in files else 404, b"")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        tokens = self.server.orchestrator.tokens
        tokens.append({name: values[0] for name, values in form.items()})
        token = {"access_token": f"token-{len(tokens)}", "expires_in": 3600}
        wrong = form["grant_type"] == ["password"] and self.server.orchestrator.people.get(
            form["username"][0]
        ) != form["password"][0]
        self.answer(401 if wrong else self.server.orchestrator.token_status, json.dumps(token).encode())

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.server.orchestrator.ahead_seconds)

    def do_HEAD(self) -> None:
        self.answer(200, b"")

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def answer_in_halves(self, path: str, body: bytes, held: threading.Event) -> None:
        self.answer(200, body[: len(body) // 2], len(body))
        self.server.orchestrator.half_sent.add(path)
        if held.wait(LONGEST_HOLD_SECONDS):
            with suppress(OSError):  # who asked may be gone by then
                self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *arguments: object) -> None:
        """Tests tell by their assertions."""


async def until(condition, seconds: float = 10.0) -> None:
    """Wait for a condition that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a server's thread, or a child process
            await asyncio.sleep(0.005)

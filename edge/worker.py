"""The workflow worker: asks for its actions in either generation's words, does them one by one, reports each."""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import grpc
from google.protobuf.message import Message

from edge.errors import ActionFailed, WorkflowFailed
from edge.link import RPC_SECONDS, Server, Token, pauses, reason
from wire import tink

log = logging.getLogger(__name__)

# Called with the action's environment; a coroutine function runs in the loop, any other in a thread of its own.
Action = Callable[[dict[str, str]], None] | Callable[[dict[str, str]], Awaitable[None]]
State = Literal["RUNNING", "SUCCESS", "FAILED", "TIMEOUT"]

POLL_SECONDS = 3.0
BEAT_SECONDS = 30.0  # between two signs of life during an action
HOUR_SECONDS = 3600.0
REBOOT = "reboot-action"
# A report that fails so is sent again without end; any other answer means that this run is no longer the current one.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
NOTHING_TO_DO = {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


_said: ContextVar[list[str]] = ContextVar("said")


def note(text: str) -> None:
    """What there is to know of the action that runs, on the console and with its next report."""
    print(text, flush=True)
    _said.get([]).append(text)


class Superseded(Exception):
    """The server no longer waits for this action: the workflow moved on, ended, or was made anew."""


@dataclass(frozen=True)
class Step:
    """One action to do, whichever generation it came from."""

    workflow_id: str
    task: str
    action_id: str
    name: str
    image: str
    timeout_seconds: float
    environment: dict[str, str]
    announced: bool = False  # it was RUNNING when we came back to it, so RUNNING is not said again

    @property
    def image_name(self) -> str:
        """registry.example/tools/image2disk:1.0@sha256:... -> image2disk"""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]


class OldDialect:
    """Workflow contexts are polled, a workflow's whole action list is fetched at once."""

    def __init__(self, channel: grpc.aio.Channel, token: Token, worker_id: str) -> None:
        methods = tink.old.methods
        self.contexts = methods["GetWorkflowContexts"].stub(channel)
        self.actions = methods["GetWorkflowActions"].stub(channel)
        self.report = methods["ReportActionStatus"].stub(channel)
        self.token, self.worker_id = token, worker_id

    async def steps(self) -> AsyncGenerator[Step, None]:
        request = tink.old.WorkflowContextRequest(worker_id=self.worker_id)
        stream = self.contexts(request, metadata=await self.token.metadata(), timeout=RPC_SECONDS)
        for context in [context async for context in stream]:
            first = resume_index(context)
            if first is None:
                continue
            asked = tink.old.WorkflowActionsRequest(workflow_id=context.workflow_id)
            answer = await self.actions(asked, metadata=await self.token.metadata(), timeout=RPC_SECONDS)
            resumed = context.current_action_state == tink.old.State.STATE_RUNNING
            for index, action in enumerate(answer.action_list[first:]):
                if action.worker_id in ("", self.worker_id):
                    yield self._step(context.workflow_id, action, announced=resumed and index == 0)

    def _step(self, workflow_id: str, action: Any, *, announced: bool) -> Step:
        return Step(
            workflow_id=workflow_id,
            task=action.task_name,
            action_id=action.name,
            name=action.name,
            image=action.image,
            timeout_seconds=action.timeout or HOUR_SECONDS,
            environment=environment(action.environment),
            announced=announced,
        )

    def status(self, step: Step, state: State, message: str, started: float) -> Message:
        return tink.old.WorkflowActionStatus(
            workflow_id=step.workflow_id,
            task_name=step.task,
            action_name=step.name,
            action_status=tink.old.State.Value(f"STATE_{state}"),
            seconds=int(time.time() - started),
            message=message,
            created_at={"seconds": int(started)},
            worker_id=self.worker_id,
        )


class NewDialect:
    """One action is asked for at a time; nothing to do is an error code."""

    def __init__(self, channel: grpc.aio.Channel, token: Token, worker_id: str) -> None:
        self.action = tink.new.methods["GetAction"].stub(channel)
        self.report = tink.new.methods["ReportActionStatus"].stub(channel)
        self.token, self.worker_id = token, worker_id

    async def steps(self) -> AsyncGenerator[Step, None]:
        request = tink.new.ActionRequest(agent_id=self.worker_id)
        while True:
            try:
                action = await self.action(request, metadata=await self.token.metadata(), timeout=RPC_SECONDS)
            except grpc.aio.AioRpcError as answer:
                if answer.code() in NOTHING_TO_DO:
                    return
                raise
            yield Step(
                workflow_id=action.workflow_id,
                task=action.task_id,
                action_id=action.action_id,
                name=action.name,
                image=action.image,
                timeout_seconds=action.timeout,  # 0 is an immediate timeout with this generation
                environment=environment(action.environment),
            )

    def status(self, step: Step, state: State, message: str, started: float) -> Message:
        status = tink.new.ActionStatusRequest(
            workflow_id=step.workflow_id,
            agent_id=self.worker_id,
            task_id=step.task,
            action_id=step.action_id,
            action_name=step.name,
            action_state=tink.new.ActionStatusRequest.StateType.Value(state),
            execution_start={"seconds": int(started)},
            message={"message": message},
        )
        if state != "RUNNING":
            status.execution_stop.FromNanoseconds(time.time_ns())
            status.execution_duration = f"{time.time() - started:.3f}s"
        return status


Generation = Literal["old", "new"]
DIALECTS: dict[Generation, type[OldDialect] | type[NewDialect]] = {"old": OldDialect, "new": NewDialect}
# What the workers of each generation say when nothing went wrong.
SAYINGS = {
    "old": {"RUNNING": "Started execution", "SUCCESS": "finished execution successfully"},
    "new": {"RUNNING": "running action", "SUCCESS": "action completed"},
}


def resume_index(context: Any) -> int | None:
    """The action to begin with when a worker comes (back) to a workflow; None leaves the workflow alone."""
    state = tink.old.State.Name(context.current_action_state)
    if state in ("STATE_FAILED", "STATE_TIMEOUT"):
        return None
    if not context.current_action:
        return 0
    return context.current_action_index + (state == "STATE_SUCCESS")


def environment(pairs: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


class Plan:
    """All that a workflow holds, told before the machine does the first of it.

    Only the old generation's words can ask for that: whoever works in the new ones asks in the old ones too.
    """

    def __init__(self, dialect: OldDialect, foresee: Callable[[list[Step]], None]) -> None:
        self.dialect, self.foresee, self.asked_for = dialect, foresee, ""

    async def steps_of(self, workflow_id: str) -> list[Step]:
        """From the current one on; none if they were told before, or the server doesn't know the old words."""
        if workflow_id == self.asked_for:
            return []
        try:
            steps = [step async for step in self.dialect.steps()]
        except grpc.aio.AioRpcError as answer:
            if answer.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise
            log.info("the server doesn't tell what is to come, each action is met as it comes: %s", reason(answer))
            steps = []
        self.asked_for = workflow_id
        return [step for step in steps if step.workflow_id == workflow_id]


class Worker:
    """One machine's worker on one connection."""

    def __init__(
        self,
        dialect: OldDialect | NewDialect,
        sayings: Mapping[str, str],
        actions: Mapping[str, Action],
        watch: Callable[[str, State, str], None],
        plan: "Plan | None",
    ) -> None:
        self.dialect, self.sayings, self.actions, self.watch, self.plan = dialect, sayings, actions, watch, plan

    async def run_until_reboot(self, poll_seconds: float) -> None:
        """Do what the server has for this machine, round after round; returns when the machine has to reboot."""
        while True:
            try:
                async with aclosing(self.dialect.steps()) as steps:
                    async for step in steps:
                        await self.take(step)
                        if step.image_name == REBOOT:
                            return
            except Superseded as stale:
                log.info("this run is over, asking again: %s", stale)
            except (grpc.aio.AioRpcError, OSError) as fault:
                self.distrust_token(fault)
                log.info("asking for work failed, asking again: %s", reason(fault))
            await asyncio.sleep(poll_seconds)

    async def take(self, step: Step) -> None:
        """Do one action and report how it went; raises WorkflowFailed when it went wrong."""
        to_come = await self.plan.steps_of(step.workflow_id) if self.plan else []
        started = time.time()
        self.watch(step.name, "RUNNING", "")
        if not step.announced:
            await self.tell(step, "RUNNING", self.sayings["RUNNING"], started)
        said: list[str] = []
        _said.set(said)
        beats = asyncio.create_task(self.stay_heard(step, started, said))
        try:
            state, message = await self.perform(step, to_come)
        finally:
            beats.cancel()
        last = message or (said[-1] if said else "")
        self.watch(step.name, state, last)
        try:
            await self.tell(step, state, last or self.sayings["SUCCESS"], started)
        except Superseded:
            # The report of a reboot is what ends a workflow: its answer may be lost, the reboot must not be.
            if step.image_name != REBOOT:
                raise
        if state != "SUCCESS":
            raise WorkflowFailed(step.name, message)

    async def perform(self, step: Step, to_come: list[Step]) -> tuple[State, str]:
        """How the action went, and what there is to say when it went wrong."""
        action = self.actions.get(step.image_name)
        limit = asyncio.timeout(step.timeout_seconds)
        try:
            async with limit:
                if self.plan and to_come:
                    await asyncio.to_thread(self.plan.foresee, to_come)
                if action is None:
                    raise ActionFailed(f"this machine has no action {step.image_name}")
                if inspect.iscoroutinefunction(action):
                    await action(step.environment)
                else:
                    await asyncio.to_thread(action, step.environment)
        except ActionFailed as failure:
            return "FAILED", str(failure)
        except Exception as crash:  # an action stands for a container: whatever ends it, the server is told
            if limit.expired():
                return "TIMEOUT", f"{step.name} was not done within {step.timeout_seconds:g} s"
            log.exception("action crashed", extra={"action": step.name})
            return "FAILED", f"{type(crash).__name__}: {crash}"
        return "SUCCESS", ""

    async def stay_heard(self, step: Step, started: float, said: list[str]) -> None:
        """Say RUNNING again and again, and how far it is: a server that heard that once takes silence for our end."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            report = self.dialect.status(step, "RUNNING", (said or [self.sayings["RUNNING"]])[-1], started)
            try:
                await self.dialect.report(report, metadata=await self.dialect.token.metadata(), timeout=RPC_SECONDS)
            except (grpc.aio.AioRpcError, OSError) as fault:
                self.distrust_token(fault)
                log.info("a sign of life of %s was not heard: %s", step.name, reason(fault))

    async def tell(self, step: Step, state: State, message: str, started: float) -> None:
        """Report, again and again until the server has heard it; raises Superseded when it doesn't want to."""
        report = self.dialect.status(step, state, message, started)
        for pause in pauses(0.5, 1.5, longest=10.0):
            try:
                metadata = await self.dialect.token.metadata()
                await self.dialect.report(report, metadata=metadata, timeout=RPC_SECONDS)
            except (grpc.aio.AioRpcError, OSError) as fault:
                self.distrust_token(fault)
                if isinstance(fault, grpc.aio.AioRpcError) and fault.code() not in PASSING:
                    raise Superseded(fault.details()) from fault
                log.info("reporting %s of %s failed, trying again: %s", state, step.name, reason(fault))
                await asyncio.sleep(pause)
            else:
                return

    def distrust_token(self, fault: Exception) -> None:
        if isinstance(fault, grpc.aio.AioRpcError) and fault.code() == grpc.StatusCode.UNAUTHENTICATED:
            self.dialect.token.forget()


def _unwatched(action: str, state: State, message: str) -> None:
    """Nobody looks on."""


async def run_workflow(
    server: Server,
    token: Token,
    worker_id: str,
    generation: Generation,
    actions: Mapping[str, Action],
    *,
    foresee: Callable[[list[Step]], None] | None = None,
    watch: Callable[[str, State, str], None] = _unwatched,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Wait for a workflow and do it; returns when the machine has to reboot, raises WorkflowFailed if it ended badly.

    `actions` are known by the base name of their image. `foresee` is given the steps to come before the first is done;
    it raises ActionFailed, as the first one's failure, when one of them can't be done. `watch` is told each action's
    name, state and message. A function that timed out goes on in its thread; only a reboot ends it.
    """
    async with server.channel() as channel:
        dialect = DIALECTS[generation](channel, token, worker_id)
        plan = Plan(OldDialect(channel, token, worker_id), foresee) if foresee else None
        await Worker(dialect, SAYINGS[generation], actions, watch, plan).run_until_reboot(poll_seconds)

"""The workflow engine's door, for both generations of Tinkerbell's worker on one port.

A machine's own token speaks for that machine alone. One that a person let in at its console works with that person's
token until it is installed: whoever may onboard the project's machines speaks for any of them.
"""

import re
from uuid import UUID

import grpc

from provisioning import workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from provisioning.plans import TASK
from provisioning.polls import polls
from tenants.credentials import AGENT_ROLE
from tenants.models import Role
from tenants.models.token import NODE_CLIENT
from wire import tink
from workers.southbound import Node, Refusal, caller_of, in_database

_MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")

ONBOARD = Role.ONBOARD.value

OLD_STATES = {name: tink.old.State.Value(name) for name in WorkflowState.values if name in {*tink.old.State.keys()}}
_TOLD = {  # what a report says -> our state; the two generations number them differently
    "old": {number: name for name, number in OLD_STATES.items()},
    "new": {2: WorkflowState.RUNNING, 3: WorkflowState.FAILED, 4: WorkflowState.TIMEOUT, 5: WorkflowState.SUCCESS},
}


class WorkflowService:
    async def GetWorkflowContexts(self, request, context):
        """The old worker's poll: its workflow, if there is one that it should be at, once."""
        run = await self._polled(context, _workflow_for, request.worker_id)
        if run is not None and workflow.may_begin(run):
            action = run.actions[run.current]
            yield tink.old.WorkflowContext(
                workflow_id=run.workflow_id,
                current_worker=run.worker_id,
                current_task=TASK,
                current_action="" if action["state"] == WorkflowState.PENDING and run.current == 0 else action["name"],
                current_action_index=run.current,
                current_action_state=OLD_STATES.get(action["state"], 0),
                total_number_of_actions=len(run.actions),
            )

    async def GetWorkflowActions(self, request, context):
        run, environments = await self._asked(context, _actions_of, request.workflow_id)
        listed = [
            tink.old.WorkflowAction(
                task_name=TASK, name=action["name"], image=action["image"], timeout=action["timeout"],
                worker_id=run.worker_id, volumes=action["volumes"], environment=environment, pid=action["pid"],
            )
            for action, environment in zip(run.actions, environments, strict=True)
        ]  # fmt: skip
        return tink.old.WorkflowActionList(action_list=listed)

    async def GetAction(self, request, context):
        """The new worker's poll: the one action that is due."""
        due = await self._polled(context, _action_for, request.agent_id)
        if due is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "no action for this machine")
        run, environment = due
        action = run.actions[run.current]
        return tink.new.ActionResponse(
            workflow_id=run.workflow_id, task_id=TASK, agent_id=run.worker_id,
            action_id=str(run.current), name=action["name"], image=action["image"], timeout=action["timeout"],
            volumes=action["volumes"], environment=environment, pid=action["pid"],
        )  # fmt: skip

    async def ReportActionStatus(self, request, context):
        is_old = isinstance(request, tink.old.WorkflowActionStatus)
        await self._asked(context, _report_old if is_old else _report_new, request)
        # Both generations' answers are empty messages.
        return tink.old.Empty() if is_old else tink.new.ActionStatusResponse()

    async def _asked(self, context, work, asked):
        """Run `work(node, asked)` in the schema of whoever calls."""
        return await _in_schema(await _caller(context), work, asked)

    async def _polled(self, context, work, worker_id):
        """The same of who asks for work; None, as work() says too, if there is none."""
        node = await _caller(context)
        if not _MAC.match(worker_id.lower()):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{worker_id!r} is not a worker's id: its MAC address")
        host_uuid = _machine_of(node)
        if host_uuid is not None and not await polls().has_run((node.schema, host_uuid)):
            return None
        return await _in_schema(node, work, worker_id, poll=True)


async def _caller(context) -> Node:
    node = await caller_of(context, roles=(AGENT_ROLE, ONBOARD))
    if not node.client_id.startswith(NODE_CLIENT):  # no machine's token: then it has to be such a person's
        node = await caller_of(context, roles=(ONBOARD,))
    return node


async def _in_schema(node: Node, work, asked, *, poll=False):
    try:
        return await in_database(work, node, asked, schema=node.schema, who=node.client_id, poll=poll)
    except workflow.NotTrusted as distrust:
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, str(distrust)) from distrust


def _machine_of(node: Node) -> UUID | None:
    """None for a person: then it is whichever of the project's machines the call names."""
    return node.host_uuid if node.client_id.startswith(NODE_CLIENT) else None


def _workflow_for(node: Node, worker_id: str, *, whole: bool = False) -> Workflow | None:
    return workflow.for_worker(worker_id, _machine_of(node), whole=whole)


def _actions_of(node: Node, workflow_id: str) -> tuple[Workflow, list[list[str]]]:
    if not workflow_id:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "workflow_id is missing")
    run = workflow.of_machine(_machine_of(node)).filter(workflow_id=workflow_id).first()
    if run is None or run.state not in ACTIVE:
        raise Refusal(grpc.StatusCode.UNKNOWN, f"no active workflow {workflow_id} of this machine")
    return run, workflow.unmasked(run, workflow.environments_of(run))


def _action_for(node: Node, agent_id: str) -> tuple[Workflow, list[str]] | None:
    run = _workflow_for(node, agent_id, whole=True)
    if run is None:
        return None
    if not workflow.may_begin(run):
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"{run.workflow_id} has to wait: {run.state}")
    [environment] = workflow.unmasked(run, [workflow.environments_of(run)[run.current]])
    return run, environment


def _report_old(node: Node, told) -> None:
    if not (told.workflow_id and told.task_name and told.action_name):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "workflow_id, task_name and action_name are needed")
    _must_be_the_task(told.task_name)
    _report(node, told.workflow_id, told.action_name, _TOLD["old"].get(told.action_status), told.message, None)


def _report_new(node: Node, told) -> None:
    if not (told.workflow_id and told.action_name):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "workflow_id and action_name are needed")
    if told.task_id:
        _must_be_the_task(told.task_id)
    if told.action_id and not (told.action_id.isascii() and told.action_id.isdigit() and len(told.action_id) < 4):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"there is no action with the id {told.action_id[:40]!r}")
    index = int(told.action_id) if told.action_id else None
    _report(node, told.workflow_id, told.action_name, _TOLD["new"].get(told.action_state), told.message.message, index)


def _must_be_the_task(name: str) -> None:
    if name != TASK:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"the current task is {TASK!r}, the report is about {name!r}")


def _report(node: Node, workflow_id: str, action: str, state: str | None, message: str, index: int | None) -> None:
    if state is None or state == WorkflowState.PENDING:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "an action can be reported running or ended, nothing else")
    try:
        workflow.report(_machine_of(node), workflow.Report(workflow_id, action, state, message, index))
    except Workflow.DoesNotExist:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"no workflow {workflow_id} of this machine") from None
    except workflow.StaleReport as stale:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, str(stale)) from stale


def add_to(server) -> None:
    tink.add_to_server(WorkflowService(), server)

"""The engine that is a Tinkerbell of somebody's: a run is a Template, a Hardware and a Workflow on its Kubernetes API.

Its controller renders, its server talks to the workers, and we read how far they are: the loop looks once a minute,
`manage.py watch_tinkerbell` hears at once. Both generations' states are understood. What a run's actions get, secrets
included, stands in its Template as long as the run lasts: whoever may read that namespace reads them.
"""

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from django_tenants.utils import schema_context
from kubernetes import client, config
from kubernetes.client import ApiException
from kubernetes.watch import Watch
from urllib3.exceptions import HTTPError

from provisioning import workflow
from provisioning.models import ACTIVE, Workflow, WorkflowState
from provisioning.workflow import Seen
from tenants.events import acting_as
from workers.engine import Refused

OUTSIDE = True
GROUP, VERSION = "tinkerbell.org", "v1alpha1"
TEMPLATES, HARDWARE, WORKFLOWS = "templates", "hardware", "workflows"
KINDS = {TEMPLATES: "Template", HARDWARE: "Hardware", WORKFLOWS: "Workflow"}
OURS = {"app.kubernetes.io/managed-by": "edge-infrastructure-manager"}
TENANT, RUN = "eim/tenant", "eim/run"  # labels: the schema, and the run's id
LARGEST = 256 * 1024  # bytes of a template; Tinkerbell's own limit
PATIENCE = 10  # seconds for an answer
WATCHED = 300  # seconds, after which a watch begins anew: one that hangs is not noticed otherwise

# As Tinkerbell's action states are called, with STATE_ before them in the older generation -> ours.
STATES = {
    "PENDING": WorkflowState.PENDING, "PREPARING": WorkflowState.PENDING, "RUNNING": WorkflowState.RUNNING,
    "POST": WorkflowState.RUNNING, "SUCCESS": WorkflowState.SUCCESS, "FAILED": WorkflowState.FAILED,
    "TIMEOUT": WorkflowState.TIMEOUT,
}  # fmt: skip
UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
ENDED_BADLY = {WorkflowState.FAILED, WorkflowState.TIMEOUT}


class ClusterAway(Exception):
    """The Kubernetes API didn't do what it was asked for; the loop tries again. str() is a sentence."""


# What the loop calls ----------------------------------------------------------------------------------------------


def begin(run: Workflow) -> None:
    """Make the objects that aren't there yet; the Workflow last, since it refers to the others."""
    for plural, body in objects(run).items():
        _create(plural, body)


def look(run: Workflow) -> None:
    found = _get(WORKFLOWS, run.workflow_id)
    if found is not None:
        workflow.follow(run, seen(found, run))
    elif run.state != WorkflowState.PENDING:  # else begin() is about to make it
        workflow.follow(run, _ended(run, WorkflowState.FAILED, "the Workflow was deleted from Tinkerbell's namespace"))


def pause(run: Workflow) -> None:
    raise Refused("Tinkerbell can't pause a run: abort it, or let it go on")


def end(run: Workflow) -> None:
    """The Workflow first, so that nothing refers to what goes after it."""
    for plural in (WORKFLOWS, HARDWARE, TEMPLATES):
        _asked(_api().delete_namespaced_custom_object, plural, name=run.workflow_id, absent=True)


# What they are like there -----------------------------------------------------------------------------------------


def objects(run: Workflow) -> dict[str, dict[str, Any]]:
    """{plural: object} of a run. Raises Refused if Tinkerbell won't take them."""
    name = run.workflow_id
    text = template_text(workflow.document(run))
    if len(text.encode()) > LARGEST:
        raise Refused(f"The template has {len(text.encode())} bytes, and Tinkerbell takes {LARGEST}: use fewer configs")
    interface = {"dhcp": {"mac": run.worker_id}, "netboot": {"allowPXE": True, "allowWorkflow": True}}
    specs = {
        TEMPLATES: {"data": text},
        HARDWARE: {"interfaces": [interface]},
        WORKFLOWS: {"templateRef": name, "hardwareRef": name, "hardwareMap": {"device_1": run.worker_id}},
    }
    labels = OURS | {TENANT: run.schema, RUN: name}
    metadata = {"name": name, "namespace": settings.TINKERBELL_NAMESPACE, "labels": labels}
    return {
        plural: {"apiVersion": f"{GROUP}/{VERSION}", "kind": KINDS[plural], "metadata": metadata, "spec": spec}
        for plural, spec in specs.items()
    }


def template_text(document: dict[str, Any]) -> str:
    """YAML that Tinkerbell takes for a text in Go's template language: whatever looks like that in it is none."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.replace("{{", '{{"{{"}}')


def seen(found: dict[str, Any], run: Workflow) -> list[Seen]:
    """How the actions of the run are, by the status of its Workflow."""
    status = found.get("status") or {}
    told = [action for task in status.get("tasks") or [] for action in task.get("actions") or []]
    if len(told) != len(run.actions):  # not rendered yet, or never will be
        actions = [Seen(WorkflowState.PENDING) for _ in run.actions]
    else:
        actions = [_action(action) for action in told]
    whole = _state(status.get("state"))
    if whole in ENDED_BADLY and not any(action.state in ENDED_BADLY for action in actions):
        return _ended(run, whole, _condition(status) or "Tinkerbell ended the workflow", actions)
    return actions


def _action(told: dict[str, Any]) -> Seen:
    started = told.get("executionStart") or told.get("startedAt")
    seconds = told.get("executionDuration", told.get("seconds"))
    return Seen(
        _state(told.get("state") or told.get("status")),
        told.get("message") or "",
        datetime.fromisoformat(started).timestamp() if started else None,
        _seconds(seconds) if seconds else None,
    )


def _state(name: str | None) -> str:
    """One that we don't know, of a newer Tinkerbell, is not the end."""
    return STATES.get((name or "PENDING").removeprefix("STATE_"), WorkflowState.RUNNING)


def _seconds(duration: str | int | float) -> float:
    """Of a number, or of Go's "1m2.5s"."""
    if isinstance(duration, int | float):
        return float(duration)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|µs|us|ns|h|m|s)", duration)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _condition(status: dict[str, Any]) -> str:
    """Why the template couldn't be rendered, if that is it."""
    bad = [condition for condition in status.get("conditions") or [] if condition.get("status") == "False"]
    return "; ".join(condition.get("message") or condition.get("reason") or "" for condition in bad)


def _ended(run: Workflow, state: str, why: str, actions: list[Seen] | None = None) -> list[Seen]:
    """The run's actions, of which the first that isn't done ended so."""
    actions = actions or [Seen(action["state"]) for action in run.actions]
    at = next((at for at, action in enumerate(actions) if action.state != WorkflowState.SUCCESS), len(actions) - 1)
    return [*actions[:at], Seen(state, why), *actions[at + 1 :]]


# What is heard ----------------------------------------------------------------------------------------------------


def watch() -> Iterator[dict[str, Any]]:
    """Each of our Workflows as it is, and again whenever it changes, for ever. Raises ClusterAway.

    From a list on, without a gap; a server that has forgotten the version that we are at is asked for the list again.
    """
    while True:
        listed = _asked(_api().list_namespaced_custom_object, WORKFLOWS, label_selector=_selector())
        yield from listed["items"]
        try:
            yield from _changes(listed["metadata"]["resourceVersion"])
        except ApiException as refused:
            if refused.status != 410:
                raise ClusterAway(_sentence(refused)) from refused
        except HTTPError as broken:
            raise ClusterAway(f"The watch of Tinkerbell's Workflows broke off: {broken}") from broken


def hear(found: dict[str, Any]) -> None:
    """What a Workflow's status says, if its run is on its way. The labels only say where to look for that."""
    labels = found["metadata"]["labels"]
    with schema_context("public"):
        runs = Workflow.objects.filter(workflow_id=labels.get(RUN, ""), schema=labels.get(TENANT, ""))
        run = runs.filter(state__in=ACTIVE).first()
    if run is not None:
        with schema_context(run.schema), acting_as("tinkerbell"):
            workflow.follow(run, seen(found, run))


def _changes(version: str) -> Iterator[dict[str, Any]]:
    while True:
        begun = time.monotonic()
        stream = Watch().stream(
            _api().list_namespaced_custom_object, GROUP, VERSION, settings.TINKERBELL_NAMESPACE, WORKFLOWS,
            label_selector=_selector(), resource_version=version, allow_watch_bookmarks=True,
            timeout_seconds=WATCHED, _request_timeout=(PATIENCE, WATCHED + PATIENCE),
        )  # fmt: skip
        for event in stream:
            version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]
        time.sleep(max(0.0, 1 - (time.monotonic() - begun)))  # a server that ends every watch at once isn't hammered


# The API ----------------------------------------------------------------------------------------------------------


@cache
def _api() -> client.CustomObjectsApi:
    try:
        if settings.TINKERBELL_KUBECONFIG:
            config.load_kube_config(str(settings.TINKERBELL_KUBECONFIG))
        else:
            config.load_incluster_config()
    except config.ConfigException as wrong:
        raise ClusterAway(f"There is no way to Tinkerbell's cluster (TINKERBELL_KUBECONFIG): {wrong}") from wrong
    return client.CustomObjectsApi()


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in OURS.items())


def _create(plural: str, body: dict[str, Any]) -> None:
    """One that is there already is ours of before, or else somebody's, which isn't touched."""
    if _asked(_api().create_namespaced_custom_object, plural, body=body, conflict=True) is not None:
        return
    name = body["metadata"]["name"]
    there = _get(plural, name)
    if there is not None and (there["metadata"].get("labels") or {}).get(RUN) != name:
        raise Refused(f"{KINDS[plural]} {name} is there already, and isn't ours")


def _get(plural: str, name: str) -> dict[str, Any] | None:
    return _asked(_api().get_namespaced_custom_object, plural, name=name, absent=True)


def _asked(verb, plural: str, *, absent: bool = False, conflict: bool = False, **told) -> Any:
    """What the API answers; None if the object is absent, or there already, where that is no fault.

    Raises ClusterAway, and Refused if the object isn't one that the API takes.
    """
    try:
        return verb(GROUP, VERSION, settings.TINKERBELL_NAMESPACE, plural, **told, _request_timeout=PATIENCE)
    except ApiException as refused:
        if (absent and refused.status == 404) or (conflict and refused.status == 409):
            return None
        if refused.status == 422:
            raise Refused(_sentence(refused)) from refused
        raise ClusterAway(_sentence(refused)) from refused
    except HTTPError as away:
        raise ClusterAway(f"Tinkerbell's Kubernetes API can't be reached: {away}") from away


def _sentence(refused: ApiException) -> str:
    """Without the headers, and without what was sent."""
    try:
        why = json.loads(refused.body)["message"]
    except (TypeError, ValueError, KeyError):
        why = refused.reason
    return f"Tinkerbell's Kubernetes API answered {refused.status}: {str(why)[:300]}"

"""How a host gets its operating system: the list of actions, who works at it, and how far it is."""

import base64
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from inventory.errors import Gone
from inventory.models import HostState, Indicator, Instance, InstanceState, Status
from provisioning import mirror
from provisioning.dkam.cloudinit import CloudInitFacts, render
from provisioning.models import ACTIVE, Workflow, WorkflowState
from tenants import credentials, events
from tenants.models import Claim, Project

SECRET_MARK = "@@client_secret@@"  # noqa: S105  stands in stored actions where the machine gets its secret
IMAGES = "localhost:7443/eim"  # the registry of the action images, as the machine sees it
DONE = WorkflowState.SUCCESS

# What an operator reads while an action runs (reference: provisioning.md 2.7).
PROGRESS = {
    "secure-boot-status-flag-read": "Verifying Secure Boot settings",
    "erase-non-removable-disk": "Erasing data from all non-removable disks",
    "stream-os-image": "Streaming OS image",
    "install-cloud-init": "Installing cloud-init",
    "cloud-init-ds-identity": "Setting up cloud-init",
    "efibootset-for-diskboot": "Setting boot option",
    "reboot": "Rebooting",
}


class StaleReport(Exception):
    """The report isn't about the action that is due. str() names what is, and what was reported."""


class NotTrusted(Exception):
    """The machine's credentials were revoked."""


class NotToBeInstalled(Exception):
    """There is nothing to try again. str() says what is so."""


@dataclass(frozen=True)
class Report:
    """One word from a machine about one action. seconds as the machine measured them."""

    workflow_id: str
    action_name: str
    state: str  # RUNNING, SUCCESS, FAILED or TIMEOUT of WorkflowState
    message: str = ""


@transaction.atomic
def start(instance: Instance) -> Workflow:
    """Make the workflow that installs this instance. One is active for a host; those that ended stay as history.

    Raises Gone, or LeaseLost in a worker that isn't meant to any more; then there is no workflow.
    """
    instance.observe(provisioning_status=Status("Provisioning In Progress", Indicator.IN_PROGRESS))
    host = instance.host
    attempt = Workflow.objects.filter(schema=connection.schema_name, instance_id=str(instance)).count() + 1
    return Workflow.objects.create(
        schema=connection.schema_name,
        workflow_id=f"workflow-{secrets.token_hex(8)}",
        instance_id=str(instance),
        host_id=str(host),
        host_uuid=host.uuid,
        worker_id=host.pxe_mac,
        attempt=attempt,
        actions=actions_for(instance),
    )


def latest(instance: Instance) -> Workflow | None:
    attempts = Workflow.objects.filter(schema=connection.schema_name, instance_id=str(instance))
    return attempts.order_by("-id").first()


def cancel(instance: Instance, reason: str) -> None:
    Workflow.objects.filter(schema=connection.schema_name, instance_id=str(instance), state__in=ACTIVE).update(
        state=WorkflowState.CANCELLED, reason=reason, finished_at=timezone.now()
    )


def cancel_all(reason: str) -> None:
    """Those of all instances of the current schema."""
    Workflow.objects.filter(schema=connection.schema_name, state__in=ACTIVE).update(
        state=WorkflowState.CANCELLED, reason=reason, finished_at=timezone.now()
    )


def actions_for(instance: Instance) -> list[dict]:
    """Template and inputs as data. Relative image URLs are this server's own."""
    host, os = instance.host, instance.os
    mirrored = mirror.path_of(os.sha256)
    own = bool(mirrored) or not os.image_url.startswith(("http://", "https://"))
    server = f"https://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}"
    ca = settings.EIM_CA_FILE.read_text()
    url = f"{server}/{(mirrored or os.image_url).lstrip('/')}" if own else os.image_url
    facts = CloudInitFacts(
        hostname=host.resource_id,
        mac=host.pxe_mac,
        guid=str(host.uuid),
        project_id=str(Project.objects.get(schema_name=connection.schema_name).uuid),
        client_id=credentials.client_id_of(host.uuid),
        client_secret=SECRET_MARK,
        eim_url=server,
        grpc_authority=f"{settings.EIM_PUBLIC_HOST}:{settings.EIM_GRPC_PORT}",
        ca_pem=ca,
    )
    listed = [
        _action("secure-boot-status-flag-read", "securebootflag", 560, SECURITY_FEATURE_FLAG=instance.security_feature),
        _action("erase-non-removable-disk", "erase_non_removable_disks", 560),
        _action(
            "stream-os-image", "image2disk", 9800, pid="host",
            IMG_URL=url,
            SHA256=os.sha256,
            COMPRESSED=str(url.endswith((".gz", ".xz", ".bz2", ".zst"))).lower(),
            TLS_CA_CERT=base64.b64encode(ca.encode()).decode() if own else os.tls_ca_cert,
        ),
        _writefile("install-cloud-init", "/etc/cloud/cloud.cfg.d/99_infra.cfg", render(facts), mode="0600"),
        _writefile("cloud-init-ds-identity", "/etc/cloud/ds-identify.cfg", "datasource: NoCloud\n", mode="0600"),
        _action("efibootset-for-diskboot", "efibootset", 560),
        _action("reboot", "reboot-action", 90, volumes=["/worker:/worker"]),
    ]  # fmt: skip
    return listed


def _action(name: str, image: str, timeout: int, *, pid: str = "", volumes: list[str] = (), **environment: str) -> dict:
    return {
        "name": name, "image": f"{IMAGES}/{image}:v1.0.0", "timeout": timeout, "pid": pid,
        "volumes": ["/dev:/dev", "/dev/console:/dev/console", "/lib/firmware:/lib/firmware:ro", *volumes],
        "environment": environment, "state": WorkflowState.PENDING.value, "message": "",
    }  # fmt: skip


def _writefile(name: str, path: str, contents: str, *, mode: str) -> dict:
    return _action(
        name, "writefile", 90, FS_TYPE="ext4", DEST_PATH=path, CONTENTS=contents, UID="0", GID="0", MODE=mode,
        DIRMODE="0755",
    )  # fmt: skip


def environment_of(workflow: Workflow, action: dict) -> list[str]:
    """K=V, sorted, with the secrets in their places: only for the machine itself, never kept.

    Raises NotTrusted: a token outlives the trust by up to an hour, and must not get a new secret meanwhile.
    """
    environment = action["environment"]
    if any(SECRET_MARK in value for value in environment.values()):
        secret = credentials.secret_of(workflow.host_uuid)
        if secret is None:
            raise NotTrusted("The host is not trusted any more")
        # The mark stands inside JSON inside a file: a secret has only letters that mean nothing there.
        environment = {key: value.replace(SECRET_MARK, secret) for key, value in environment.items()}
    return sorted(f"{key}={value}" for key, value in environment.items())


def for_worker(worker_id: str, host_uuid: UUID) -> Workflow | None:
    """The active workflow of this machine, in the current schema. The UUID is the token's, the MAC what it says."""
    workflow = Workflow.objects.filter(
        schema=connection.schema_name, worker_id=worker_id.lower(), host_uuid=host_uuid, state__in=ACTIVE
    ).first()
    if workflow:
        Workflow.objects.filter(pk=workflow.pk).update(heard_at=timezone.now())
    return workflow


@transaction.atomic
def report(host_uuid: UUID, told: Report) -> None:
    """Write down what the machine says of its current action, show it, and ring when that ends the workflow.

    Raises Workflow.DoesNotExist, or StaleReport if the report isn't about what is due: the machine then asks again.
    """
    workflow = Workflow.objects.select_for_update().get(
        schema=connection.schema_name, workflow_id=told.workflow_id, host_uuid=host_uuid
    )
    at = workflow.current
    if workflow.state not in ACTIVE:
        raise StaleReport(f"{workflow.workflow_id} has ended: {workflow.state}")
    action = workflow.actions[at]
    if action["name"] != told.action_name:
        raise StaleReport(f"the current action is {action['name']!r}, the report is about {told.action_name!r}")
    now = time.time()
    if told.state == WorkflowState.RUNNING:
        action.setdefault("started", now)
        workflow.started_at = workflow.started_at or timezone.now()
    else:
        action["seconds"] = round(now - action.get("started", now), 3)
    action["state"], action["message"] = told.state, told.message[:2000]
    workflow.heard_at = timezone.now()
    if told.state in (WorkflowState.FAILED, WorkflowState.TIMEOUT):
        workflow.state, workflow.reason = told.state, progress(workflow)
    elif workflow.current == len(workflow.actions):
        workflow.state = WorkflowState.SUCCESS
    else:
        workflow.state = WorkflowState.RUNNING
    if workflow.state not in ACTIVE:
        workflow.finished_at = timezone.now()
    workflow.save()
    show(workflow)


def show(workflow: Workflow) -> None:
    """Tell how far it is in the instance's status, and ring for it if the workflow has ended."""
    instance = Instance.objects.filter(resource_id=workflow.instance_id).first()
    if instance is None:
        return
    if workflow.state in ACTIVE:
        shown = Status(f"Provisioning In Progress: {progress(workflow)}", Indicator.IN_PROGRESS)
        try:
            instance.observe(only_if={"desired_state": InstanceState.RUNNING}, provisioning_status=shown)
        except Gone:
            return
    else:
        events.announce(instance, "workflow")


def progress(workflow: Workflow) -> str:
    """`3/7: Streaming OS image`, and how it ended if it did."""
    at = min(workflow.current, len(workflow.actions) - 1)
    action = workflow.actions[at]
    text = f"{at + 1}/{len(workflow.actions)}: {PROGRESS.get(action['name'], action['name'])}"
    match action["state"]:
        case WorkflowState.FAILED:
            text += " failed"
        case WorkflowState.TIMEOUT:
            text += " timeout"
        case _:
            return text
    return f"{text}: {action['message']}" if action["message"] else text


def expire(workflow: Workflow) -> bool:
    """End a workflow that has taken too long, or whose machine has gone silent. True if it was."""
    now = timezone.now()
    silent = now - (workflow.heard_at or workflow.created_at) > timedelta(seconds=settings.WORKFLOW_SILENCE)
    late = now - (workflow.started_at or now) > timedelta(seconds=settings.WORKFLOW_TIMEOUT)
    if not (silent or late):
        return False
    why = f"no word from the machine for {settings.WORKFLOW_SILENCE} s" if silent else "it took too long"
    return bool(
        Workflow.objects.filter(pk=workflow.pk, state__in=ACTIVE).update(
            state=WorkflowState.TIMEOUT, reason=f"{progress(workflow)} timeout: {why}", finished_at=now
        )
    )


def boots_from_disk(uuid: str, serial: str) -> bool:
    """Is this machine installed, as we know it at this moment? An unknown one isn't."""
    try:
        claim = Claim.objects.filter(uuid=UUID(uuid)).first() if uuid else None
    except ValueError:
        claim = None
    if claim is None and serial:
        found = Claim.objects.filter(serial=serial, uuid=None)[:2]
        claim = found[0] if len(found) == 1 else None
    if claim is None:
        return False
    with schema_context(claim.schema):
        return Instance.objects.filter(
            host_id=claim.resource_id, desired_state=InstanceState.RUNNING, current_state=InstanceState.RUNNING
        ).exists()


@transaction.atomic
def retry(instance: Instance) -> Workflow:
    """Install again, from the start: the attempt before stays as history, ended if it hadn't."""
    rows = Instance.objects.select_related("host", "os").select_for_update(of=("self",))
    instance = rows.get(pk=instance.pk)
    if instance.desired_state != InstanceState.RUNNING or instance.current_state != InstanceState.UNSPECIFIED:
        raise NotToBeInstalled(f"{instance} is {instance.current_state} and wanted {instance.desired_state}")
    if instance.host.current_state != HostState.ONBOARDED:
        raise NotToBeInstalled(f"{instance.host} must be onboarded first: it is {instance.host.current_state}")
    cancel(instance, "tried again")
    run = start(instance)
    instance.ask(state=InstanceState.RUNNING)
    return run

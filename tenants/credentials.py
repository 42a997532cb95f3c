"""An edge node's client id and secrets: made when it is onboarded, revoked when it is not trusted any more."""

import hmac
import secrets
from collections.abc import Iterable
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, NullIf

from tenants.models import EdgeCredential, Project, RevokedNode, Role
from tenants.models.token import NODE_CLIENT
from tenants.secrets import seal, unseal

AGENT_ROLE = Role.AGENT.value


def client_id_of(host_uuid: UUID) -> str:
    return f"{NODE_CLIENT}{host_uuid}"


def issue(host_uuid: UUID) -> tuple[str, str]:
    """(client id, secret) for a machine of the current schema that calls. The secret of the call before ends."""
    secret = secrets.token_urlsafe(32)
    if not make(host_uuid, secret):
        # What the installed system has stays as it is; older rows have one secret for both.
        EdgeCredential.objects.filter(client_id=client_id_of(host_uuid), schema=connection.schema_name).update(
            installed_sealed=Coalesce(NullIf(F("installed_sealed"), Value("")), F("secret_sealed")),
            secret_sealed=seal(secret),
        )
    return client_id_of(host_uuid), secret


def make(host_uuid: UUID, secret: str = "") -> bool:
    """So that this machine of the current schema can be installed: a person at its console let it in. False if it is

    there already.
    """
    _, made = EdgeCredential.objects.get_or_create(
        client_id=client_id_of(host_uuid),
        schema=connection.schema_name,
        defaults={
            "host_uuid": host_uuid,
            "secret_sealed": seal(secret or secrets.token_urlsafe(32)),
            "installed_sealed": seal(secrets.token_urlsafe(32)),
        },
    )
    return made


def take_over(host_uuid: UUID, secret: str) -> None:
    """Let a machine of the current schema, which has none here, go on with the secret that another system gave it."""
    EdgeCredential.objects.create(
        schema=connection.schema_name, client_id=client_id_of(host_uuid), host_uuid=host_uuid,
        secret_sealed=seal(secret), installed_sealed=seal(secret),
    )  # fmt: skip


def lacking(hosts: Iterable[UUID]) -> set[UUID]:
    """Those of these machines of the current schema that have none."""
    return {*hosts} - {
        *EdgeCredential.objects.filter(schema=connection.schema_name).values_list("host_uuid", flat=True)
    }


def secret_of(host_uuid: UUID) -> str | None:
    """The secret for the installed system of a machine of the current schema; None if it isn't trusted."""
    credential = EdgeCredential.objects.filter(client_id=client_id_of(host_uuid), schema=connection.schema_name).first()
    return unseal(credential.installed_sealed or credential.secret_sealed) if credential else None


def trusts(client_id: str, digest: str) -> None:
    """The node has said which authorities it trusts. Written only if that is news. Call from the public schema."""
    EdgeCredential.objects.filter(client_id=client_id).exclude(trusts=digest).update(trusts=digest)


def revoke(host_uuid: UUID | None) -> None:
    """Nothing that asks with this node's secret gets a token any more, and those it was given end within a minute.

    Revoking twice is harmless.
    """
    theirs = EdgeCredential.objects.filter(host_uuid=host_uuid, schema=connection.schema_name)
    with transaction.atomic():
        for client_id in theirs.values_list("client_id", flat=True):
            RevokedNode.objects.create(schema=connection.schema_name, client_id=client_id)
        theirs.delete()


def revoke_all() -> None:
    """The same for all nodes of the current schema, whose project goes: their tokens name one that isn't served."""
    EdgeCredential.objects.filter(schema=connection.schema_name).delete()


def of_client(client_id: str) -> EdgeCredential | None:
    """The node with this client id, whosever it is. Call from the public schema."""
    return EdgeCredential.objects.filter(client_id=client_id).first()


def is_secret_of(credential: EdgeCredential, secret: str) -> bool:
    kept = [unseal(sealed) for sealed in (credential.secret_sealed, credential.installed_sealed) if sealed]
    return any(hmac.compare_digest(one.encode(), secret.encode()) for one in kept)


def project_of(credential: EdgeCredential) -> Project | None:
    """None once the project is not, or not yet, served."""
    return Project.objects.ready().filter(schema_name=credential.schema).first()

"""An edge node's client id and secret: made when it is onboarded, revoked when it is not trusted any more."""

import hmac
import secrets
from uuid import UUID

from django.db import connection, transaction

from tenants.models import EdgeCredential, Project, RevokedNode, Role
from tenants.models.token import NODE_CLIENT
from tenants.secrets import seal, unseal

AGENT_ROLE = Role.AGENT.value


def client_id_of(host_uuid: UUID) -> str:
    return f"{NODE_CLIENT}{host_uuid}"


def issue(host_uuid: UUID) -> tuple[str, str]:
    """(client id, secret) of a node of the current schema; the same secret until it is revoked."""
    fresh = seal(secrets.token_urlsafe(32))
    credential, _ = EdgeCredential.objects.get_or_create(
        client_id=client_id_of(host_uuid),
        schema=connection.schema_name,
        defaults={"host_uuid": host_uuid, "secret_sealed": fresh},
    )
    return credential.client_id, unseal(credential.secret_sealed)


def secret_of(host_uuid: UUID) -> str | None:
    """The secret that a node of the current schema was given; None if it was given none, or it was revoked."""
    credential = EdgeCredential.objects.filter(client_id=client_id_of(host_uuid), schema=connection.schema_name).first()
    return unseal(credential.secret_sealed) if credential else None


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
    return hmac.compare_digest(unseal(credential.secret_sealed).encode(), secret.encode())


def project_of(credential: EdgeCredential) -> Project | None:
    """None once the project is not, or not yet, served."""
    return Project.objects.ready().filter(schema_name=credential.schema).first()

"""An edge node's client id and secret: made when it is onboarded, revoked when it is not trusted any more."""

import hmac
import secrets
from uuid import UUID

from django.db import connection

from tenants.models import EdgeCredential, Project
from tenants.secrets import seal, unseal

AGENT_ROLE = "en-agent-rw"


def client_id_of(host_uuid: UUID) -> str:
    return f"edgenode-{host_uuid}"


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
    """Nothing that asks with this node's secret gets a token any more. Revoking twice is harmless."""
    EdgeCredential.objects.filter(host_uuid=host_uuid, schema=connection.schema_name).delete()


def revoke_all() -> None:
    """The same for all nodes of the current schema."""
    EdgeCredential.objects.filter(schema=connection.schema_name).delete()


def roles_of_client(client_id: str, secret: str) -> list[str] | None:
    """The roles of the node with this id and secret; None if they are wrong. Call from the public schema."""
    credential = EdgeCredential.objects.filter(client_id=client_id).first()
    if credential is None or not hmac.compare_digest(unseal(credential.secret_sealed), secret):
        return None
    project = Project.objects.get(schema_name=credential.schema)
    return [f"{project.uuid}_{AGENT_ROLE}"]

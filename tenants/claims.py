"""Which tenant a machine belongs to: claimed with the host's row, in one transaction, and released with it."""

from uuid import UUID

from django.db import IntegrityError, connection, transaction

from tenants.errors import AlreadyClaimed
from tenants.models import Claim


def claim(resource_id: str, uuid: UUID | None, serial: str) -> None:
    """Take this machine for a host of the current schema. Raises AlreadyClaimed, the same for any owner."""
    try:
        with transaction.atomic():
            Claim.objects.create(schema=connection.schema_name, resource_id=resource_id, uuid=uuid, serial=serial)
    except IntegrityError as taken:
        what = f"UUID {uuid}" if uuid else f"serial number {serial}"
        raise AlreadyClaimed(f"A host with {what} is already registered") from taken


def complete(resource_id: str, uuid: UUID) -> None:
    """Add the UUID that a machine, registered by its serial number alone, has reported."""
    try:
        with transaction.atomic():
            Claim.objects.filter(schema=connection.schema_name, resource_id=resource_id).update(uuid=uuid)
    except IntegrityError as taken:
        raise AlreadyClaimed(f"A host with UUID {uuid} is already registered") from taken


def release(resource_id: str) -> None:
    Claim.objects.filter(schema=connection.schema_name, resource_id=resource_id).delete()

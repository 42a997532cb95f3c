"""Whose a machine is, and a port of the proxy: claimed with the row, in one transaction, and released with it."""

from uuid import UUID

from django.db import IntegrityError, connection, transaction

from tenants.errors import AlreadyClaimed
from tenants.models import Claim, Port
from tenants.statements import insert


def claim(resource_id: str, uuid: UUID | None, serial: str) -> None:
    """Take this machine for a host of the current schema. Raises AlreadyClaimed, the same for any owner, and then the

    transaction is of no more use: the host, which is made in it, mustn't be there.
    """
    try:
        insert(Claim, schema=connection.schema_name, resource_id=resource_id, uuid=uuid, serial=serial)
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


def correct(resource_id: str, serial: str) -> None:
    """The serial number that the machine with this host's UUID really has. Raises AlreadyClaimed."""
    try:
        with transaction.atomic():
            Claim.objects.filter(schema=connection.schema_name, resource_id=resource_id).update(serial=serial)
    except IntegrityError as taken:
        raise AlreadyClaimed(f"A host with serial number {serial} is already registered") from taken


def claim_port(resource_id: str, number: int) -> None:
    """Take this port for a remote access of the current schema, instead of any it had. Raises AlreadyClaimed."""
    Port.objects.filter(schema=connection.schema_name, resource_id=resource_id).delete()
    try:
        with transaction.atomic():
            Port.objects.create(schema=connection.schema_name, resource_id=resource_id, number=number)
    except IntegrityError as taken:
        raise AlreadyClaimed(f"Port {number} is for another remote access") from taken

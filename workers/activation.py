"""How a project's machines get their AMT activated: its password and its profiles in RPS, made when the first asks."""

import logging
import secrets
import string
from uuid import UUID

from django.db import connection

from tenants import schema
from tenants.models import Project
from tenants.secrets import seal, unseal
from workers.drivers.amt import Rps
from workers.drivers.base import Fault, Unable
from workers.models import Activation

log = logging.getLogger(__name__)

PASSWORD = 20  # characters; AMT has at most 32, and wants one of each kind
SIGNS = "!$*-"


def tenant_here() -> UUID:
    return Project.objects.values_list("uuid", flat=True).get(schema_name=connection.schema_name)


def is_ready() -> bool:
    """Whether RPS has the profiles of the current project."""
    return Activation.objects.filter(schema=connection.schema_name, is_made=True).exists()


def make() -> None:
    """Raises Fault, Unable."""
    tenant = tenant_here()
    activation, _ = Activation.objects.get_or_create(
        schema=connection.schema_name, defaults={"tenant": tenant, "password_sealed": seal(_new_password())}
    )
    Rps(tenant).make_profiles(unseal(activation.password_sealed))
    Activation.objects.filter(pk=activation.pk).update(is_made=True)


def password() -> str:
    """By which a machine of the current project is activated; none if it can't be yet."""
    activation = Activation.objects.filter(schema=connection.schema_name, is_made=True).first()
    return unseal(activation.password_sealed) if activation else ""


def clean() -> int:
    """Of projects that are gone, RPS forgets the profiles. How many projects. Call from public."""
    gone = 0
    for activation in Activation.objects.all():
        if schema.exists(activation.schema) or Project.objects.filter(schema_name=activation.schema).exists():
            continue
        try:
            Rps(activation.tenant).remove_profiles()
        except (Fault, Unable) as later:
            log.warning("RPS keeps a project's profiles for now", extra={"schema": activation.schema, "why": later})
            continue
        activation.delete()
        gone += 1
    return gone


def _new_password() -> str:
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SIGNS)
    while True:
        word = "".join(secrets.choice("".join(kinds)) for _ in range(PASSWORD))
        if all(any(letter in kind for letter in word) for kind in kinds):
            return word

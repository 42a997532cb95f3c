"""ask() for a whole batch of new hosts with their instances, in eight statements instead of twenty a host.

It leaves exactly what Host.ask() and Instance.ask() leave, one after the other; a test compares them. Values are not
validated again (rows.py has), and whatever the database refuses takes back the whole batch.
"""

import secrets
from collections.abc import Sequence
from uuid import UUID

from django.db import connection, models, transaction

from inventory.models import CustomConfig, Customization, Host, HostState, Instance, InstanceState, Resource
from tenants import events
from tenants.models import Claim

New = tuple[Instance, Sequence[CustomConfig]]  # neither it nor its host is there yet


@transaction.atomic
def ask_for_all(new: Sequence[New], host_state: HostState) -> None:
    """Make these instances, wished to run, and their hosts, wished to be in this state. Raises IntegrityError."""
    # Sorted, so that two importers of the same machines wait for each other instead of for ever.
    new = sorted(new, key=lambda one: (one[0].host.uuid or UUID(int=0), one[0].host.serial_number))
    instances = [instance for instance, _ in new]
    hosts = [instance.host for instance in instances]
    for host in hosts:
        host.resource_id = host.name = _new_id(Host)
        host.desired_state = host_state
    _insert(Host, hosts)
    schema = connection.schema_name
    Claim.objects.bulk_create(
        Claim(schema=schema, resource_id=host.resource_id, uuid=host.uuid, serial=host.serial_number) for host in hosts
    )
    for instance in instances:
        instance.resource_id = _new_id(Instance)
        instance.host = instance.host  # its id is known only now
        instance.desired_state = InstanceState.RUNNING
    _insert(Instance, instances)
    customize(new)
    events.announce_all(hosts, "created")
    events.announce_all(instances, "created")


def customize(new: Sequence[New]) -> None:
    """Note which custom configs these instances, now there, were made with."""
    Customization.objects.bulk_create(
        Customization(instance=instance, custom_config=config) for instance, configs in new for config in configs
    )


def _new_id(kind: type[Resource]) -> str:
    return f"{kind.prefix}-{secrets.token_hex(4)}"


def _insert(kind: type[Resource], rows: Sequence[Resource]) -> None:
    models.QuerySet.bulk_create(kind.objects.all(), rows)  # of Django: ours leaves new rows to ask(), as we are here

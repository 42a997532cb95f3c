"""Which host a call of an agent is about, and whether it may report: what all managers' doors ask first.

In this order, as the archived system's agents expect it: a malformed message, another node's host, an unknown host,
one that isn't trusted, one that isn't installed yet.
"""

from uuid import UUID

import grpc
from django.db.models import QuerySet

from inventory.models import Host, HostState, Instance, InstanceState
from workers.southbound import Node, Refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT

_STATES = ("resource_id", "current_state", "desired_state")
_LOOKED_AT = ("uuid", *_STATES, "instance__host", *(f"instance__{column}" for column in _STATES))


def guid(text: str) -> UUID:
    """Raises Refusal: of 36 letters at most, as it comes from the firmware."""
    try:
        if len(text) > 36:
            raise ValueError
        return UUID(text)
    except ValueError:
        raise Refusal(INVALID, f"{text[:40]!r} is not a UUID") from None


def reporting_host(
    node: Node, host_uuid: UUID, *columns: str, lock: bool = False, rows: QuerySet[Host] | None = None
) -> Host:
    """The host that reports about itself: it must be this tenant's, and trusted. rows: with what it is read.

    Read with few columns, and those named: Django is busy with all 90 for longer than with the rest of a heartbeat.
    """
    node.must_be(host_uuid)
    hosts = Host.objects.all() if rows is None else rows
    hosts = hosts.select_for_update(of=("self",)) if lock else hosts
    host = hosts.filter(uuid=host_uuid).select_related("instance").only(*_LOOKED_AT, *columns).order_by().first()
    if host is None:
        raise Refusal(grpc.StatusCode.NOT_FOUND, "No such host")
    if HostState.UNTRUSTED in (host.current_state, host.desired_state):
        raise Refusal(grpc.StatusCode.UNAUTHENTICATED, "The host is not trusted any more")
    return host


def provisioned_instance(host: Host) -> Instance:
    """Agents repeat what is refused here until the host is provisioned."""
    instance = getattr(host, "instance", None)
    if instance is None:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION)
    if instance.current_state != InstanceState.RUNNING:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, because_of=(host.resource_id, instance.resource_id))
    return instance

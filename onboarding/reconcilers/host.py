"""Ends what a host was: its credentials when it is not trusted any more, the host itself when it is deleted."""

from datetime import timedelta

from django.db import connection

from inventory import presence
from inventory.models import Host, HostState, Instance, Status
from tenants import credentials
from workers.engine import Done, Later, Reconciler, register


@register
class HostTrust(Reconciler):
    model = Host

    def outstanding(self):
        """Machines move to REGISTERED and ONBOARDED by themselves, by calling us: waiting for one costs nothing."""
        return super().outstanding().filter(desired_state__in=[HostState.UNTRUSTED, HostState.DELETED])

    def reconcile(self, host):
        credentials.revoke(host.uuid)
        if host.uuid:
            presence.forget_host(connection.schema_name, host.uuid)
        if host.desired_state == HostState.UNTRUSTED:
            unknown = Status("Unknown")
            return Done(
                "Invalidated", state=HostState.UNTRUSTED, onboarding_status=unknown, registration_status=unknown
            )
        instance = Instance.objects.filter(host=host).first()
        if instance is not None:
            return Later(timedelta(seconds=2), f"Deleting: waiting on {instance} deletion")
        return Done(state=HostState.DELETED)

    def end_all(self):
        credentials.revoke_all()
        presence.forget_tenant(connection.schema_name)
        return True

"""An organization is there as soon as it is asked for, and gone as soon as it may go: it has its row and a group."""

from tenants import groups
from tenants.models import Organization
from workers.engine import Done, Reconciler, register
from workers.models import Queue


@register
class OrganizationRow(Reconciler):
    model, queue = Organization, Queue.TENANT

    def reconcile(self, organization):
        if organization.is_going:
            groups.remove_groups(organization)
        else:
            groups.default_groups(organization)
        return Done(organization.says(" is complete"), state=organization.desired_state)

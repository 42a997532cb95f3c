"""Brings a tenant up, and takes it down: its schema, what every tenant begins with, and all that ends with it."""

from datetime import timedelta

from django.db import DatabaseError, OperationalError
from django_tenants.utils import schema_context
from psycopg.errors import LockNotAvailable

from inventory import defaults
from tenants import fleet, groups, schema
from tenants.errors import BadDefaults
from tenants.models import Project, TenantState
from tenants.resource import Indicator, Status
from workers import teardown
from workers.engine import Done, Later, Reconciler, register
from workers.models import Queue


@register
class ProjectSchema(Reconciler):
    model, queue = Project, Queue.TENANT

    def reconcile(self, project):
        try:
            return self.take_down(project) if project.is_going else self.bring_up(project)
        except (DatabaseError, BadDefaults) as fault:
            why = str(fault).strip().splitlines()[0]
            project.observe(status=Status(project.says(f" failed, and is tried again: {why}"), Indicator.ERROR))
            raise

    def bring_up(self, project):
        with schema_context("public"):  # migrating leaves the connection in the schema that it was about
            if not schema.create(project):
                for behind in fleet.pending([fleet.Tenant(project.schema_name, project.name)]):
                    behind.migrate()  # half made by a migration, or made before the release that we are of
        with schema_context(project.schema_name):
            defaults.make()
        groups.default_groups(project)
        return Done(project.says(" is complete"), state=TenantState.CREATED)

    def take_down(self, project):
        if why := teardown.waits_for(project):
            return Later(teardown.LOOK_AGAIN, project.says(f": {why}"))
        try:
            is_gone = teardown.remove(project)
        except OperationalError as fault:
            if not isinstance(fault.__cause__, LockNotAvailable):
                raise
            return self.get_past(project)
        if not is_gone:
            return Later(timedelta(), project.says(": removing its data"))  # others have their turn
        groups.remove_groups(project)
        return Done(project.says(" is complete"), state=TenantState.DELETED)

    def get_past(self, project):
        """Somebody is in a table of the schema. Whoever backs up the database is in all of them, for hours."""
        holders = fleet.lock_holders(project.schema_name) or "somebody who makes or removes another project"
        if project.forced:
            fleet.end_lock_holders(project.schema_name)
        return Later(
            teardown.LOOK_AGAIN, project.says(f": waiting on {holders}; deleting it by force ends such a session")
        )

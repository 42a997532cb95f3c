"""Workflows in the project's admin: to read, and to try again. Row-level security keeps other tenants' out of it."""

from django.contrib import admin, messages

from inventory.admin import ResourceAdmin, site
from inventory.models import Instance
from provisioning import workflow
from provisioning.models import Workflow


@admin.register(Workflow, site=site)
class WorkflowAdmin(ResourceAdmin):
    list_display = ["workflow_id", "host_id", "instance_id", "attempt", "state", "progress", "reason", "heard_at"]
    list_filter = ["state"]
    search_fields = ["workflow_id", "host_id", "instance_id"]
    ordering = ["-id"]
    actions = ["retry"]

    def get_readonly_fields(self, request, obj=None):
        return [field.name for field in Workflow._meta.concrete_fields]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.display
    def progress(self, run):
        return workflow.progress(run)

    @admin.action(description="Try again: install from the start")
    def retry(self, request, runs):
        for instance in Instance.objects.filter(resource_id__in=runs.values("instance_id")):
            try:
                self.message_user(request, f"{instance}: {workflow.retry(instance)}")
            except workflow.NotToBeInstalled as why:
                self.message_user(request, str(why), messages.ERROR)

"""Installations in the project's admin: history, queue, logs, and the verbs. Row-level security keeps others' out."""

from datetime import UTC, datetime

from django.contrib import admin, messages
from django.utils.html import format_html, format_html_join

from inventory.admin import ResourceAdmin, site
from inventory.models import Instance
from provisioning import verbs, workflow
from provisioning.models import Workflow
from tenants.permissions import name_of


def doing(name: str, description: str, **told):
    """An action that does this verb to the instances of the chosen runs."""

    @admin.action(description=description)
    def act(model_admin, request, runs):
        for instance in Instance.objects.filter(resource_id__in=runs.values("instance_id")):
            try:
                run = verbs.VERBS[name](instance, name_of(request.user), **told)
                model_admin.message_user(request, f"{instance}: {run} is {run.get_state_display().lower()}")
            except verbs.REFUSALS as why:
                model_admin.message_user(request, str(why), messages.ERROR)

    act.__name__ = "_".join([name, *told])
    return act


@admin.register(Workflow, site=site)
class WorkflowAdmin(ResourceAdmin):
    list_display = ["workflow_id", "host_id", "instance_id", "attempt", "state", "how", "reason", "heard_at"]
    list_filter = ["state"]
    search_fields = ["workflow_id", "host_id", "instance_id"]
    ordering = ["-id"]
    exclude = ["schema", "actions", "inputs_sealed"]
    actions = [
        doing("retry", "Try again: go on where it failed"),
        doing("retry", "Try again from the start", from_start=True),
        doing("reprovision", "Install anew, the operating system that the instance has now"),
        doing("pause", "Pause: begin no further step"),
        doing("resume", "Go on after a pause"),
        doing("abort", "Abort"),
    ]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("inputs_sealed")

    def get_readonly_fields(self, request, obj=None):
        kept = [field.name for field in Workflow._meta.concrete_fields if field.name not in self.exclude]
        return [*kept, "how", "steps"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.display(description="progress")
    def how(self, run):
        return workflow.in_words(run)

    @admin.display
    def steps(self, run):
        """Each step, and what the machine said of it."""
        rows = (
            (
                workflow.PROGRESS.get(action["name"], action["name"]), action["state"], action.get("seconds", ""),
                format_html_join("", "<div>{} {}</div>", (
                    (datetime.fromtimestamp(line["at"], UTC).isoformat(" ", "seconds"), line["message"])
                    for line in action.get("log", [])
                )),
            ) for action in run.actions
        )  # fmt: skip
        cells = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"
        heads = format_html_join("", "<th>{}</th>", [("Step",), ("State",), ("Seconds",), ("What the machine said",)])
        return format_html("<table><tr>{}</tr>{}</table>", heads, format_html_join("", cells, rows))

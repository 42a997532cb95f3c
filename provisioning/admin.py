"""The project's admin: installations, and the verbs on them. The public one: what the installation boots from."""

from datetime import UTC, datetime

from django.contrib import admin, messages
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from inventory.admin import ResourceAdmin, site
from inventory.models import Instance
from provisioning import artifacts, boot_keys, mirror, verbs, workflow
from provisioning.dkam.errors import BuildFailed
from provisioning.models import Artifact, BootKey, Mirrored, Workflow
from tenants.admin import ToRead
from tenants.errors import ResourceError
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
    come_from = "One begins when a host that is to be installed is onboarded: “Install” on its page."
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


@admin.register(Artifact)
class ArtifactAdmin(ToRead):
    """In the public admin: what machines boot and install from. An action takes no rows: it needs one to be ticked."""

    list_display = ["name", "build_status", "current_digest", "held", "updated_at"]
    readonly_fields = ["kept", "log"]
    ordering = ["pk"]
    actions = ["build_all", "go_back"]

    @admin.display(description="versions")
    def kept(self, artifact):
        rows = (
            (version.digest, "served" if version.digest == artifact.current_digest else "kept", _when(version.built_at))
            for version in artifacts.store().versions(artifact.name)
        )
        return format_html_join("", "<div>{} ({}, built {})</div>", rows)

    @admin.display
    def log(self, artifact):
        return format_html("<pre>{}</pre>", artifacts.log(artifact.name))

    @admin.action(description="Build everything that would be another today")
    def build_all(self, request, rows):
        try:
            artifacts.ask_for_all()
        except BuildFailed as failure:
            self.message_user(request, str(failure), messages.ERROR)
        else:
            self.message_user(request, "Asked for")

    @admin.action(description="Go back to the version before")
    def go_back(self, request, rows):
        for artifact in rows:
            try:
                artifacts.go_back(artifact.name)
            except artifacts.NoSuchVersion as why:
                self.message_user(request, str(why), messages.ERROR)
            else:
                self.message_user(request, f"{artifact.name}, and what was made of it, go back")


@admin.register(BootKey)
class BootKeyAdmin(ToRead):
    list_display = ["kind", "pk", "made_at", "retired_at"]
    fields = ["kind", "made_at", "retired_at", "certificate"]
    actions = ["rotate", "retire"]

    @admin.action(description="Rotate: make a new key of this kind; the one before counts, too, until it is retired")
    def rotate(self, request, rows):
        for kind in {*rows.values_list("kind", flat=True)}:
            self.message_user(request, f"{boot_keys.rotate(kind)} was made: build the artifacts now")

    @admin.action(description="Retire the older key of this kind")
    def retire(self, request, rows):
        for kind in {*rows.values_list("kind", flat=True)}:
            try:
                self.message_user(request, f"{boot_keys.retire(kind)} is retired: build the artifacts now")
            except boot_keys.NothingToRetire as why:
                self.message_user(request, str(why), messages.ERROR)


@admin.register(Mirrored)
class MirroredAdmin(ModelAdmin):
    list_display = ["url", "download_status", "size_bytes", "sha256"]
    fields = ["url", "sha256"]
    actions = ["again"]

    def has_change_permission(self, request, obj=None):
        return False

    def save_model(self, request, obj, form, change):
        obj.ask(digest=obj.sha256)

    def delete_model(self, request, obj):
        mirror.forget(obj)

    def delete_queryset(self, request, queryset):
        for row in queryset:
            mirror.forget(row)

    @admin.action(description="Download again after a failure")
    def again(self, request, rows):
        for row in rows:
            try:
                mirror.ask(row.url, row.sha256)
            except ResourceError as why:
                self.message_user(request, str(why), messages.ERROR)


def _when(seconds):
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"

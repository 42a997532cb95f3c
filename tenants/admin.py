"""The public admin: organizations, projects and people. What is in a project has an admin of its own."""

from datetime import UTC, datetime

from django.contrib import admin, messages
from django.http import HttpResponseRedirect
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from tenants import api_tokens, standing
from tenants.admin_people import GrantInline
from tenants.errors import ResourceError
from tenants.models import ApiToken, Client, Event, Organization, Project, SignIn, TenantState
from tenants.models.audit import Audit


def coloured(text: str, indicator: str) -> str:
    """A status as the console shows it, in light and dark: console.css has the colours."""
    return format_html('<span class="state {}">{}</span>', indicator.removeprefix("STATUS_INDICATION_"), text)


class InOrganization(GrantInline):
    fk_name = "organization"
    fields = ["role", "user", "group"]
    autocomplete_fields = ["user", "group"]


class NamedAdmin(ModelAdmin):
    """What is added or deleted here is wished for; workers make it so, and the status tells how it goes."""

    list_display_links = ["name"]
    list_filter = ["current_state", "desired_state"]
    search_fields = ["name", "uuid"]
    ordering = ["name"]
    chosen: tuple[str, ...] = ()  # what may be changed at any time

    @admin.display(description="status")
    def how(self, row):
        status, _ = row.shown
        return coloured(status.text, status.indicator)

    @admin.display
    def since(self, row):
        return datetime.fromtimestamp(row.shown[1], UTC)

    def get_fields(self, request, obj=None):
        given = self.given if obj is None else (*self.given, *self.told)
        return [*given, "description", *self.chosen]

    def get_readonly_fields(self, request, obj=None):
        return [] if obj is None else [*self.given, *self.told]

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ResourceError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request, obj, form, change):
        if change:
            obj.save()
        else:
            obj.ask(state=TenantState.CREATED)

    def delete_model(self, request, obj):
        self.ask_to_go(request, [obj])

    def delete_queryset(self, request, queryset):
        self.ask_to_go(request, queryset)

    def ask_to_go(self, request, rows):
        for row in rows:
            try:
                row.ask(state=TenantState.DELETED)
            except ResourceError as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                self.message_user(request, row.says(" initiated"))


@admin.register(Organization)
class OrganizationAdmin(NamedAdmin):
    list_display = ["name", "how", "since", "uuid", "description"]
    given, told = ("name",), ("uuid", "desired_state", "current_state", "how", "since")
    inlines = [InOrganization]


class InProject(GrantInline):
    fk_name = "project"
    fields = ["role", "user", "group"]
    autocomplete_fields = ["user", "group"]


@admin.register(Project)
class ProjectAdmin(NamedAdmin):
    list_display = ["name", "organization", "how", "since", "uuid", "inventory"]
    list_select_related = ["organization"]
    given = ("name", "organization")
    told = ("uuid", "schema_name", "desired_state", "current_state", "how", "since", "inventory")
    chosen = ("host_metrics",)
    inlines = [InProject]
    actions = ["delete_by_force"]

    @admin.display
    def inventory(self, project):
        if not project.is_ready:
            return "not served"
        return format_html('<a href="/p/{}/">its console</a>', project.name)

    @admin.action(description="Delete by force: wait for no host, end sessions in its tables", permissions=["delete"])
    def delete_by_force(self, request, projects):
        for project in projects:
            project.forced = True
            self.ask_to_go(request, [project])


class ToRead(ModelAdmin):
    """What was written down, newest first."""

    ordering = ["-id"]
    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Event)
class EventAdmin(ToRead):
    """The journal, to read."""

    list_display = ["at", "schema", "verb", "kind", "resource_id", "who"]
    list_filter = ["verb", "kind"]
    search_fields = ["resource_id", "who"]


@admin.register(Audit)
class AuditAdmin(ToRead):
    list_display = ["at", "schema", "kind", "who", "method", "action", "resource_id", "address", "status", "code"]
    list_filter = ["kind", "method", "status"]
    search_fields = ["who", "resource_id", "address", "request_id"]


@admin.register(Client)
class ClientAdmin(ModelAdmin):
    """Programs that people sign in with. Those that ask for themselves are made by `manage.py create_client`."""

    list_display = ["client_id", "description", "grants", "service_account", "enabled"]
    autocomplete_fields = ["service_account"]


class CalledBack(ModelAdmin):
    """Rows that are looked at and ended, not written."""

    actions = ["end"]
    list_select_related = True

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and obj is None  # for the list and its action

    @admin.action(description="End the chosen ones", permissions=["change"])
    def end(self, request, chosen):
        for row in chosen:
            self.end_one(row)
        standing.forget()

    def delete_queryset(self, request, chosen):
        """Rows that are merely gone would not say that what was given on them has ended: cleaning takes them later."""
        self.end(request, chosen)

    def delete_model(self, request, row):
        self.end(request, [row])


@admin.register(SignIn)
class SignInAdmin(CalledBack):
    list_display = ["user", "client", "created_at", "used_at", "expires_at", "ended_at", "why_ended"]
    search_fields = ["user__username", "client__client_id"]

    def end_one(self, sign_in):
        sign_in.end("ended by an administrator")


@admin.register(ApiToken)
class ApiTokenAdmin(CalledBack):
    list_display = ["user", "name", "key", "read_only", "created_at", "expires_at", "used_at", "revoked_at"]
    search_fields = ["user__username", "name", "key"]

    def end_one(self, token):
        api_tokens.revoke(token)

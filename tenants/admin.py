"""The public admin: organizations, projects and people. What is in a project has an admin of its own."""

from django.contrib import admin
from django.utils.html import format_html

from tenants import api_tokens, standing
from tenants.admin_people import GrantInline
from tenants.models import ApiToken, Client, Event, Organization, Project, SignIn
from tenants.models.audit import Audit


class InOrganization(GrantInline):
    fk_name = "organization"
    fields = ["role", "user", "group"]
    autocomplete_fields = ["user", "group"]


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    list_display = ["name", "uuid", "description"]
    search_fields = ["name"]
    inlines = [InOrganization]


class InProject(GrantInline):
    fk_name = "project"
    fields = ["role", "user", "group"]
    autocomplete_fields = ["user", "group"]


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects are made by `manage.py create_project`, which makes their schemas too."""

    list_display = ["name", "organization", "uuid", "current_state", "inventory"]
    list_select_related = ["organization"]
    fields = ["name", "organization", "uuid", "schema_name", "desired_state", "current_state", "status", "description"]
    readonly_fields = ["name", "organization", "uuid", "schema_name", "desired_state", "current_state", "status"]
    search_fields = ["name"]
    inlines = [InProject]

    @admin.display
    def inventory(self, project):
        return format_html('<a href="/p/{}/admin/">its inventory</a>', project.name)

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class ToRead(admin.ModelAdmin):
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
class ClientAdmin(admin.ModelAdmin):
    """Programs that people sign in with. Those that ask for themselves are made by `manage.py create_client`."""

    list_display = ["client_id", "description", "grants", "service_account", "enabled"]
    autocomplete_fields = ["service_account"]


class CalledBack(admin.ModelAdmin):
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

"""The project's admin: every resource, with wishes as actions and facts to read, never to edit."""

from django.contrib import admin, messages
from django.http import HttpResponseRedirect
from django.utils.html import format_html

from inventory import errors
from inventory.models import (
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    OperatingSystem,
    Provider,
    Region,
    Site,
)
from tenants.admin import ToRead
from tenants.errors import AlreadyClaimed
from tenants.events import acting_as
from tenants.models.audit import Audit
from tenants.permissions import WRITERS, roles_in


class ProjectAdminSite(admin.AdminSite):
    """Who may write the project's inventory over the API may do so here."""

    site_header = site_title = "Edge Infrastructure Manager"

    def has_permission(self, request):
        """Of a project that isn't there as of one that is somebody else's: no."""
        return bool(request.project and request.user.is_active and roles_in(request.user, request.project) & WRITERS)

    def each_context(self, request):
        name = request.page_of
        return super().each_context(request) | {"site_header": f"{self.site_header}: {name}", "index_title": name}


site = ProjectAdminSite(name="project")

_COLOURS = {Indicator.ERROR: "#c0392b", Indicator.IN_PROGRESS: "#b9770e", Indicator.IDLE: "#1e8449"}


def shown(status: str):
    """A status column: its text in its indicator's colour."""

    @admin.display(description=status.replace("_", " "), ordering=status)
    def column(resource):
        colour = _COLOURS.get(getattr(resource, f"{status}_indicator"), "inherit")
        return format_html('<span style="color:{}">{}</span>', colour, getattr(resource, status))

    return column


class ResourceAdmin(admin.ModelAdmin):
    """Plain columns are edited; wishes are asked for by actions; facts are shown. All goes by ask() and save()."""

    asks: dict[str, str] = {}  # what adding one wishes

    def get_readonly_fields(self, request, obj=None):
        model = self.model
        hidden = {f.name for f in model._meta.concrete_fields if not f.editable and not f.primary_key}
        fixed = {"uuid", "serial_number", "host", "os"} & {f.name for f in model._meta.fields} if obj else set()
        return sorted(hidden | fixed | {"created_at", "updated_at"} if obj else set())

    # The admin's own permissions are about models; here the project's role decides, for all of them.
    def has_module_permission(self, request):
        return True

    def has_view_permission(self, request, obj=None):
        return True

    def has_add_permission(self, request):
        return True

    def has_change_permission(self, request, obj=None):
        return True

    def has_delete_permission(self, request, obj=None):
        return True

    def changeform_view(self, request, *args, **kwargs):
        with acting_as(request.user.get_username()):
            try:
                return super().changeform_view(request, *args, **kwargs)
            except (errors.InventoryError, AlreadyClaimed) as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
                return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request, obj, form, change):
        if change:
            obj.save()
        else:
            obj.ask(**self.asks)

    def delete_model(self, request, obj):
        obj.delete()

    def delete_queryset(self, request, queryset):
        for resource in queryset:
            try:
                self.delete_model(request, resource)
            except (errors.InventoryError, AlreadyClaimed) as refusal:
                self.message_user(request, str(refusal), messages.ERROR)

    def wish(self, request, resources, **wishes):
        with acting_as(request.user.get_username()):
            for resource in resources:
                try:
                    resource.ask(**wishes)
                except errors.InventoryError as refusal:
                    self.message_user(request, str(refusal), messages.ERROR)


@admin.register(Region, site=site)
class RegionAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "parent_region__name"]
    list_select_related = ["parent_region"]
    search_fields = ["name", "resource_id"]


@admin.register(Site, site=site)
class SiteAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "region__name"]
    list_select_related = ["region"]
    search_fields = ["name", "resource_id"]


@admin.register(OperatingSystem, site=site)
class OperatingSystemAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "profile_name", "image_id", "os_type"]
    search_fields = ["name", "profile_name", "resource_id"]


@admin.register(Provider, site=site)
class ProviderAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "provider_kind", "provider_vendor"]


@admin.register(Host, site=site)
class HostAdmin(ResourceAdmin):
    list_display = [
        "resource_id", "name", "serial_number", shown("host_status"), shown("onboarding_status"),
        shown("registration_status"), "site__name", "uuid",
    ]  # fmt: skip
    list_select_related = ["site"]
    list_filter = ["current_state", "host_status"]
    search_fields = ["name", "serial_number", "resource_id", "uuid"]
    asks = {"state": HostState.REGISTERED}
    actions = ["onboard", "invalidate"]

    @admin.action(description="Onboard: give it credentials when its machine calls")
    def onboard(self, request, hosts):
        self.wish(request, hosts, state=HostState.ONBOARDED)

    @admin.action(description="Invalidate: trust it no more")
    def invalidate(self, request, hosts):
        self.wish(request, hosts, state=HostState.UNTRUSTED)

    def delete_model(self, request, host):
        host.ask(state=HostState.DELETED)


@admin.register(Instance, site=site)
class InstanceAdmin(ResourceAdmin):
    list_display = [
        "resource_id", "host__name", shown("provisioning_status"), shown("instance_status"), "os__name",
        "current_state",
    ]  # fmt: skip
    list_select_related = ["host", "os"]
    list_filter = ["current_state"]
    search_fields = ["resource_id", "host__name", "host__resource_id"]
    asks = {"state": InstanceState.RUNNING}

    def delete_model(self, request, instance):
        instance.ask(state=InstanceState.DELETED)


@admin.register(Audit, site=site)
class AuditAdmin(ToRead):
    """The project's own lines: row-level security shows no others."""

    list_display = ["at", "kind", "who", "method", "action", "resource_id", "address", "status", "code"]
    list_filter = ["kind", "method", "status"]
    search_fields = ["who", "resource_id", "address", "request_id"]

    def has_module_permission(self, request):
        return True

    def has_view_permission(self, request, obj=None):
        return True

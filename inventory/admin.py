"""The project's admin: every resource, with wishes as actions and facts to read, never to edit."""

from datetime import UTC, datetime
from functools import cache

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.db import connection, transaction
from django.db.models import JSONField
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline

from inventory import errors, presence
from inventory.defaults import PROVIDER
from inventory.forms import (
    Degrees,
    Lines,
    MetadataLines,
    PolicyForm,
    ProviderForm,
    TelemetryProfileForm,
    ZeroTouchForm,
    named,
)
from inventory.models import (
    AmtState,
    CustomConfig,
    Customization,
    Endpoint,
    Host,
    HostState,
    Instance,
    InstanceState,
    KvmState,
    LocalAccount,
    Netlink,
    NetlinkState,
    NetworkSegment,
    OperatingSystem,
    OsUpdatePolicy,
    OsUpdateRun,
    Ou,
    PowerState,
    Provider,
    ProviderKind,
    ProviderVendor,
    Region,
    RemoteAccess,
    RemoteAccessState,
    RepeatedSchedule,
    SingleSchedule,
    Site,
    SolState,
    TelemetryGroup,
    TelemetryProfile,
    Workload,
    WorkloadMember,
    WorkloadState,
)
from inventory.models.base import EpochField
from inventory.models.metadata import MetadataField
from inventory.models.policy import OPEN
from inventory.naming import as_written
from tenants.admin import ToRead, coloured
from tenants.door import GuardedAdminSite
from tenants.errors import AlreadyClaimed
from tenants.models import Event
from tenants.models.audit import Audit
from tenants.permissions import READERS, WRITERS, roles_here


class ProjectAdminSite(GuardedAdminSite):
    """Who may read the project's inventory over the API may do so here, and who may write, may write."""

    site_header = site_title = "Edge Infrastructure Manager"
    index_template = "project_admin/index.html"

    def has_permission(self, request):
        return bool(roles_here(request) & READERS)

    def get_log_entries(self, request):
        """None: Django's log says what somebody did in all projects. A project's own is the journal."""
        return LogEntry.objects.none()

    def each_context(self, request):
        told = {"site_header": request.project.name, "site_subheader": self.site_header, "site_url": "/"}
        return super().each_context(request) | told

    def index(self, request, extra_context=None):
        return super().index(request, {"title": f"Project {request.project.name}"})

    def autocomplete_view(self, request):
        return Choices.as_view(admin_site=self)(request)


class Choices(AutocompleteJsonView):
    def serialize_result(self, obj, to_field_name):
        return super().serialize_result(obj, to_field_name) | {"text": named(obj)}


site = ProjectAdminSite(name="project")

HISTORY = 200  # lines of the journal on a page


def shown(status: str):
    """A status column: its text in its indicator's colour."""

    @admin.display(description=as_written(status.replace("_", " ")), ordering=status)
    def column(resource):
        return coloured(getattr(resource, status), getattr(resource, f"{status}_indicator"))

    return column


@cache
def told(field):
    """A column of facts, to read on a page of one: a status in its colour, with since when; seconds as a moment."""

    @admin.display(description=field.verbose_name, empty_value="never")
    def column(resource):
        value = getattr(resource, field.name)
        if isinstance(field, EpochField):
            return datetime.fromtimestamp(value, UTC) if 0 < value < OPEN else None
        since = getattr(resource, f"{field.name}_timestamp")
        status = coloured(value, getattr(resource, f"{field.name}_indicator"))
        at = f" since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return format_html("{}{}", status, at)

    column.__name__ = field.name
    return column


def asking(description: str, **wishes: str):
    """An action that asks for these wishes."""

    @admin.action(description=description)
    def act(model_admin, request, resources):
        model_admin.wish(request, resources, **wishes)

    act.__name__ = "_".join(wishes.values()).lower()
    return act


class ResourceAdmin(ModelAdmin):
    """Plain columns are edited; wishes are asked for by actions; facts are shown. All goes by ask() and save()."""

    come_from = ""  # what is said to whoever finds none, of what nobody adds here
    asks: dict[str, str] = {}  # what adding one wishes
    deletes: dict[str, str] = {}  # what deleting one wishes; without it the row goes at once
    fixed: set[str] = set()  # columns that are given once, when one is added, besides those that the model says
    said: set[str] = set()  # choices whose default, that it isn't said, the model refuses

    def get_readonly_fields(self, request, obj=None):
        if not obj:
            return []
        facts = {f.name for f in self.model._meta.concrete_fields if not f.editable and not f.primary_key}
        names = facts | self.fixed | self.model.fixed | {"created_at", "updated_at"}
        with_status = {name for name in names if {f"{name}_indicator", f"{name}_timestamp"} <= names}
        names -= {f"{name}{end}" for name in with_status for end in ("_indicator", "_timestamp")}
        columns = {name: self.model._meta.get_field(name) for name in sorted(names)}
        return [
            told(field) if name in with_status or isinstance(field, EpochField) else name
            for name, field in columns.items()
        ]

    def get_exclude(self, request, obj=None):
        """And those that are shown otherwise than they are kept."""
        shown_otherwise = [one.__name__ for one in self.get_readonly_fields(request, obj) if callable(one)]
        return [*(super().get_exclude(request, obj) or ()), *shown_otherwise]

    def get_fieldsets(self, request, obj=None):
        """What is asked for, then what is so."""
        known = self.get_readonly_fields(request, obj)
        asked = [name for name in self.get_fields(request, obj) if name not in known]
        return [(None, {"fields": asked}), *([("What is so", {"fields": known})] if known else [])]

    def get_autocomplete_fields(self, request):
        """Whatever is referred to: there may be thousands of it, too many for a list in each form."""
        related = ((field.name, field.related_model) for field in self.model._meta.fields if field.is_relation)
        searched = {model for model, its in self.admin_site._registry.items() if its.search_fields}
        return [name for name, model in related if model in searched]

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if isinstance(db_field, MetadataField):
            return db_field.formfield(form_class=MetadataLines)
        if isinstance(db_field, JSONField) and db_field.default is list:
            return db_field.formfield(form_class=Lines)
        asked = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.choices:
            asked.choices = [
                (value, as_written(label)) for value, label in db_field.get_choices(include_blank=False)
                if not value.endswith("_UNSPECIFIED") or not self.must_be_said(db_field)
            ]  # fmt: skip
        if hasattr(asked, "label_from_instance"):
            asked.label_from_instance = named
        return asked

    def must_be_said(self, column):
        """Whether it is one of a few, and none of them by itself: so none is offered that the model refuses."""
        return not column.has_default() or column.name in self.said

    # The admin's own permissions are about models; here the project's role decides, for all of them.
    def has_module_permission(self, request):
        return True

    def has_view_permission(self, request, obj=None):
        return True

    def has_add_permission(self, request):
        return bool(roles_here(request) & WRITERS)

    def has_change_permission(self, request, obj=None):
        return bool(roles_here(request) & WRITERS)

    def has_delete_permission(self, request, obj=None):
        return bool(roles_here(request) & WRITERS)

    def get_actions(self, request):
        """All of them write."""
        return super().get_actions(request) if roles_here(request) & WRITERS else {}

    # Django's log is kept by model and number, and number 1 is another host in each project: it would show what was
    # done in others. The journal knows the project, and what came by API and from machines as well.
    def log_addition(self, request, obj, message):
        return None

    def log_change(self, request, obj, message):
        return None

    def log_deletions(self, request, queryset):
        return None

    def history_view(self, request, object_id, extra_context=None):
        resource = self.get_object(request, unquote(object_id))
        if resource is None:
            raise Http404
        lines = Event.objects.filter(resource_id=getattr(resource, "resource_id", "")).order_by("-id")[:HISTORY]
        return render(request, "project_admin/history.html", {
            **self.admin_site.each_context(request),
            "title": f"History of {resource}", "lines": lines, "most": HISTORY, "opts": self.opts, "object": resource,
            "names": roles_here(request) & WRITERS,  # who may only read needn't know who else is there
        })  # fmt: skip

    def changeform_view(self, request, *args, **kwargs):
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
        if self.deletes:
            obj.ask(**self.deletes)
        else:
            obj.delete()

    def delete_queryset(self, request, queryset):
        for resource in queryset:
            try:
                self.delete_model(request, resource)
            except (errors.InventoryError, AlreadyClaimed) as refusal:
                self.message_user(request, str(refusal), messages.ERROR)

    def wish(self, request, resources, **wishes):
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


@admin.register(Ou, site=site)
class OuAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "ou_kind", "parent_ou__name"]
    list_select_related = ["parent_ou"]
    search_fields = ["name", "resource_id"]


@admin.register(Site, site=site)
class SiteAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "region__name", "ou__name"]
    list_select_related = ["region", "ou"]
    search_fields = ["name", "resource_id"]

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name in ("site_lat", "site_lng"):
            called = {"site_lat": "Latitude", "site_lng": "Longitude"}[db_field.name]
            return Degrees(label=called, validators=db_field.validators)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(OperatingSystem, site=site)
class OperatingSystemAdmin(ResourceAdmin):
    said = {"os_type", "os_provider"}
    list_display = ["resource_id", "name", "profile_name", "image_id", "os_type", "from_profile", "retracted"]
    search_fields = ["name", "profile_name", "resource_id"]


@admin.register(OsUpdatePolicy, site=site)
class OsUpdatePolicyAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "update_policy", "target_os__name"]
    list_select_related = ["target_os"]
    search_fields = ["name", "resource_id"]


@admin.register(OsUpdateRun, site=site)
class OsUpdateRunAdmin(ResourceAdmin):
    """Runs are noted by whoever updates; here they are read, and deleted."""

    come_from = "A machine tells of each that it begins: “Update now” on a host's page, or a schedule, lets it."
    list_display = ["resource_id", "name", "instance", "applied_policy__name", shown("status")]
    list_select_related = ["instance", "applied_policy"]
    search_fields = ["name", "resource_id", "instance__resource_id"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(Provider, site=site)
class ProviderAdmin(ResourceAdmin):
    form = ProviderForm
    list_display = ["resource_id", "name", "provider_kind", "provider_vendor", "api_endpoint"]
    search_fields = ["name", "resource_id"]

    def get_changeform_initial_data(self, request):
        """Of those that can be added, one is served here."""
        return {"provider_vendor": ProviderVendor.REDFISH} | super().get_changeform_initial_data(request)

    def is_zero_touch(self, request, obj):
        """Ours, whose config says what becomes of machines that just appear. It may be deleted, and made anew."""
        if obj:
            return obj.name == PROVIDER
        return request.GET.get("name") == PROVIDER

    def get_form(self, request, obj=None, change=False, **kwargs):
        if self.is_zero_touch(request, obj):
            kwargs["form"] = ZeroTouchForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request, obj=None):
        if self.is_zero_touch(request, obj):
            return [("Machines that are let in without an operating system", {"fields": [*ZeroTouchForm.KEPT]})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request, obj=None):
        return [name for name in super().get_readonly_fields(request, obj) if name != "credentials_sealed"]

    def save_model(self, request, obj, form, change):
        if not change and self.is_zero_touch(request, None):
            obj.name, obj.provider_kind, obj.api_endpoint = PROVIDER, ProviderKind.BAREMETAL, "null"
        super().save_model(request, obj, form, change)


@admin.register(Host, site=site)
class HostAdmin(ResourceAdmin):
    list_display = [
        "resource_id", "name", "serial_number", shown("host_status"), shown("onboarding_status"),
        shown("registration_status"), shown("power_status"), "site__name", "uuid",
    ]  # fmt: skip
    list_select_related = ["site"]
    list_filter = ["current_state", "host_status"]
    search_fields = ["name", "serial_number", "resource_id", "uuid"]
    fixed = {"uuid", "serial_number"}
    asks = {"state": HostState.REGISTERED}
    deletes = {"state": HostState.DELETED}
    actions = [
        "onboard",
        "invalidate",
        asking("Power: switch on", power_state=PowerState.ON),
        asking("Power: switch off", power_state=PowerState.OFF),
        asking("Power: reset", power_state=PowerState.RESET),
        asking("Power: off and on again", power_state=PowerState.POWER_CYCLE),
        asking("AMT: activate", amt_state=AmtState.PROVISIONED),
        asking("AMT: deactivate", amt_state=AmtState.UNPROVISIONED),
        asking("KVM: start a session", kvm_state=KvmState.START),
        asking("KVM: stop the session", kvm_state=KvmState.STOP),
        asking("Serial over LAN: start a session", sol_state=SolState.START),
        asking("Serial over LAN: stop the session", sol_state=SolState.STOP),
    ]

    def get_readonly_fields(self, request, obj=None):
        return [*super().get_readonly_fields(request, obj), *(["last_seen"] if obj else [])]

    @admin.display(description="last seen")
    def last_seen(self, host):
        """When its machine last sent a heartbeat."""
        seen = presence.last_seen(connection.schema_name, host.uuid)
        return datetime.fromtimestamp(seen, UTC) if seen else "never, or not known just now"

    @admin.action(description="Onboard: give it credentials when its machine calls")
    def onboard(self, request, hosts):
        self.wish(request, hosts, state=HostState.ONBOARDED)

    @admin.action(description="Invalidate: trust it no more")
    def invalidate(self, request, hosts):
        self.wish(request, hosts, state=HostState.UNTRUSTED)


class CustomizationInline(TabularInline):
    """Custom configs are chosen when an instance is made: they are of its machine's first start."""

    model = Customization
    extra = 0

    def has_view_permission(self, request, obj=None):
        return True

    def has_add_permission(self, request, obj):
        return obj is None

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Instance, site=site)
class InstanceAdmin(ResourceAdmin):
    list_display = [
        "resource_id", "host__name", shown("provisioning_status"), shown("instance_status"), shown("update_status"),
        "os__name", "current_state",
    ]  # fmt: skip
    list_select_related = ["host", "os"]
    list_filter = ["current_state"]
    search_fields = ["resource_id", "host__name", "host__resource_id"]
    fixed = {"host", "os"}
    asks = {"state": InstanceState.RUNNING}
    deletes = {"state": InstanceState.DELETED}
    actions = ["link_policy", asking("Invalidate: trust it no more", state=InstanceState.UNTRUSTED)]
    inlines = [CustomizationInline]

    @admin.action(description="Update policy: choose one for all of them")
    def link_policy(self, request, instances):
        """Asked for on a page of its own, by the same action, which then knows the policy."""
        form = PolicyForm(request.POST if "chosen" in request.POST else None)
        if not form.is_valid():
            return render(request, "project_admin/policy.html", {
                **self.admin_site.each_context(request), "title": "Choose an update policy", "opts": self.opts,
                "form": form, "instances": instances, "across": request.POST.get("select_across", "0"),
                "selected": request.POST.getlist("_selected_action"),
            })  # fmt: skip
        policy = form.cleaned_data["policy"]
        with transaction.atomic():  # all of them or none
            for instance in instances:
                instance.os_update_policy = policy
                instance.save(update_fields=["os_update_policy"])
        self.message_user(request, f"{len(instances)} instances have {policy.name if policy else 'no policy'} now")


@admin.register(LocalAccount, site=site)
class LocalAccountAdmin(ResourceAdmin):
    list_display = ["resource_id", "username", "ssh_key"]
    search_fields = ["username", "resource_id"]


@admin.register(CustomConfig, site=site)
class CustomConfigAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "description"]
    search_fields = ["name", "resource_id"]


@admin.register(RemoteAccess, site=site)
class RemoteAccessAdmin(ResourceAdmin):
    list_display = ["resource_id", "instance", "local_port", shown("configuration_status"), "expiration_timestamp"]
    list_select_related = ["instance"]
    search_fields = ["resource_id", "instance__resource_id"]
    asks = {"state": RemoteAccessState.ENABLED}
    deletes = {"state": RemoteAccessState.DELETED}


@admin.register(SingleSchedule, site=site)
class SingleScheduleAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "schedule_status", "start_seconds", "end_seconds"]
    list_filter = ["schedule_status"]
    search_fields = ["name", "resource_id"]


@admin.register(RepeatedSchedule, site=site)
class RepeatedScheduleAdmin(ResourceAdmin):
    list_display = [
        "resource_id", "name", "schedule_status", "cron_minutes", "cron_hours", "cron_day_month", "cron_month",
        "cron_day_week", "duration_seconds",
    ]  # fmt: skip
    list_filter = ["schedule_status"]
    search_fields = ["name", "resource_id"]


@admin.register(Workload, site=site)
class WorkloadAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "kind", "external_id", "status", "desired_state"]
    list_filter = ["kind"]
    search_fields = ["name", "external_id", "resource_id"]
    asks = {"state": WorkloadState.PROVISIONED}
    deletes = {"state": WorkloadState.DELETED}


@admin.register(WorkloadMember, site=site)
class WorkloadMemberAdmin(ResourceAdmin):
    list_display = ["resource_id", "kind", "workload__name", "instance"]
    list_select_related = ["workload", "instance"]
    search_fields = ["resource_id", "workload__name", "instance__resource_id"]


@admin.register(TelemetryGroup, site=site)
class TelemetryGroupAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "kind", "collector_kind"]
    list_filter = ["kind", "collector_kind"]
    search_fields = ["name", "resource_id"]


@admin.register(TelemetryProfile, site=site)
class TelemetryProfileAdmin(ResourceAdmin):
    form = TelemetryProfileForm
    list_display = [
        "resource_id", "kind", "group__name", "metrics_interval", "log_level", "region__name", "site__name", "instance",
    ]  # fmt: skip
    list_select_related = ["group", "region", "site", "instance"]
    list_filter = ["kind"]
    search_fields = ["resource_id", "group__name"]


@admin.register(NetworkSegment, site=site)
class NetworkSegmentAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "site__name", "vlan_id"]
    list_select_related = ["site"]
    search_fields = ["name", "resource_id", "site__name"]


@admin.register(Endpoint, site=site)
class EndpointAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "kind", "host__name"]
    list_select_related = ["host"]
    search_fields = ["name", "resource_id"]


@admin.register(Netlink, site=site)
class NetlinkAdmin(ResourceAdmin):
    list_display = ["resource_id", "name", "kind", "src__name", "dst__name", shown("provider_status")]
    list_select_related = ["src", "dst"]
    search_fields = ["name", "resource_id"]
    asks = {"state": NetlinkState.ONLINE}
    deletes = {"state": NetlinkState.DELETED}
    actions = [asking("Take offline", state=NetlinkState.OFFLINE), asking("Bring online", state=NetlinkState.ONLINE)]


@admin.register(Audit, site=site)
class AuditAdmin(ToRead):
    """The project's own lines: row-level security shows no others."""

    list_display = ["at", "kind", "who", "method", "action", "resource_id", "address", "status", "code"]
    list_filter = ["kind", "method", "status"]
    search_fields = ["who", "resource_id", "address", "request_id"]

    def has_module_permission(self, request):
        return bool(roles_here(request) & WRITERS)  # who may only read needn't know who else is there

    def has_view_permission(self, request, obj=None):
        return bool(roles_here(request) & WRITERS)

"""The list of hosts in the project's admin, as the console's numbers lead to it: by stage, step, and failure."""

from django.contrib import admin, messages
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html

from console import fleet, locations
from console.templatetags.console import age
from inventory.admin import HostAdmin, site
from inventory.models import Host
from inventory.stages import REACHED, Stage, in_short, staged
from tenants.admin import coloured
from workers import power


class InStage(admin.SimpleListFilter):
    title, parameter_name = "stage", "stage"

    def lookups(self, request, model_admin):
        return Stage.choices

    def queryset(self, request, hosts):
        return hosts.filter(stage=self.value()) if self.value() else hosts


class HasReached(admin.SimpleListFilter):
    title, parameter_name = "step reached", "reached"

    def lookups(self, request, model_admin):
        return [(name, title) for name, (title, _) in REACHED.items()]

    def queryset(self, request, hosts):
        _, condition = REACHED.get(self.value(), ("", Q()))
        return hosts.filter(condition)


class FailedBecause(admin.SimpleListFilter):
    title, parameter_name = "failure", "why"

    def lookups(self, request, model_admin):
        return [(reason.name, f"{reason.says} ({reason.count})") for reason in fleet.reasons()]

    def queryset(self, request, hosts):
        return hosts.filter(**fleet.failed_because(self.value())) if self.value() else hosts


class AtPlace(admin.SimpleListFilter):
    """A site or a region, by its id: there may be thousands, so only the one that is asked for is offered again."""

    title, parameter_name = "place", "at"

    def lookups(self, request, model_admin):
        asked = request.GET.get("at")
        return [(locations.NOWHERE, "No site"), *([(asked, asked)] if asked and asked != locations.NOWHERE else [])]

    def queryset(self, request, hosts):
        return hosts.filter(locations.within(self.value())) if self.value() else hosts


site.unregister(Host)


@admin.register(Host, site=site)
class FleetAdmin(HostAdmin):
    list_display = ["named", "how", "serial_number", "at_site", "system", "power_status", "since"]
    list_display_links = None
    list_select_related = ["site", "instance__os"]
    list_filter = [InStage, HasReached, FailedBecause, AtPlace]
    search_fields = [*HostAdmin.search_fields, "site__name", "hostname"]
    list_per_page = 50

    def get_queryset(self, request):
        return staged().defer("hardware")

    def wish(self, request, hosts, **wishes):
        """What nobody can do is wished all the same, as by the API, and told."""
        super().wish(request, hosts, **wishes)
        if "power_state" in wishes and (waiting := [*hosts.exclude(power.switchable()).values_list("name", flat=True)]):
            names = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if len(waiting) > 5 else "")
            why = "No provider switches the power of {}: what is wished waits until the host's power provider is named."
            messages.warning(request, why.format(names))

    @admin.display(description="host", ordering="name")
    def named(self, host):
        return format_html(
            '<a class="named" href="{}">{}</a><span class="dim id">{}</span>',
            reverse("console:host", args=[host.resource_id]), host.name,
            host.resource_id if host.name != host.resource_id else "",
        )  # fmt: skip

    @admin.display(description="status", ordering="stage")
    def how(self, host):
        status = in_short(host)
        return coloured(status.text, status.indicator)

    @admin.display(description="site", ordering="site__name")
    def at_site(self, host):
        return host.site.name if host.site else "none"

    @admin.display(description="operating system", ordering="instance__os__name")
    def system(self, host):
        return host.instance.os.name if hasattr(host, "instance") else "none"

    @admin.display(description="changed", ordering="updated_at")
    def since(self, host):
        return age(host.updated_at)

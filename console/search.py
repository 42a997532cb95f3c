"""Search over everything in a project: what has the words in its name or id, or is called so by its machine."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from console.frame import page
from inventory import addresses, lookups  # noqa: F401  these register __like
from inventory.models import (
    Host,
    Instance,
    OperatingSystem,
    Provider,
    Region,
    RepeatedSchedule,
    SingleSchedule,
    Site,
)
from provisioning.models import Workflow

SHOWN = 8  # of each kind; the kind's own list has them all
SHORTEST, LONGEST = 2, 100  # letters
MAC = re.compile(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """A kind of things that are looked for. One query finds them, whatever there is."""

    called: str
    icon: str
    rows: Callable[[], QuerySet]
    columns: tuple[str, ...]  # in which the words may stand
    about: Callable[[Any], tuple[str, str]]  # its name, and what tells it from others of that name
    more: Callable[[str], Q] = lambda words: Q()  # other ways in which it may be meant
    page: str = ""  # of the console, by its resource_id; without one it is the admin's

    def found(self, words: str) -> dict:
        """What it shows of its kind: {called, icon, hits: [(link, name, about)], more: a link if there are more}."""
        meant = Q(*((f"{column}__like", words) for column in self.columns), _connector=Q.OR) | self.more(words)
        rows = [*self.rows().filter(meant).order_by("-pk")[: SHOWN + 1]]
        hits = [(self._link(row), *self.about(row)) for row in islice(rows, SHOWN)]
        return {"called": self.called, "icon": self.icon, "hits": hits,
                "more": reverse(f"{self._admin}_changelist") if len(rows) > SHOWN else ""}  # fmt: skip

    def _link(self, row: Any) -> str:
        if self.page:
            return reverse(self.page, args=[row.resource_id])
        return reverse(f"{self._admin}_change", args=[row.pk])

    @property
    def _admin(self) -> str:
        return f"project:{self.rows().model._meta.label_lower.replace('.', '_')}"


def _by_address(words: str) -> Q:
    """Hosts with this IP or MAC address."""
    if MAC.fullmatch(words):
        digits = re.sub("[:-]", "", words).lower()
        mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
        told = "lower(jsonb_path_query_array(hardware, '$.nics[*].macAddr')::text)::jsonb ? %s"
        return Q(pxe_mac=mac) | Q(pk__in=_hosts_where(told, mac))
    try:
        address = str(ip_address(words))
    except ValueError:
        return Q()
    return Q(bmc_ip=address) | Q(pk__in=_hosts_where(f"{addresses.BARE.format('')} ? %s", address))


def _hosts_where(condition: str, value: str) -> RawSQL:
    return RawSQL(f"SELECT id FROM inventory_host WHERE {condition}", [value])  # noqa: S611  constants, and a parameter


def _schedule(schedule) -> tuple[str, str]:
    target = schedule.target_host_id or schedule.target_site_id or schedule.target_region_id or "nothing"
    return schedule.name or str(schedule), f"{schedule.get_schedule_status_display()} of {target}"


KINDS = [
    Kind("Hosts", "dns", lambda: Host.objects.select_related("site").defer("hardware"),
         ("name", "serial_number", "resource_id", "uuid"),
         lambda host: (host.name, ", ".join(filter(None, [
             host.serial_number, str(host.uuid or ""), host.site.name if host.site else "", host.host_status,
         ]))), _by_address, page="console:host"),
    Kind("Instances", "deployed_code", lambda: Instance.objects.select_related("host").only(
             "resource_id", "name", "instance_status", "host__name"), ("name", "resource_id"),
         lambda it: (it.name or str(it), f"on {it.host.name if it.host else 'no host'}, {it.instance_status}")),
    Kind("Installations", "install_desktop", lambda: Workflow.objects.filter(schema=connection.schema_name).defer(
             "actions", "inputs_sealed"), ("workflow_id", "host_id", "instance_id"),
         lambda run: (run.workflow_id, f"of {run.host_id}, attempt {run.attempt}, {run.get_state_display()}")),
    Kind("Sites", "location_on", lambda: Site.objects.select_related("region"), ("name", "resource_id"),
         lambda site: (site.name or str(site), f"in {site.region.name}" if site.region else "in no region")),
    Kind("Regions", "map", lambda: Region.objects.select_related("parent_region"), ("name", "resource_id"),
         lambda region: (
             region.name or str(region), f"in {region.parent_region.name}" if region.parent_region else "")),
    Kind("Operating systems", "album", lambda: OperatingSystem.objects.only("resource_id", "name", "profile_name"),
         ("name", "profile_name", "resource_id"), lambda os: (os.name or str(os), os.profile_name)),
    Kind("Single schedules", "event", SingleSchedule.objects.all, ("name", "resource_id"), _schedule,
         page="console:schedule"),
    Kind("Repeated schedules", "event_repeat", RepeatedSchedule.objects.all, ("name", "resource_id"), _schedule,
         page="console:schedule"),
    Kind("Providers", "power", Provider.objects.all, ("name", "api_endpoint", "resource_id"),
         lambda provider: (provider.name, provider.api_endpoint)),
]  # fmt: skip


def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:LONGEST]
    groups = [kind.found(words) for kind in KINDS] if len(words) >= SHORTEST else []
    groups = [group for group in groups if group["hits"]]
    return page(
        request, "console/search.html", title="Search", words=words, groups=groups, shortest=SHORTEST,
        enough=len(words) >= SHORTEST,
    )  # fmt: skip

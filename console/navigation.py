"""What Unfold asks of us for every page (UNFOLD in eim_project/settings.py): where one can go from here."""

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from tenants.models import User
from tenants.permissions import WRITERS, roles_here


def sidebar(request: HttpRequest) -> list[dict]:
    """Groups of links: those of the project that the page is in, else those of the whole installation."""
    groups = _project(request) if request.project else _installation()
    return [{"title": title, "items": [_item(request, *item) for item in items]} for title, items in groups]


def elsewhere(request: HttpRequest) -> list[dict]:
    """The menu under the name of the project."""
    rows = [("apps", "All your projects", "/")]
    if request.project:
        rows.append(("api", "API of this project", f"/v1/projects/{request.project.name}/compute/hosts"))
    rows.append(("menu_book", "API documents", "/docs/"))
    if isinstance(request.user, User) and request.user.is_superuser:
        rows.append(("shield_person", "Administration", "/admin/"))
        if settings.EIM_FLOWER_URL:
            rows.append(("local_florist", "Flower: what the workers do", settings.EIM_FLOWER_URL))
    return [{"icon": icon, "title": title, "link": link} for icon, title, link in rows]


def account(request: HttpRequest) -> list[dict]:
    """The menu under the name of the person. Who signed in elsewhere has a password there."""
    links = [{"title": "Your projects", "link": "/"}]
    if isinstance(request.user, User) and request.user.has_usable_password():
        links.append({"title": "Change password", "link": "/password/"})
    return links


def _project(request: HttpRequest) -> list[tuple[str, list[tuple[str, str, str]]]]:
    records = [("fact_check", "Audit", _list("project", "tenants_audit"))] if roles_here(request) & WRITERS else []
    return [
        ("", [
            ("dashboard", "Overview", reverse("console:dashboard")),
        ]),
        ("Fleet", [
            ("dns", "Hosts", _list("project", "inventory_host")),
            ("upload_file", "Import hosts", reverse("console:imports")),
            ("deployed_code", "Instances", _list("project", "inventory_instance")),
            ("install_desktop", "Installations", _list("project", "provisioning_workflow")),
            ("bolt", "Zero touch", reverse("console:zero-touch")),
            ("key", "Enrolments", _list("project", "tenants_enrolment")),
        ]),
        ("Places", [
            ("map", "Locations", reverse("console:locations")),
            ("public", "Regions", _list("project", "inventory_region")),
            ("location_on", "Sites", _list("project", "inventory_site")),
            ("account_tree", "Organizational units", _list("project", "inventory_ou")),
        ]),
        ("Operating systems", [
            ("album", "Operating systems", _list("project", "inventory_operatingsystem")),
            ("update", "Update policies", _list("project", "inventory_osupdatepolicy")),
            ("history", "Update runs", _list("project", "inventory_osupdaterun")),
            ("description", "Custom configs", _list("project", "inventory_customconfig")),
            ("person", "Local accounts", _list("project", "inventory_localaccount")),
        ]),
        ("Maintenance", [
            ("calendar_month", "Calendar", reverse("console:schedules")),
            ("event", "Single schedules", _list("project", "inventory_singleschedule")),
            ("event_repeat", "Repeated schedules", _list("project", "inventory_repeatedschedule")),
        ]),
        ("Network and access", [
            ("power", "Providers", _list("project", "inventory_provider")),
            ("terminal", "Remote access", _list("project", "inventory_remoteaccess")),
            ("lan", "Network segments", _list("project", "inventory_networksegment")),
            ("settings_ethernet", "Endpoints", _list("project", "inventory_endpoint")),
            ("cable", "Links", _list("project", "inventory_netlink")),
        ]),
        ("Workloads and telemetry", [
            ("widgets", "Workloads", _list("project", "inventory_workload")),
            ("group_work", "Members", _list("project", "inventory_workloadmember")),
            ("monitoring", "Telemetry groups", _list("project", "inventory_telemetrygroup")),
            ("speed", "Telemetry profiles", _list("project", "inventory_telemetryprofile")),
            *records,
        ]),
    ]  # fmt: skip


def _installation() -> list[tuple[str, list[tuple[str, str, str]]]]:
    return [
        ("", [("dashboard", "Overview", reverse("admin:index"))]),
        ("Tenants", [
            ("corporate_fare", "Organizations", _list("admin", "tenants_organization")),
            ("folder", "Projects", _list("admin", "tenants_project")),
        ]),
        ("People", [
            ("person", "People", _list("admin", "tenants_user")),
            ("group", "Groups", _list("admin", "auth_group")),
            ("apps", "Clients", _list("admin", "tenants_client")),
            ("login", "Sign-ins", _list("admin", "tenants_signin")),
            ("vpn_key", "API tokens", _list("admin", "tenants_apitoken")),
        ]),
        ("Work", [
            ("pending_actions", "Outstanding", _list("admin", "workers_work")),
            ("visibility", "Watches", _list("admin", "workers_watch")),
            ("album", "OS profiles", _list("admin", "workers_osprofile")),
        ]),
        ("Boot", [
            ("package_2", "Artifacts", _list("admin", "provisioning_artifact")),
            ("encrypted", "Boot keys", _list("admin", "provisioning_bootkey")),
            ("cloud_download", "Mirrored files", _list("admin", "provisioning_mirrored")),
        ]),
        ("Records", [
            ("history", "Journal", _list("admin", "tenants_event")),
            ("fact_check", "Audit", _list("admin", "tenants_audit")),
        ]),
    ]  # fmt: skip


def _item(request: HttpRequest, icon: str, title: str, link: str) -> dict:
    """One is where one is, and on a page below it; all are below an overview."""
    active = request.path == link if title == "Overview" else request.path.startswith(link)
    return {"icon": icon, "title": title, "link": link, "active": active}


def _list(site: str, model: str) -> str:
    return reverse(f"{site}:{model}_changelist")


def mark(request: HttpRequest) -> str:
    return static("door/mark.svg")

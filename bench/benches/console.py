"""The console's pages with 10,000 hosts, a fifth of which have failed, as a browser's session asks for them."""

from django.db import connection
from django.test import Client

from bench import rows
from bench.declare import Bench, Figures, Side, Unit
from bench.load import HttpCaller, by_threads, percentile
from bench.rig import Rig
from inventory.models import Host, Indicator
from tenants import schema
from tenants.models import User

PAGES = {
    "overview": "", "overview, live": "live/", "host": "hosts/{host}/", "host, live": "hosts/{host}/live/",
    "locations": "locations/", "list of hosts": "admin/inventory/host/",
    "list of failed ones": "admin/inventory/host/?stage=failed", "search": "admin/inventory/host/?q=edge-77",
}  # fmt: skip
FAILED = """
    UPDATE inventory_host SET host_status = 'Error: disk ' || id %% 7, host_status_indicator = %s WHERE id %% 5 = 0
"""


class Browser(HttpCaller):
    """Signed in by a cookie."""

    def __init__(self, port: int, session: str) -> None:
        super().__init__(port, "")
        self._headers = f"Host: 127.0.0.1\r\nCookie: sessionid={session}\r\nAccept: text/html\r\n"


def session() -> str:
    client = Client()
    client.force_login(User.objects.get(username="bench"))
    return client.cookies["sessionid"].value


def figures(rig: Rig, page: str, path: str) -> Figures:
    def open_caller():
        browser = Browser(rig.http_port, session())
        return lambda: browser.call("GET", path)

    load = by_threads(open_caller, 1, rig.cpu)
    return {f"p95, {page}": percentile(load.waits, 95) * 1000, f"CPU, {page}": load.cpu}


def pages(rig: Rig) -> Figures:
    with schema.in_schema(rig.project):
        host = rows.first_id()
    found: Figures = {}
    for page, path in PAGES.items():
        found |= figures(rig, page, f"/p/{rig.project.name}/{path.format(host=host)}")
    return found


def least(rig: Rig) -> Figures:
    found: Figures = {}
    for page in PAGES:
        found |= figures(rig, page, "/password/")
    return found


def some_fail(rig: Rig) -> None:
    with schema.in_schema(rig.project), connection.cursor() as cursor:
        cursor.execute(FAILED, [Indicator.ERROR])
        assert Host.objects.filter(host_status_indicator=Indicator.ERROR).exists()


bench = Bench(
    name="console",
    ours=Side("the console's pages with 10,000 hosts, one browser", pages),
    floor=Side("the least page behind the same sign-in: no project, no data", least),
    figures={f"{figure}, {page}": Unit.MS for page in PAGES for figure in ("p95", "CPU")},
    check=some_fail,
)

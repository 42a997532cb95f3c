"""Where the fleet stands: regions as a tree, their sites, and both with their hosts; and the same on a map."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse

from console.fleet import hosts_where
from console.frame import page, part
from inventory.models import Region, Site
from inventory.models.location import DEEPEST
from inventory.stages import Stage, staged

BAD = {Stage.LOST, Stage.FAILED}
SITES_SHOWN = 200  # of a region; the list of sites has all
NOWHERE = "none"  # instead of a place: hosts without a site, sites without a region
UNITS = 10_000_000  # of a coordinate in a degree
CELLS = 48  # of a map's width, in each of which sites are one dot
LEAST = 40.0  # degrees of longitude that a map shows: the coasts are no finer
NAMED = 12  # dots that have their names beside them; more would hide each other


@dataclass
class Place:
    """A region or a site, with the hosts in it and in all below it."""

    id: str
    name: str
    pk: int = 0
    hosts: int = 0
    running: int = 0
    bad: int = 0
    sites: int = 0
    children: list["Place"] = field(default_factory=list)  # regions

    @property
    def link(self) -> str:
        return hosts_where(at=self.id)

    @property
    def tone(self) -> str:
        if self.bad:
            return "ERROR"
        return "IDLE" if self.running else "UNSPECIFIED"

    def add(self, other: "Place") -> None:
        self.hosts, self.running, self.bad = (
            self.hosts + other.hosts, self.running + other.running, self.bad + other.bad,
        )  # fmt: skip


@dataclass(frozen=True)
class Dot:
    """Sites that are one on the map at this scale; places and sizes are tenths of a degree."""

    x: float
    y: float
    radius: float
    place: Place
    names: str


@dataclass(frozen=True)
class Map:
    view: str  # the viewBox
    dots: list[Dot]
    unplaced: int  # sites without coordinates
    letter: float = 0  # the size of names, if they are shown


def within(place: str) -> Q:
    """The condition for hosts in this site or region, by its id; without a site, for NOWHERE."""
    if place == NOWHERE:
        return Q(site=None)
    above = [f"site__region__{'parent_region__' * steps}resource_id" for steps in range(DEEPEST)]
    return Q(Q(site_id=place), *(Q(**{column: place}) for column in above), _connector=Q.OR)


def locations(request: HttpRequest) -> HttpResponse:
    sites = _sites(Site.objects.all())
    roots, loose = _tree(sites)
    counted = [one for _, _, one in sites]
    return page(request, "console/locations.html", title="Locations", roots=roots, loose=loose, map=_map(sites),
                count=len(counted), homeless=_homeless(), may_open=len(roots) <= 5)  # fmt: skip


def sites_of(request: HttpRequest, region: str) -> HttpResponse:
    """The sites of a region, for whoever opens it."""
    of = Site.objects.filter(region_id=None if region == NOWHERE else region[:24])
    rows = [place for _, _, place in _sites(of.order_by("name")[: SITES_SHOWN + 1])]
    return part(request, "console/locations_sites.html", sites=rows[:SITES_SHOWN], more=len(rows) > SITES_SHOWN,
                region=Region.objects.filter(resource_id=region[:24]).first())  # fmt: skip


Row = tuple[str | None, tuple[int, int], Place]  # the region's id, latitude and longitude, the site


def _sites(sites) -> list[Row]:
    """In two queries, however many."""
    found: dict[str, Place] = {}
    rows: list[Row] = []
    columns = "resource_id", "name", "pk", "region_id", "site_lat", "site_lng"
    for resource_id, name, pk, region, lat, lng in sites.values_list(*columns):
        found[resource_id] = place = Place(resource_id, name or resource_id, pk, sites=1)
        rows.append((region, (lat, lng), place))
    counted = staged().order_by().values_list("site_id", "stage").annotate(Count("pk"))
    for site, stage, count in counted.filter(site__isnull=False):
        if place := found.get(site):
            place.hosts += count
            place.running += count if stage == Stage.RUNNING else 0
            place.bad += count if stage in BAD else 0
    return rows


def _tree(sites: list[Row]) -> tuple[list[Place], Place]:
    """The regions that lie in none, with all below them; and, as one place, the sites that lie in no region."""
    rows = [*Region.objects.order_by("name", "pk").values_list("resource_id", "name", "pk", "parent_region_id")]
    places = {id: Place(id, name or id, pk) for id, name, pk, _ in rows}
    parents = {id: parent for id, _, _, parent in rows}
    loose = Place(NOWHERE, "Sites without a region")
    for region, _, site in sites:
        above, steps = region, 0
        if region is None:
            loose.add(site)
            loose.sites += 1
        while above in places and steps < DEEPEST:
            places[above].add(site)
            places[above].sites += 1
            above, steps = parents[above], steps + 1
    roots = []
    for id, parent in parents.items():
        (places[parent].children if parent in places else roots).append(places[id])
    return roots, loose


def _homeless() -> int:
    return staged().filter(site=None).count()


def _map(sites: list[Row]) -> Map:
    """As much of the world as has sites, in its own proportions."""
    placed = [(lat / UNITS, lng / UNITS, place) for _, (lat, lng), place in sites if (lat, lng) != (0, 0)]
    if not placed:
        return Map("0 100 3600 1500", [], len(sites))
    left, right = min(lng for _, lng, _ in placed), max(lng for _, lng, _ in placed)
    low, high = min(lat for lat, _, _ in placed), max(lat for lat, _, _ in placed)
    width = min(360.0, max(LEAST, 1.3 * (right - left), 2.6 * (high - low)))
    height = width / 2
    x = min(max((left + right) / 2 + 180 - width / 2, 0), 360 - width)
    y = min(max(90 - (low + high) / 2 - height / 2, 0), max(0, 180 - height))
    cell = width / CELLS
    cells: dict[tuple[int, int], list[tuple[float, float, Place]]] = defaultdict(list)
    for lat, lng, place in placed:
        cells[int(lng // cell), int(lat // cell)].append((lat, lng, place))
    dots = [_dot(inside, width) for inside in cells.values()]
    letter = round(width / 6, 2) if len(dots) <= NAMED else 0
    view = f"{10 * x:.1f} {10 * y:.1f} {10 * width:.1f} {10 * height:.1f}"
    return Map(view, dots, len(sites) - len(placed), letter)


def _dot(inside: list[tuple[float, float, Place]], width: float) -> Dot:
    lat, lng = (sum(one[axis] for one in inside) / len(inside) for axis in (0, 1))
    first = inside[0][2]
    whole = Place(first.id, first.name, first.pk, sites=len(inside))
    for _, _, place in inside:
        whole.add(place)
    names = ", ".join(place.name for _, _, place in inside[:5]) + (" and more" if len(inside) > 5 else "")
    radius = width / 10 * (0.5 + min(1.0, whole.hosts / 200))
    return Dot(round(10 * (lng + 180), 1), round(10 * (90 - lat), 1), round(radius, 2), whole, names)

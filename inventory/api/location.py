"""Regions, the sites in them, and finding either by name."""

from typing import NamedTuple

import orjson
from django.db import connection
from django.db.models import Q
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from inventory import errors
from inventory.api.base import (
    EMPTY,
    Derived,
    Nested,
    Reference,
    ResourceSerializer,
    ResourceViewSet,
    Same,
)  # fmt: skip
from inventory.api.fields import Choice, Pattern
from inventory.api.provider import ProviderSerializer
from inventory.api.queries import ListQuery, PatchQuery, Query, YesNo
from inventory.models import Region, Site
from tenants.statements import fetch

MOST_FOUND = 50  # regions, and as many sites, of a search by name
KINDS = ["RESOURCE_KIND_UNSPECIFIED", "RESOURCE_KIND_REGION", "RESOURCE_KIND_SITE"]


class RegionSerializer(ResourceSerializer):
    regionID = Same()
    parentRegion = Nested(
        "inventory.api.location.RegionSerializer", source="parent_region", without={"parentRegion"}, absent=EMPTY
    )
    parentId = Reference(source="parent_region", queryset=Region.objects.all())
    inheritedMetadata = Derived([])
    totalSites = Derived(0)

    class Meta(ResourceSerializer.Meta):
        model = Region
        hidden = {"region_kind"}
        writable = {"name", "metadata"}


class SiteSerializer(ResourceSerializer):
    siteID = Same()
    region = Nested(RegionSerializer, without={"parentRegion"}, absent=EMPTY)
    regionId = Reference(source="region", queryset=Region.objects.all())
    provider = Nested(ProviderSerializer)
    inheritedMetadata = Derived([])

    class Meta(ResourceSerializer.Meta):
        model = Site
        hidden = {
            "address", "dns_servers", "docker_registries", "metrics_endpoint", "http_proxy", "https_proxy", "ftp_proxy",
            "no_proxy",
        }  # fmt: skip
        writable = {"name", "siteLat", "siteLng", "metadata"}


class RegionListQuery(ListQuery):
    showTotalSites = YesNo(required=False, help_text="Count the sites of each region and of all regions below it.")


class RegionViewSet(ResourceViewSet):
    """Regions: where sites are, in at most five levels."""

    serializer_class = RegionSerializer
    collection, service, nouns = "regions", "RegionService", ("Region", "Regions")
    examples = {
        "create": {
            "name": "Bavaria", "parentId": "region-1a2b3c4d", "metadata": [{"key": "state", "value": "bavaria"}],
        },
        "partial_update": {"parentId": ""},
    }  # fmt: skip
    queries = {"list": RegionListQuery, "partial_update": PatchQuery}

    def complete(self, page):
        inherit_shown(page, [[region["parentRegion"]] for region in page])
        if self.action == "list" and self.asked().get("showTotalSites"):
            totals = total_sites([region["resourceId"] for region in page])
            for region in page:
                region["totalSites"] = totals.get(region["resourceId"], 0)


class SiteViewSet(ResourceViewSet):
    """Sites: where hosts are."""

    serializer_class = SiteSerializer
    collection, service, nouns = "sites", "SiteService", ("Site", "Sites")
    examples = {
        "create": {"name": "Munich", "regionId": "region-1a2b3c4d", "siteLat": 481371540, "siteLng": 115761240},
        "partial_update": {"metadata": [{"key": "street", "value": "marienplatz"}]},
    }
    ignored = {"regionId": "Anything: it never was looked at. To find a region's sites, filter by `region.resourceId`."}

    def complete(self, page):
        inherit_shown(page, [[site["region"]] for site in page])


# Trees ------------------------------------------------------------------------------------------------------------


def inherit_shown(page: list[dict], above: list[list[dict]]) -> None:
    """inherit() where it is shown what a resource lies in: its site, if it has one, and its region, nearest first.

    So nothing is asked of regions that lie in none.
    """
    between = [[pair for place in places for pair in place["metadata"]] for places in above]
    inherit(page, [places[-1]["parentId"] if places else "" for places in above], between)


def inherit(page: list[dict], regions: list[str], between: list[list[dict]] | None = None) -> None:
    """Fill in inheritedMetadata: of each resource's region and all above it, what no nearer one and not itself says.

    regions: the id of each resource's region, or "". between: the metadata of each host's site.
    """
    chains = _chains({region for region in regions if region})
    for number, (resource, region) in enumerate(zip(page, regions, strict=True)):
        own = {pair["key"] for pair in resource["metadata"]}
        inherited: dict[str, str] = {}
        for pairs in [between[number] if between else [], *chains.get(region, [])]:
            for pair in pairs:
                if pair["key"] not in own:
                    inherited.setdefault(pair["key"], pair["value"])
        resource["inheritedMetadata"] = [{"key": key, "value": value} for key, value in inherited.items()]


_CHAINS = """
    WITH RECURSIVE above AS (
        SELECT resource_id AS below, 0 AS steps, parent_region_id, metadata
        FROM inventory_region WHERE resource_id = ANY($1)
        UNION ALL
        SELECT below, steps + 1, region.parent_region_id, region.metadata
        FROM above JOIN inventory_region region ON region.resource_id = above.parent_region_id
        WHERE steps < 10
    )
    SELECT below, metadata::text FROM above ORDER BY below, steps
"""


def _chains(regions: set[str]) -> dict[str, list[list[dict]]]:
    """The metadata of each region and of those above it, the nearest first."""
    chains: dict[str, list[list[dict]]] = {}
    if regions:
        for below, metadata in fetch(_CHAINS, [[*regions]]):
            chains.setdefault(below, []).append(orjson.loads(metadata))
    return chains


def total_sites(regions: list[str]) -> dict[str, int]:
    """The sites in each of these regions and in all below it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE below AS (
                SELECT resource_id AS top, resource_id, 0 AS steps FROM inventory_region WHERE resource_id = ANY(%s)
                UNION ALL
                SELECT top, region.resource_id, steps + 1
                FROM below JOIN inventory_region region ON region.parent_region_id = below.resource_id
                WHERE steps < 10
            )
            SELECT top, count(*) FROM below JOIN inventory_site site ON site.region_id = below.resource_id GROUP BY top
            """,
            [regions],
        )
        return dict(cursor.fetchall())


# Finding by name --------------------------------------------------------------------------------------------------


class LocationQuery(Query):
    name = Pattern(
        r"^$|^[a-zA-Z\-_0-9./: ]+$", required=False, allow_blank=True, max_length=50,
        error_messages={"invalid": "has letters, digits, blanks and - _ . / : only"},
        help_text="A part of the name, in whatever case. Needed.",
    )  # fmt: skip
    showSites = YesNo(required=False, help_text="Find sites. This or `showRegions` must be true.")
    showRegions = YesNo(required=False, help_text="Find regions. This or `showSites` must be true.")


class LocationNodeSerializer(serializers.Serializer):
    resourceId = serializers.CharField()
    name = serializers.CharField()
    parentId = serializers.CharField(help_text="The id of the region that this lies in, if any.")
    type = Choice(choices=KINDS, called="ListLocationsResponse.ResourceKind")

    class Meta:
        ref_name = "ListLocationsResponse.LocationNode"


class LocationsSerializer(serializers.Serializer):
    nodes = LocationNodeSerializer(many=True, help_text="What was found, and what it lies in, leaves first.")
    totalElements = serializers.IntegerField(help_text="How many regions and sites have such a name.")
    outputElements = serializers.IntegerField(help_text="How many of them are here: at most 50 of each.")

    class Meta:
        ref_name = "ListLocationsResponse"


class LocationViewSet(GenericViewSet):
    """Regions and sites by their names, with all that they lie in."""

    ending = ""
    service, nouns = "LocationService", ("Location", "Locations")
    answers = {"list": LocationsSerializer}
    queries = {"list": LocationQuery}

    def list(self, request, *args, **kwargs):
        asked = LocationQuery.read(request.query_params)
        if not (asked.get("showSites") or asked.get("showRegions")):
            raise errors.InventoryError("showSites or showRegions must be true, or there is nothing to find")
        if not asked.get("name"):
            raise errors.InventoryError("name is needed: a part of the name of what is looked for")
        wanted = Q(name__like=asked["name"])
        nodes: dict[str, _Node] = {}
        total = 0
        for model, kind, parent, show in (
            (Site, "SITE", "region_id", asked.get("showSites")),
            (Region, "REGION", "parent_region_id", asked.get("showRegions")),
        ):
            if not show:
                continue
            matching = model.objects.filter(wanted)
            rows = matching.order_by("name", "pk").values_list("pk", "resource_id", "name", parent)[:MOST_FOUND]
            nodes |= {row[1]: _Node(*row, f"RESOURCE_KIND_{kind}") for row in rows}
            total += matching.count()
        above = _above({node.parent for node in nodes.values() if node.parent})
        shown = [node.shown() for node in _leaves_first(above | nodes)]
        return Response({"nodes": shown, "totalElements": total, "outputElements": len(nodes)})


class _Node(NamedTuple):
    age: int  # the lower, the older
    id: str
    name: str
    parent: str | None
    type: str

    def shown(self) -> dict:
        return {"resourceId": self.id, "name": self.name, "parentId": self.parent or "", "type": self.type}


def _above(regions: set[str]) -> dict[str, _Node]:
    """These regions and all that they lie in, by their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE above AS (
                SELECT id, resource_id, name, parent_region_id FROM inventory_region WHERE resource_id = ANY(%s)
                UNION
                SELECT region.id, region.resource_id, region.name, region.parent_region_id
                FROM above JOIN inventory_region region ON region.resource_id = above.parent_region_id
            )
            SELECT id, resource_id, name, parent_region_id FROM above
            """,
            [[*regions]],
        )
        return {row[1]: _Node(*row, "RESOURCE_KIND_REGION") for row in cursor.fetchall()}


def _leaves_first(nodes: dict[str, _Node]) -> list[_Node]:
    """Sites, then the deepest regions, so that whoever builds the tree has seen all children of a node before it;

    those of one depth from the oldest on, as old clients expect them.
    """

    def depth(node: _Node) -> int:
        deep, above = 0, nodes.get(node.parent or "")
        while above and deep < 10:
            deep, above = deep + 1, nodes.get(above.parent or "")
        return deep

    sites = [node for node in nodes.values() if node.type == "RESOURCE_KIND_SITE"]
    regions = [node for node in nodes.values() if node.type == "RESOURCE_KIND_REGION"]
    return [*sorted(sites, key=lambda site: site.age), *sorted(regions, key=lambda it: (-depth(it), it.age))]

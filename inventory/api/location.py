"""Regions and sites."""

from inventory.api.base import Reference, ResourceSerializer, ResourceViewSet, Same
from inventory.models import Region, Site


class ParentRegion(ResourceSerializer):
    """A region as others show it."""

    regionID = Same()

    class Meta(ResourceSerializer.Meta):
        model = Region
        hidden = {"region_kind"}


class RegionSerializer(ResourceSerializer):
    regionID = Same()
    parentRegion = ParentRegion(source="parent_region", read_only=True)
    parentId = Reference(source="parent_region", queryset=Region.objects.all())

    class Meta(ResourceSerializer.Meta):
        model = Region
        hidden = {"region_kind"}
        writable = {"name", "metadata"}
        # Old clients read the parent of a root region without looking whether it has one.
        when_absent = {"parentRegion": {"name": "", "resourceId": "", "regionID": "", "metadata": []}}


class SiteSerializer(ResourceSerializer):
    siteID = Same()
    region = ParentRegion(read_only=True)
    regionId = Reference(source="region", queryset=Region.objects.all())

    class Meta(ResourceSerializer.Meta):
        model = Site
        hidden = {
            "address", "dns_servers", "docker_registries", "metrics_endpoint", "http_proxy", "https_proxy", "ftp_proxy",
            "no_proxy",
        }  # fmt: skip
        writable = {"name", "siteLat", "siteLng", "metadata"}


class RegionViewSet(ResourceViewSet):
    serializer_class = RegionSerializer
    collection = "regions"


class SiteViewSet(ResourceViewSet):
    serializer_class = SiteSerializer
    collection = "sites"

"""Where machines stand: regions, which may lie in regions, and the sites in them; and whose they are (units, OU)."""

from ipaddress import ip_address
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from inventory import errors
from inventory.models.base import Resource, name_field
from inventory.models.columns import late, texts
from inventory.models.metadata import MetadataField
from inventory.models.provider import Provider

DEEPEST = 5  # levels of regions, and of units; counted over the whole tree, as the archived system did


class Region(Resource):
    prefix = "region"

    name = name_field()
    region_kind = late(models.CharField(max_length=64, blank=True))
    parent_region = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", to_field="resource_id"
    )
    metadata = MetadataField()

    class Meta(Resource.Meta):
        pass

    def clean(self):
        check_tree(self, "parent_region_id", "Regions")


class Ou(Resource):
    """An organizational unit: whose a site is. Units may lie in units."""

    prefix = "ou"

    name = name_field()
    ou_kind = models.CharField(max_length=64, blank=True)
    parent_ou = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", to_field="resource_id"
    )
    metadata = MetadataField()

    class Meta(Resource.Meta):
        verbose_name = "organizational unit"

    def clean(self):
        check_tree(self, "parent_ou_id", "Units")


def check_tree(node: Resource, parent: str, called: str) -> None:
    """A tree of at most five levels, without circles."""
    pairs: Any = type(node).objects.values_list("resource_id", parent)
    parents_of: dict[str, str | None] = dict(pairs)
    at: str | None = getattr(node, parent)
    if node.resource_id:
        parents_of[node.resource_id] = at
    above: list[str] = []
    while at is not None and len(above) <= DEEPEST:
        above.append(at)
        at = parents_of.get(at)
    if node.resource_id in above or len(above) + _height(node, parents_of) > DEEPEST:
        raise errors.TransitionNotAllowed(f"{called} nest at most {DEEPEST} levels deep, and never in a circle")


def _height(node: Resource, parents_of: dict[str, str | None]) -> int:
    """The levels from this one down to its deepest descendant, itself included."""
    level, height = {node.resource_id}, 1
    while level := {child for child, parent in parents_of.items() if parent in level and child not in level}:
        height += 1
        if height > DEEPEST:
            break
    return height


def places(site: str | None = None, *, region: str | None = None) -> dict[str, list[str]]:
    """The ids of a site and of all regions that it, or this region, lies in, from the inside out."""
    above = ["parent_region__" * steps + "parent_region_id" for steps in range(DEEPEST - 1)]
    rows: models.QuerySet[Any, Any]
    if site:
        regions = ("region_id", *(f"region__{column}" for column in above))
        rows = Site.objects.filter(resource_id=site).values_list(*regions)
    else:
        rows = Region.objects.filter(resource_id=region or "").values_list("resource_id", *above)
    return {"site": [site] if site else [], "region": [str(one) for row in rows for one in row if one]}


def proxy() -> models.CharField:
    """Where a proxy is, as machines write it: http://proxy.example:8080"""
    return late(models.CharField(max_length=500, blank=True))


def check_addresses(addresses: list) -> None:
    if not isinstance(addresses, list):
        raise ValidationError("a list of IP addresses is needed")
    for address in addresses:
        try:
            ip_address(str(address))
        except ValueError:
            raise ValidationError(f"{address!r} is not an IP address") from None


class Site(Resource):
    prefix = "site"

    name = name_field()
    region = models.ForeignKey(
        Region, null=True, blank=True, on_delete=models.PROTECT, related_name="sites", to_field="resource_id"
    )
    ou = models.ForeignKey(
        Ou, null=True, blank=True, on_delete=models.PROTECT, related_name="sites", to_field="resource_id"
    )
    provider = models.ForeignKey(
        Provider, null=True, blank=True, on_delete=models.PROTECT, related_name="sites", to_field="resource_id"
    )
    address = late(models.CharField(max_length=500, blank=True))
    # Degrees times ten million.
    site_lat = models.IntegerField(default=0, validators=[MinValueValidator(-900000000), MaxValueValidator(900000000)])
    site_lng = models.IntegerField(
        default=0, validators=[MinValueValidator(-1800000000), MaxValueValidator(1800000000)]
    )
    # For the machines there.
    dns_servers = late(models.JSONField(default=list, blank=True, validators=[check_addresses]))
    docker_registries = late(texts(r"[^|\x00-\x1f]*", 500))
    metrics_endpoint = late(models.CharField(max_length=500, blank=True))
    http_proxy, https_proxy, ftp_proxy, no_proxy = proxy(), proxy(), proxy(), proxy()
    metadata = MetadataField()

    class Meta(Resource.Meta):
        pass

"""Where machines stand: regions, which may lie in regions, and the sites in them."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from inventory import errors
from inventory.models.base import Resource, name_field
from inventory.models.metadata import MetadataField

DEEPEST = 5  # levels of regions; counted over the whole tree, as the archived system did


class Region(Resource):
    prefix = "region"

    name = name_field()
    parent_region = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", to_field="resource_id"
    )
    metadata = MetadataField()

    class Meta(Resource.Meta):
        pass

    def clean(self):
        """A tree of at most five levels, without circles."""
        pairs: Any = Region.objects.values_list("resource_id", "parent_region_id")
        parents_of: dict[str, str | None] = dict(pairs)
        if self.resource_id:
            parents_of[self.resource_id] = self.parent_region_id
        above: list[str] = []
        at: str | None = self.parent_region_id
        while at is not None and len(above) <= DEEPEST:
            above.append(at)
            at = parents_of.get(at)
        if self.resource_id in above or len(above) + self._height(parents_of) > DEEPEST:
            raise errors.TransitionNotAllowed(f"Regions nest at most {DEEPEST} levels deep, and never in a circle")

    def _height(self, parents_of: dict[str, str | None]) -> int:
        """The levels from this region down to its deepest descendant, itself included."""
        level, height = {self.resource_id}, 1
        while level := {child for child, parent in parents_of.items() if parent in level and child not in level}:
            height += 1
            if height > DEEPEST:
                break
        return height


class Site(Resource):
    prefix = "site"

    name = name_field()
    region = models.ForeignKey(
        Region, null=True, blank=True, on_delete=models.PROTECT, related_name="sites", to_field="resource_id"
    )
    # Degrees times ten million.
    site_lat = models.IntegerField(default=0, validators=[MinValueValidator(-900000000), MaxValueValidator(900000000)])
    site_lng = models.IntegerField(
        default=0, validators=[MinValueValidator(-1800000000), MaxValueValidator(1800000000)]
    )
    metadata = MetadataField()

    class Meta(Resource.Meta):
        pass

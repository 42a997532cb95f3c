"""Networks: segments of a site, and links between endpoints. The addresses of hosts are in their hardware document."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from inventory.models.base import Resource, name_field, status, wish
from inventory.models.compute import Host
from inventory.models.location import Site

UNTAGGED, RESERVED, LARGEST = 0, 1, 4094  # VLANs


class NetworkSegment(Resource):
    """A VLAN of a site. The one without a tag, 0, is a site's only one."""

    prefix = "netseg"

    name = name_field()
    vlan_id = models.IntegerField(default=0, validators=[MinValueValidator(UNTAGGED), MaxValueValidator(LARGEST)])
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="network_segments", to_field="resource_id")

    class Meta(Resource.Meta):
        constraints = [
            models.UniqueConstraint(fields=["site", "vlan_id"], name="a_vlan_once_a_site"),
            models.CheckConstraint(
                condition=models.Q(vlan_id__gte=UNTAGGED, vlan_id__lte=LARGEST) & ~models.Q(vlan_id=RESERVED),
                name="vlan_id",
            ),
        ]
        verbose_name = "network segment"

    def clean(self):
        if self.vlan_id == RESERVED:
            raise ValidationError("vlanId 1 is every switch's own and can't be used")
        Site.objects.select_for_update().filter(resource_id=self.site_id).first()  # one segment at a time
        others = [
            segment.vlan_id for segment in NetworkSegment.objects.filter(site__resource_id=self.site_id)
            if segment.pk != self.pk
        ]  # fmt: skip
        if others and (self.vlan_id == UNTAGGED or UNTAGGED in others):
            raise ValidationError(f"a segment with vlanId 0 is the only one of its site; {self.site_id} has others")
        if self.vlan_id in others:
            raise ValidationError(self.duplicate_sentence())

    def duplicate_sentence(self):
        return f"{self.site_id} has a network segment with vlanId {self.vlan_id} already"


class Endpoint(Resource):
    """Where a link ends: at a host, or at something that isn't one of ours."""

    prefix = "endpoint"

    kind = models.CharField(max_length=64, blank=True)
    name = name_field()
    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.SET_NULL, related_name="endpoints", to_field="resource_id"
    )

    class Meta(Resource.Meta):
        pass


class NetlinkState(models.TextChoices):
    UNSPECIFIED = "NETLINK_STATE_UNSPECIFIED"
    DELETED = "NETLINK_STATE_DELETED"
    ONLINE = "NETLINK_STATE_ONLINE"
    OFFLINE = "NETLINK_STATE_OFFLINE"
    ERROR = "NETLINK_STATE_ERROR"


class Netlink(Resource):
    """A link between two endpoints."""

    prefix = "netlink"
    wishes = {"state": "provider_status"}
    allowed = {"state": {
        current: {NetlinkState.DELETED}
        if current == NetlinkState.DELETED
        else {NetlinkState.ONLINE, NetlinkState.OFFLINE, NetlinkState.DELETED}
        for current in NetlinkState
    }}  # fmt: skip

    kind = models.CharField(max_length=64, blank=True)
    name = name_field()
    src = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="links_from", to_field="resource_id"
    )
    dst = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="links_to", to_field="resource_id"
    )
    desired_state, current_state = wish(NetlinkState)
    provider_status, provider_status_indicator, provider_status_timestamp = status()

    class Meta(Resource.Meta):
        verbose_name = "network link"

    def must_be_taken_down(self):
        return self.current_state != NetlinkState.UNSPECIFIED or self.provider_status != ""

"""Networks: VLANs of a site, and links between endpoints."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from inventory import errors
from inventory.models import Endpoint, Host, HostState, Netlink, NetlinkState, NetworkSegment, Site
from tests.inventory.nouns import made

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(acme):
    return made(Site(name="Berlin"))


@pytest.mark.parametrize(
    ("there", "wanted", "why"),
    [
        ([], 1, "vlanId 1 is every switch's own"),
        ([], -1, "greater than or equal to 0"),
        ([], 4095, "less than or equal to 4094"),
        ([7], 7, "has a network segment with vlanId 7 already"),
        ([7], 0, "a segment with vlanId 0 is the only one"),
        ([0], 7, "a segment with vlanId 0 is the only one"),
        ([0], 0, "a segment with vlanId 0 is the only one"),
    ],
)
def test_a_vlan_that_a_site_cannot_have_is_refused_made_or_changed(site, there, wanted, why):
    for vlan in there:
        made(NetworkSegment(site=site, vlan_id=vlan))
    with pytest.raises(ValidationError, match=why):
        NetworkSegment(site=site, vlan_id=wanted).ask()
    other = made(NetworkSegment(site=made(Site(name="Oslo")), vlan_id=99))
    other.site, other.vlan_id = site, wanted
    with pytest.raises(ValidationError, match=why):
        other.save()


def test_a_segment_can_be_renamed_and_another_site_has_the_same_vlan(site):
    segment = made(NetworkSegment(site=site, vlan_id=7))
    segment.name = "cameras"
    segment.save()
    assert made(NetworkSegment(site=made(Site(name="Oslo")), vlan_id=7)).pk


def test_the_database_knows_the_rules_too(site):
    made(NetworkSegment(site=site, vlan_id=7))
    other = made(NetworkSegment(site=site, vlan_id=8))
    for vlan in (1, 7, 4095):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.QuerySet.update(NetworkSegment.objects.filter(pk=other.pk), vlan_id=vlan)


def test_a_site_with_segments_stays(site):
    segment = made(NetworkSegment(site=site, vlan_id=7))
    with pytest.raises(errors.InUse, match=f"{site} is in use by {segment}"):
        site.delete()
    segment.delete()
    site.delete()


def test_endpoints_and_links_stay_for_nothing_when_what_they_are_at_goes(acme):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    here, there = made(Endpoint(name="here", host=host)), made(Endpoint(name="there"))
    link = made(Netlink(name="cable", src=here, dst=there), state=NetlinkState.ONLINE)
    host.ask(state=HostState.DELETED)
    here.refresh_from_db()
    assert here.host_id is None
    here.delete()
    link.refresh_from_db()
    assert (link.src_id, link.dst_id, link.desired_state) == (None, str(there), NetlinkState.ONLINE)

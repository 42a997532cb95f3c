"""The networking manager: one address, one host of a site."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import addresses
from inventory.models import Host, HostState, Site
from inventory.models.compute import no_hardware
from tests.conftest import settle
from workers import engine

CARD = {"deviceName": "eth0", "macAddr": "52:54:00:00:00:01"}


def site(name: str) -> Site:
    made = Site(name=name)
    made.ask()
    return made


@pytest.fixture
def here(acme):
    return site("here")


def host(serial: str, at: Site | None, *told: str) -> Host:
    made = Host(serial_number=serial, site=at)
    made.ask(state=HostState.REGISTERED)
    has(made, *told)
    return made


def has(made: Host, *told: str) -> None:
    """Its machine reports these addresses."""
    items = [{"address": address, "configMethod": "", **addresses.CONFIGURED} for address in told]
    made.observe(hardware=no_hardware() | {"nics": [CARD | {"ipaddresses": items}]})


def marks(*hosts: Host) -> list[list[str]]:
    """The addresses of each that are shown as duplicates."""
    settle()
    return [sorted(addresses.duplicates_in(Host.objects.get(pk=one.pk).hardware)) for one in hosts]


def test_both_twins_are_marked_and_both_are_healed(here):
    one, two = host("A", here, "10.0.0.5/24", "10.0.0.6/24"), host("B", here, "10.0.0.5/16")
    assert marks(one, two) == [["10.0.0.5"], ["10.0.0.5"]]
    told = Host.objects.get(pk=two.pk).hardware["nics"][0]["ipaddresses"][0]
    assert (told["status"], told["statusDetail"]) == (
        "IP_ADDRESS_STATUS_CONFIGURATION_ERROR", "IPAddress duplication is unsupported",
    )  # fmt: skip
    has(two, "10.0.0.7/24")
    assert marks(one, two) == [[], []]


@pytest.mark.parametrize("how", ["moves", "goes", "is without a site"])
def test_the_one_that_stays_is_healed_when_the_other_leaves(here, how):
    one, two = host("A", here, "10.0.0.5/24"), host("B", here, "10.0.0.5/24")
    assert marks(one, two) == [["10.0.0.5"]] * 2
    two = Host.objects.get(pk=two.pk)
    if how == "goes":
        two.delete()
    else:
        two.site = site("there") if how == "moves" else None
        two.save()
    assert marks(one) == [[]]


def test_of_three_two_stay_marked(here):
    hosts = [host(name, here, "10.0.0.5/24") for name in "ABC"]
    assert marks(*hosts) == [["10.0.0.5"]] * 3
    has(hosts[0])
    assert marks(*hosts) == [[], ["10.0.0.5"], ["10.0.0.5"]]
    has(hosts[1])
    assert marks(*hosts) == [[], [], []]


def test_addresses_that_everybody_has_and_those_of_other_sites_are_no_duplicates(here):
    everybodys = ("127.0.0.1/8", "169.254.1.1/16", "fe80::1/64", "::1/128")
    hosts = [host("A", here, *everybodys, "10.0.0.5/24"), host("B", here, *everybodys)]
    hosts += [host("C", site("there"), "10.0.0.5/24"), host("D", None, "10.0.0.5/24"), host("E", None, "10.0.0.5/24")]
    assert marks(*hosts) == [[]] * 5


def test_a_fault_that_nobody_rang_for_is_found_by_the_audit(here):
    one, two = host("A", here, "10.0.0.5/24"), host("B", here, "10.0.0.5/24")
    wrong = engine.registry["UniqueAddresses"].outstanding()
    assert {*wrong} == {one, two}
    settle()
    assert not wrong.all().exists()


def test_looking_at_a_host_costs_the_same_however_many_have_its_address(here):
    one = host("A", here, "10.0.0.5/24")

    def looked() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as made:
            return sum(map(len, engine.interested_in(Host, [one.pk]).values())), len(made)

    interested, statements = looked()
    for number in range(20):
        host(f"N{number}", here, "10.0.0.5/24")
    then, statements_then = looked()
    assert then <= interested + 2 and statements_then == statements

"""Search over everything in a project."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import Host, HostState, Instance
from tenants import roles
from tenants.models import Role, User
from tests.tenants.everything import SECRET, a_failed_run, one_of_everything

pytestmark = pytest.mark.django_db

NIC = {"deviceName": "eth0", "macAddr": "AA:BB:CC:DD:EE:FF", "ipaddresses": [{"address": "10.1.2.3/24", "status": ""}]}


@pytest.fixture
def search(acme, client):
    user = User.objects.create_user("rita")
    roles.grant(Role.READ, user, acme)
    client.force_login(user)
    return lambda words: client.get("/p/acme/search/", {"q": words})


@pytest.fixture
def host(acme):
    host = Host(name="rack-7", serial_number="4CE1234567", uuid=UUID("12345678-1234-4234-8234-123456789abc"))
    host.ask(state=HostState.REGISTERED)
    host.observe(hardware={"storages": [], "nics": [NIC], "usbs": [], "gpus": []}, bmc_ip="10.9.9.9")
    return host


@pytest.mark.parametrize(
    "words",
    ["rack", "RACK-7", "4ce12", "12345678-1234-4234", "ra*7", "aa:bb:cc:dd:ee:ff", "AABBCCDDEEFF", "aa-bb-cc-dd-ee-ff",
     "10.1.2.3", "10.9.9.9"],
)  # fmt: skip
def test_a_host_is_found_by_whatever_it_is_called(search, host, words):
    page = search(words).text
    assert f'href="/p/acme/hosts/{host}/">rack-7</a>' in page


@pytest.mark.parametrize("words", ["10.1.2.4", "aa:bb:cc:dd:ee:00", "10.1.2", "no such thing", "%", "'", "rack%7"])
def test_what_is_called_otherwise_is_not_found(search, host, words):
    answer = search(words)
    assert answer.status_code == 200 and "rack-7</a>" not in answer.text


def test_everything_that_has_a_name_is_found_by_it(search):
    made = one_of_everything()
    a_failed_run(made[Instance])
    page = search(SECRET).text
    for called in ("Hosts", "Instances", "Sites", "Regions", "Operating systems", "Single schedules",
                   "Repeated schedules", "Providers"):  # fmt: skip
        assert f'aria-label="{called}"' in page
    assert 'aria-label="Installations"' in search("workflow-0123").text


def test_the_queries_are_as_many_however_much_is_found_and_the_rest_is_led_to(search, host):
    def asked() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as queries:
            page = search("rack").text
        return sum(query["sql"].startswith('SELECT "inventory') for query in queries), page

    one, _ = asked()
    for number in range(12):
        Host(name=f"rack-{number}x", serial_number=f"SNX{number:05}").ask(state=HostState.REGISTERED)
    many, page = asked()
    assert one == many
    assert page.count('href="/p/acme/hosts/host-') == 8
    assert "/p/acme/admin/inventory/host/?q=rack" in page


def test_less_than_two_letters_are_asked_for_more(search, host):
    assert "At least 2 letters" in search("r").text and "At least 2 letters" in search("").text

"""What Prometheus reads is what is so at that moment, tenant by tenant."""

import pytest

from inventory.models import Host, HostState, Indicator, Status
from tests.conftest import settle

pytestmark = pytest.mark.django_db


def lines(client) -> list[str]:
    return client.get("/metrics").content.decode().splitlines()


def test_hosts_are_counted_by_what_their_status_says(client, acme):
    for number in range(3):
        Host(serial_number=f"SN0000{number}").ask(state=HostState.REGISTERED)
    Host.objects.first().observe(host_status=Status("Running", Indicator.IDLE))
    found = lines(client)
    assert 'edge_hosts{project="acme",status="Running"} 1.0' in found
    assert 'edge_hosts{project="acme",status="Not Connected"} 2.0' in found


def test_outstanding_work_is_counted_until_it_is_done(client, acme):
    host = Host(serial_number="SN00001")
    host.ask(state=HostState.DELETED)
    from workers import tasks

    tasks._hear()
    assert 'eim_outstanding_work{queue="reconcile"} 1.0' in lines(client)
    settle()
    assert not [line for line in lines(client) if line.startswith("eim_outstanding_work{")]

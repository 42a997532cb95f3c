"""What the demo shows of the hosts that the API lists."""

from types import SimpleNamespace

import pytest

from eim_project import demo


def host(serial: str, state: str = "HOST_STATE_REGISTERED", status: str = "Not Connected", **instance: str) -> dict:
    found = {"resourceId": f"host-{serial}", "serialNumber": serial, "currentState": state, "hostStatus": status}
    common = {"site": {"name": "Berlin Mitte"}, "cpuCores": 8, "memoryBytes": str(16 * 2**30)}
    shown = {"currentState": "INSTANCE_STATE_UNSPECIFIED", "provisioningStatus": "", "instanceStatus": "", **instance}
    return {**found, **common, "instance": shown}


ONBOARDED = "HOST_STATE_ONBOARDED"
INSTALLED = "INSTANCE_STATE_RUNNING"


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (host("A"), "registered"),
        ({**host("A"), "instance": None}, "registered"),
        (host("A", ONBOARDED), "onboarded"),
        (host("A", ONBOARDED, provisioningStatus="Provisioning In Progress: 3/7: Streaming OS image"), "provisioning"),
        (host("A", ONBOARDED, provisioningStatus="Provisioning Failed: 3/7: wrong digest"), "failed"),
        (host("A", ONBOARDED, "Rebooting", currentState=INSTALLED, instanceStatus="Running"), "rebooting"),
        (host("A", ONBOARDED, "Running", currentState=INSTALLED, instanceStatus="Running"), "running"),
    ],
)
def test_the_stage_of_a_host(seen, stage):
    assert demo.stage(seen) == stage


def test_a_change_is_told_once():
    fleet = demo.Fleet({"A"})
    fleet.look_at([host("A"), host("not ours")])
    fleet.look_at([host("A")])
    fleet.look_at([host("A", ONBOARDED)])
    assert [event.split(maxsplit=1)[1] for event in fleet.events] == [
        "host-A  A  registered",
        "host-A  A  onboarded",
    ]
    assert fleet.line() == "1 onboarded"


def test_hosts_in_provisioning_are_counted_by_step():
    fleet = demo.Fleet({"A", "B", "C"})
    fleet.look_at(
        host(serial, ONBOARDED, provisioningStatus=f"Provisioning In Progress: {step}")
        for serial, step in [("A", "2/7: Erasing"), ("B", "3/7: Streaming"), ("C", "3/7: Streaming")]
    )
    assert fleet.steps() == "2/7: Erasing (1), 3/7: Streaming (2)"


def test_the_image_is_always_the_same_bytes(tmp_path, monkeypatch):
    digests = []
    for name in ("once", "twice"):
        monkeypatch.setattr(demo, "settings", SimpleNamespace(EIM_ARTIFACTS=tmp_path / name))
        digests.append(demo.make_image().read_bytes())
    assert digests[0] == digests[1]

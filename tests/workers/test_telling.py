"""What Flower hears of the loop."""

import threading

import pytest
from celery import current_app

from inventory.models import Region
from tests.eim_project.waiting import wait_until
from workers import telling
from workers.telling import Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard(monkeypatch):
    """All task events of the broker, as Flower's receiver gets them."""
    monkeypatch.setattr(telling, "_under", "tests@here")
    monkeypatch.setattr(telling, "_silent_until", 0.0)
    events: list[dict] = []
    with current_app.connection_for_read() as connection:
        receiver = current_app.events.Receiver(connection, handlers={"*": events.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False}, daemon=True)
        thread.start()
        yield events
        receiver.should_stop = True
        thread.join(30)


@pytest.mark.parametrize("slow", [False, True])
def test_a_reconciliation_is_told_with_its_tenant_its_resource_and_how_it_went(acme, heard, slow):
    region = Region(name="north")
    region.ask()

    def tell() -> bool:
        """Nobody hears before they listen, so it is told until somebody does."""
        with Telling("HostPower", acme.schema_name, str(region), slow=slow) as told:
            told.outcome = "done"
        with (
            pytest.raises(ValueError, match="cable"),
            Telling("HostPower", acme.schema_name, str(region), slow=slow),
        ):
            raise ValueError("the cable is out")
        return {"task-started", "task-succeeded", "task-failed"} <= {event["type"] for event in heard}

    wait_until(tell, seconds=60)
    by_type = {event["type"]: event for event in heard}
    for told in by_type.values():
        assert (told["name"], told["args"]) == ("HostPower", f"('acme', '{region.resource_id}')")
        assert told["hostname"] == "tests@here"
    assert by_type["task-succeeded"]["result"] == "done"
    assert by_type["task-failed"]["exception"] == "ValueError: the cable is out"


def test_a_broker_that_is_away_holds_up_no_work(acme, heard, monkeypatch, caplog):
    asked = []

    def away(**_):
        asked.append(1)
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr(current_app.events, "default_dispatcher", away)
    for _ in range(3):
        with Telling("HostPower", acme.schema_name, "host-00000000", slow=False) as told:
            told.outcome = "done"
    assert len(asked) == 1 and "nobody can be told" in caplog.text

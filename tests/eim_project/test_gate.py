"""Few requests are computed at once, and none waits for ever."""

import threading
import time

import pytest

from eim_project.gate import gated


class Application:
    """One that holds its callers until it is told to let them go, and knows how many it had at most."""

    def __init__(self) -> None:
        self.over, self.inside, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.over.wait(10)
        with self.lock:
            self.inside -= 1
        return [b"done"]


@pytest.fixture
def application():
    made = Application()
    yield made
    made.over.set()


def called(gate, times: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=gate, args=({}, None)) for _ in range(times)]
    for thread in threads:
        thread.start()
    return threads


def wait_until(so, seconds=10):
    end = time.monotonic() + seconds
    while not so() and time.monotonic() < end:
        time.sleep(0.01)
    assert so()


def test_no_more_are_computed_at_once_than_there_are_places(application):
    threads = called(gated(application, at_once=3, patience=10), 12)
    wait_until(lambda: application.inside == 3)
    application.over.set()
    for thread in threads:
        thread.join(10)
    assert application.most == 3 and not any(thread.is_alive() for thread in threads)


def test_who_has_waited_long_enough_goes_on_though_all_places_are_held(application):
    called(gated(application, at_once=1, patience=0.05), 3)
    wait_until(lambda: application.inside == 3)


def test_a_request_that_fails_gives_its_place_back():
    def fails(environ, start_response):
        raise ZeroDivisionError

    gate = gated(fails, at_once=1, patience=60)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            gate({}, None)

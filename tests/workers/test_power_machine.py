"""A wish over the API boots a machine: QEMU's of `make machine`, behind a real Redfish controller. For make slow."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioning import qemu
from tests.workers import controllers
from tests.workers.test_power import (  # noqa: F401  fixtures among them
    OFF,
    ON,
    allowed,
    emulator,
    host,
    pass_time,
    status,
    watch,
    watcher,
    work,
)

BOOTS_WITHIN = 120  # seconds; emulated on a busy machine


class Bridge:
    """What the controller switches."""

    def __init__(self, hardware: qemu.Hardware, url: str, folder) -> None:
        self.hardware, self.url, self.folder = hardware, url, folder
        self.machine: qemu.Machine | None = None
        # QEMU ends with the thread that started it, and the controller has one for each request.
        self.hand = ThreadPoolExecutor(1)

    def switch(self, command: str) -> None:
        self.hand.submit(self._switch, command).result()

    def _switch(self, command: str) -> None:
        if command != "On" and self.machine:
            self.machine.__exit__()
        if command in ("On", "ForceRestart", "GracefulRestart", "PowerCycle"):
            self.machine = qemu.Machine(self.hardware, qemu.Boot(url=self.url), self.folder).__enter__()

    def is_on(self) -> bool:
        return self.machine is not None and self.machine.is_on()


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(600)
def test_a_wish_boots_a_machine_and_one_that_was_ended_is_booted_again(
    api, emulator, watcher, settings, tmp_path  # noqa: F811
):
    if shutil.which("qemu-system-x86_64") is None:
        pytest.fail("qemu-system-x86_64 is missing: apt-get install qemu-system-x86 ipxe-qemu")
    asked = threading.Semaphore(0)

    def boot_server(_handler, request, _body):
        asked.release()
        return 200, b"#!ipxe\necho booted by a wish\nsleep 3600\n"

    with controllers.serving(boot_server) as url:
        there = url.replace("127.0.0.1", qemu.HOST_AS_SEEN_BY_GUEST)
        one = host(emulator.url)
        emulator.add(one.uuid)
        hardware = qemu.Hardware(uuid=str(one.uuid), serial="SN00001", mac="52:54:00:00:00:07", memory_mib=256)
        bridge = emulator.really[str(one.uuid)] = Bridge(hardware, f"{there}/boot.ipxe", tmp_path / "machine")
        try:
            for wish, text in ((ON, "Powered on"), (OFF, "Powered off"), (ON, "Powered on")):
                api.patch(f"{api.base}/compute/hosts/{one}", {"desiredPowerState": wish, "name": "rack-7"})
                work()
                assert status(one)[:2] == (wish, text), bridge.machine.last_words(20)
                assert bridge.is_on() == (wish == ON)
                if wish == ON:
                    assert asked.acquire(timeout=BOOTS_WITHIN), bridge.machine.last_words(20)
            pass_time()
            watch(watcher)
            settings.POWER_GRACE = 0  # it was told long ago
            bridge.machine.process.kill()
            deadline = time.monotonic() + 10
            while bridge.is_on() and time.monotonic() < deadline:
                time.sleep(0.05)
            pass_time()
            watch(watcher)
            assert status(one)[:2] == (OFF, "Powered off")
            work()
            assert status(one)[:2] == (ON, "Powered on") and bridge.is_on()
            assert asked.acquire(timeout=BOOTS_WITHIN), bridge.machine.last_words(20)
        finally:
            bridge.switch("ForceOff")

"""Machines of all kinds, from an empty disk to Running, as `make machine` does it: minutes each, so for make slow."""

import subprocess
import sys

import pytest
from django.conf import settings

KINDS = [
    ("virtio", "virtio", "bios", "ipxe"),
    ("ahci", "e1000e", "bios", "ipxe"),
    ("nvme", "virtio", "bios", "ipxe"),
    ("virtio", "virtio", "uefi", "ipxe"),
    ("ahci", "virtio", "uefi", "usb"),
    ("virtio", "virtio", "uefi", "dvd"),
    ("virtio", "virtio", "uefi", "http"),
    ("nvme", "virtio", "uefi", "https"),
]


@pytest.mark.slow
@pytest.mark.xdist_group("machine")  # one at a time
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("disk", "nic", "firmware", "boot"), KINDS)
def test_a_machine_is_installed_and_reports(environment, disk, nic, firmware, boot):
    command = [sys.executable, "manage.py", "machine", "--disk", disk, "--nic", nic, "--firmware", firmware]
    command += ["--boot", boot]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.splitlines()[-1].startswith("machine: Running in ")


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(2400)
def test_a_machine_is_logged_in_to_installed_anew_deauthorized_and_deleted(environment):
    command = [sys.executable, "manage.py", "machine_life", "--timeout", "2300"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for seen in ("logged in by SSH", "installed anew", "deauthorized", "deleted"):
        assert f"  {seen}: " in done.stdout


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("apt", "edge-proof 2.0 is on its disk"),
        ("image", "Update completed; it runs os-"),
        ("broken-image", "Update failed; it runs os-"),
    ],
)
def test_a_machine_is_updated_in_its_window_or_goes_back_and_says_so(environment, what, seen):
    command = [sys.executable, "manage.py", "machine_update", what, "--timeout", "2300"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert seen in done.stdout

"""Machines of all kinds, from an empty disk to Running, as `make machine` does it: minutes each, so for make slow."""

import re
import subprocess
import sys

import pytest
from django.conf import settings

from provisioning import texts

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
SPECIAL = {
    "the second of two disks is not touched": ["--second-disk", "--firmware", "uefi"],
    "somebody logs in on the serial console": ["--log-in"],
    "the power is cut while the image is streamed": ["--trouble", "power-cut", "--disk", "nvme"],
    "the image is another one than the operator says": ["--trouble", "wrong-digest"],
}


@pytest.mark.slow
@pytest.mark.xdist_group("machine")  # one at a time
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("disk", "nic", "firmware", "boot"), KINDS)
def test_a_machine_is_installed_and_reports(environment, disk, nic, firmware, boot):
    command = ["--disk", disk, "--nic", nic, "--firmware", firmware, "--boot", boot]
    assert run(environment, command)[-1].startswith("machine: Running in ")


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("special", SPECIAL)
def test_a_machine_is_installed_though(environment, special):
    outcome = "Refused" if "wrong-digest" in SPECIAL[special] else "Running"
    assert run(environment, SPECIAL[special])[-1].startswith(f"machine: {outcome} in ")


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(1800)
def test_a_disk_is_encrypted_under_secure_boot_and_unlocked_by_the_tpm_at_the_first_start_and_a_later_one(environment):
    said = run(environment, ["--secure-boot", "--firmware", "uefi"])
    assert [line.endswith("its TPM unlocks its disk") for line in said].count(True) == 2
    assert said[-1].startswith("machine: Running in ")


def run(environment, options):
    """The lines that the command says."""
    command = [sys.executable, "manage.py", "machine", "--timeout", "1500", *options]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(1800)
def test_secure_boot_is_enforced_from_the_stick_to_the_installed_disk_though_the_stick_stays_in(environment, tmp_path):
    """By a template of one's own that leaves out the encryption of the disk."""
    shipped = (texts.SHIPPED / "workflows/debian.yaml").read_text()
    plain = re.sub(r"{% if encrypted %}.*?{% endif %}\n", "", shipped, flags=re.DOTALL)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/debian.yaml").write_text(plain)
    options = ["--firmware", "uefi", "--boot", "usb", "--secure-boot"]
    assert run(environment | {"EIM_TEMPLATES": str(tmp_path)}, options)[-1].startswith("machine: Running in ")


@pytest.mark.slow
@pytest.mark.xdist_group("machine")
@pytest.mark.timeout(2400)
def test_a_machine_is_logged_in_to_installed_anew_deauthorized_and_deleted(environment):
    command = [sys.executable, "manage.py", "machine_life"]
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
    command = [sys.executable, "manage.py", "machine_update", what]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert seen in done.stdout

"""Secure Boot on a (virtual) machine: what we signed starts, and nothing else. A minute; run by make boots."""

import pytest
from django.conf import settings

from eim_project import tls
from provisioning import boot_keys, qemu
from provisioning.dkam import build, tools
from tests.provisioning.conftest import take_over

pytestmark = [pytest.mark.boots, pytest.mark.xdist_group("machine"), pytest.mark.timeout(900)]
HARDWARE = qemu.Hardware(
    uuid="a1458656-e817-4a84-b4ca-60def028ebe4", serial="QEMU00000001", mac="52:54:00:12:34:56", firmware="uefi",
    secure_boot=True,
)  # fmt: skip
BOOTS_WITHIN_SECONDS = 300  # it takes 10 to 25 on a quiet machine


@pytest.fixture(scope="module")
def built(django_db_setup, django_db_blocker, tmp_path_factory):
    """The media, with keys of their own. What is built in this checkout already, before signing, is taken over."""
    tools.require_all()
    data = settings.DEFAULT_DATA
    tls.ensure(data / "tls", ["127.0.0.1", qemu.HOST_AS_SEEN_BY_GUEST])
    with django_db_blocker.unblock():
        keys = boot_keys.in_force()
    inputs = build.Inputs(
        tmp_path_factory.mktemp("boots"), settings.BASE_DIR, data / "tls/ca.crt", keys=keys,
        arguments=("grpc_authority=10.0.2.2:1", "eim_url=https://10.0.2.2:1"),
    )  # fmt: skip
    take_over(inputs.artifacts, "microos-packages", "microos")
    for name in ("microos-packages", "microos", "signed", "media"):
        build.build(name, inputs, print)
    return inputs.store.current("media")


@pytest.fixture(scope="module")
def firmware(built, tmp_path_factory):
    """A folder whose firmware has taken our certificates from the stick, as a real machine's does."""
    folder = tmp_path_factory.mktemp("firmware")
    with qemu.Machine(HARDWARE, qemu.Boot(usb=built / "secure-boot-enroll.iso", once=True), folder) as machine:
        assert machine.until("Enrolling secure boot keys", BOOTS_WITHIN_SECONDS), machine.last_words(20)
        assert machine.until_off(BOOTS_WITHIN_SECONDS), machine.last_words(20)
    return folder


@pytest.mark.parametrize("medium", ["usb", "dvd"])
def test_firmware_that_knows_our_certificates_boots_our_stick_and_our_dvd(built, firmware, medium):
    with qemu.Machine(HARDWARE, qemu.Boot(**{medium: built / "eim.iso"}), firmware, fresh=False) as machine:
        assert machine.until("installing from https://10.0.2.2:1", BOOTS_WITHIN_SECONDS), machine.last_words(20)


def test_firmware_refuses_our_stick_with_one_byte_changed(built, firmware, tmp_path):
    stick = bytearray((built / "eim.iso").read_bytes())
    stick[len(stick) // 2] ^= 1  # in the middle of the initramfs
    (tmp_path / "changed.iso").write_bytes(stick)
    with qemu.Machine(HARDWARE, qemu.Boot(usb=tmp_path / "changed.iso"), firmware, fresh=False) as machine:
        assert machine.until("Access Denied", BOOTS_WITHIN_SECONDS), machine.last_words(20)
        assert "micro-OS" not in machine.console.read_text(errors="replace")

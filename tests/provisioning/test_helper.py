"""The helper on a LAN: beside a DHCP server that knows nothing of us, it says what to boot. Run by make boots."""

import ipaddress

import pytest

from provisioning import pxe, qemu
from provisioning.dkam import tools
from provisioning.lan import Lan

pytestmark = [pytest.mark.boots, pytest.mark.xdist_group("machine"), pytest.mark.timeout(600)]
BOOTS_WITHIN_SECONDS = 300
HARDWARE = qemu.Hardware(
    uuid="a1458656-e817-4a84-b4ca-60def028ebe4", serial="QEMU00000001", mac="52:54:00:12:34:56"
)


def test_a_machine_on_the_lan_is_sent_to_our_script(tmp_path):
    """The machine's own iPXE asks; the LAN's DHCP server gives it an address, and the helper our URL."""
    tools.require_all()
    with Lan(tmp_path) as lan:
        subnet = ipaddress.IPv4Network(f"{lan.server}/24", strict=False)
        lan.give_addresses("")
        lan.run_helper(pxe.configuration(subnet, f"http://{lan.server}:9/tink-stack"))
        with qemu.Machine(HARDWARE, qemu.Boot(lan=lan), tmp_path / "machine") as machine:
            assert machine.until(f"http://{lan.server}:9/tink-stack/boot.ipxe", BOOTS_WITHIN_SECONDS), (
                machine.last_words(20) + lan.said()
            )

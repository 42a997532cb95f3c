"""The micro-OS on (virtual) machines that something is special about; a scripted server tells it what to do.

It is started by its kernel alone: firmware, network boot and a whole server are in test_machine.py.
"""

import asyncio
import base64
import hashlib
import os
import threading
from uuid import UUID

import grpc
import pytest
from django.conf import settings

from edge.microos import layout, verity
from edge.microos.programs import run
from eim_project import tls
from provisioning import qemu
from provisioning.dkam import build, tools
from tests.edge.orchestrator import Orchestrator, action, refusal, until
from tests.provisioning.conftest import take_over

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("machine"), pytest.mark.timeout(1800)]
MIB = 2**20
IN_TIME = 600  # seconds; each takes one minute on a quiet machine
MAC = "52:54:00:12:34:57"
HARDWARE = {"uuid": "a1458656-e817-4a84-b4ca-60def028ebe5", "serial": "QEMU00000002", "mac": MAC, "memory_mib": 1024}
IMAGE = b"boot code".ljust(510) + b"\x55\xaa" + bytes(MIB) + os.urandom(20 * MIB)
SECRET = "only this machine knows it"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def microos(tmp_path_factory):
    """Kernel and initramfs; what is built in this checkout already is taken over."""
    tools.require_all()
    data = settings.DEFAULT_DATA
    tls.ensure(data / "tls", ["127.0.0.1", qemu.HOST_AS_SEEN_BY_GUEST])
    inputs = build.Inputs(tmp_path_factory.mktemp("microos"), settings.BASE_DIR, data / "tls/ca.crt")
    take_over(inputs.artifacts, "microos-packages", "microos")
    for name in ("microos-packages", "microos"):
        build.build(name, inputs, print)
    return inputs.store.current("microos")


class Site:
    """A server, and the machine beside it."""

    def __init__(self, server, microos, folder):
        self.server, self.microos, self.folder = server, microos, folder

    def machine(self, **hardware):
        served = self.server.url.replace("127.0.0.1", qemu.HOST_AS_SEEN_BY_GUEST)
        words = f"worker_id={MAC} eim_url={served} grpc_authority={qemu.HOST_AS_SEEN_BY_GUEST}:{self.server.grpc_port}"
        words += " console=tty0 console=ttyS0 quiet no_timer_check"  # on a busy machine QEMU's timers come late
        kernel = (self.microos / "vmlinuz", self.microos / "initramfs", words)
        lonely = hardware.pop("lonely", False)
        return qemu.Machine(
            qemu.Hardware(**HARDWARE | hardware), qemu.Boot(kernel=kernel, lonely=lonely), self.folder / "machine"
        )

    def offer(self, name, content, **environment):
        """The image's inputs for the action that streams it."""
        self.server.files[f"/{name}"] = content
        authority = (self.server.folder / "ca.crt").read_bytes()
        return {
            "IMG_URL": f"{self.server.url.replace('127.0.0.1', qemu.HOST_AS_SEEN_BY_GUEST)}/{name}",
            "SHA256": hashlib.sha256(content).hexdigest(),
            "TLS_CA_CERT": base64.b64encode(authority).decode(),
        } | environment

    def order(self, *actions):
        self.server.workflow_id = f"workflow-{id(actions)}"
        self.server.actions = list(actions)

    async def ended(self, machine, name):
        """How this action ended, and what was said of it."""
        found = []

        def is_there():
            ends = [it for it in self.server.reports if it[0] == name and it[1] != "RUNNING"]
            found[:] = [(state, said) for _, state, said in ends]
            return found or not machine.is_on()

        await until(is_there, IN_TIME)
        assert found, machine.last_words(30)
        return found[-1]


@pytest.fixture
async def site(microos, tmp_path):
    server = Orchestrator(settings.DEFAULT_DATA / "tls")
    await server.start()
    server.start_http()
    server.boot_script = "#!ipxe"
    yield Site(server, microos, tmp_path)
    await server.stop()
    server.stop_http()


def stream(**environment):
    return action("stream-os-image", "x/image2disk:v1", 600, **environment)


@pytest.mark.boots
async def test_a_power_cut_while_it_is_streamed_leaves_nothing_bootable_and_then_it_goes_on_beside_another_disk(site):
    image = site.offer("image.raw", IMAGE, INSTALL_DISK="virtio0001")
    site.server.held["/image.raw"] = threading.Event()
    site.order(action("erase", "x/erase_non_removable_disks:v1", INSTALL_DISK="virtio0001"), stream(**image))
    with site.machine(second_disk="OTHERS0001") as machine:
        await until(lambda: site.server.half_sent or not machine.is_on(), IN_TIME)
        assert machine.is_on(), machine.last_words(30)
        machine.cut_power()
        with machine.disk.open("rb") as disk:
            assert disk.read(MIB) == bytes(MIB)
        site.server.held.pop("/image.raw").set()
        machine.switch_on()
        assert await site.ended(machine, "stream-os-image") == ("SUCCESS", "written to /dev/vda, sha256 as asked for")
        with machine.disk.open("rb") as disk:
            assert disk.read(len(IMAGE)) == IMAGE
        assert machine.is_untouched()


@pytest.mark.slow
async def test_a_wrong_digest_leaves_nothing_bootable_and_the_next_workflow_is_taken_up(site):
    image = site.offer("image.raw", IMAGE)
    site.order(stream(**image | {"SHA256": "0" * 64}))
    with site.machine(disk="nvme") as machine:
        state, said = await site.ended(machine, "stream-os-image")
        assert state == "FAILED" and f"has sha256 {image['SHA256']}, expected {'0' * 64}" in said
        with machine.disk.open("rb") as disk:
            assert disk.read(MIB) == bytes(MIB)
        site.server.reports.clear()
        site.order(stream(**image))
        assert (await site.ended(machine, "stream-os-image"))[0] == "SUCCESS"


@pytest.mark.slow
async def test_a_clock_that_is_years_off_and_a_server_that_goes_away_and_comes_back(site):
    image = site.offer("image.raw", IMAGE)
    site.server.held["/image.raw"] = threading.Event()
    site.order(stream(**image))
    with site.machine(disk="ahci", nic="e1000e", clock="2001-02-03T04:05:06") as machine:
        await until(lambda: site.server.half_sent or not machine.is_on(), IN_TIME)
        assert "the clock said 2001-02-03" in machine.console.read_text(errors="replace"), machine.last_words(30)
        await site.server.stop()
        site.server.held.pop("/image.raw").set()
        written = "action stream-os-image SUCCESS"
        await until(lambda: written in machine.console.read_text(errors="replace") or not machine.is_on(), IN_TIME)
        assert machine.is_on() and not [state for state in site.server.states() if state.endswith("SUCCESS")]
        await site.server.start()
        assert (await site.ended(machine, "stream-os-image"))[0] == "SUCCESS"


@pytest.mark.slow
async def test_a_read_only_disk_is_told_and_so_is_a_network_without_an_address(site):
    site.order(action("erase", "x/erase_non_removable_disks:v1"), stream(**site.offer("image.raw", IMAGE)))
    with site.machine(read_only=True) as machine:
        state, said = await site.ended(machine, "erase")
        assert (state, said) == ("FAILED", "this machine shows no disk to install on, only vda (read-only)")
    with site.machine(lonely=True) as machine:
        told = await asyncio.to_thread(machine.until, "no DHCP server gives eth0 an address", IN_TIME)
        assert told, machine.last_words(9)


@pytest.mark.slow
async def test_who_logs_in_on_the_serial_console_lets_a_machine_in_that_nobody_has_registered(site):
    site.server.onboarding = [refusal(grpc.StatusCode.NOT_FOUND, "Device not found")]
    site.server.people = {"ann": "s3cret"}
    site.order(action("erase", "x/erase_non_removable_disks:v1"))
    with site.machine() as machine:
        heard = 0
        for words, typed in (("username: ", "ann"), ("password: ", "wrong"), ("refused ann", ""),
                             ("username: ", "ann"), ("password: ", "s3cret")):  # fmt: skip
            await until(lambda: words in shown(machine, heard) or not machine.is_on(), IN_TIME)  # noqa: B023 - at once
            assert machine.is_on(), machine.last_words(30)
            heard += shown(machine, heard).index(words) + len(words)
            if typed:
                with machine.keyboard() as keys:
                    keys.sendall(f"{typed}\r".encode())
        assert (await site.ended(machine, "erase"))[0] == "SUCCESS"
        assert "s3cret" not in shown(machine, 0)
    assert site.server.let_in == [HARDWARE["uuid"]]


def shown(machine, start):
    return machine.console.read_text(errors="replace")[start:]


def system(folder, *more):
    """A disk image with a root file system that says it can unlock itself; more: lines for sfdisk."""
    root, raw = folder / "root", folder / "image.raw"
    (root / "etc").mkdir(parents=True)
    (root / "etc/unlocks-by-tpm2").touch()
    run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "rootfs", "-d", root, folder / "ext4", "32M")
    with raw.open("wb") as disk:
        disk.truncate(48 * MIB)
    lines = ["label: gpt", "start=2048, size=4096, type=U", *more, 'size=65536, name="rootfs"']
    run("sfdisk", "-q", raw, stdin="\n".join(lines))
    with raw.open("r+b") as disk:
        disk.seek(layout.table(raw).partitions[-1].start)
        disk.write((folder / "ext4").read_bytes())
    return raw.read_bytes()


@pytest.mark.slow
async def test_a_disk_is_encrypted_for_the_tpm_and_opened_by_it_after_a_power_cut(site, tmp_path):
    secret = action("secret", "x/writefile:v1", DEST_PATH="/etc/secret", CONTENTS=SECRET)
    encrypt = action("encrypt", "x/fde_dmv:v1", 600, LVM_SIZE="1")
    site.order(stream(**site.offer("image.raw", system(tmp_path))), secret, encrypt)
    with site.machine(tpm=True) as machine:
        state, said = await site.ended(machine, "encrypt")
        assert state == "SUCCESS" and "vda2 is encrypted" in said, (said, machine.last_words(30))
        machine.cut_power()
        assert SECRET.encode() not in machine.disk.read_bytes()
        [_, root, volumes] = layout.table(machine.disk).partitions
        assert (root.name, volumes.name, volumes.size) == ("rootfs", "lvm", 2**30)
        assert root.end == volumes.start
        site.order(action("more", "x/writefile:v1", DEST_PATH="/etc/more", CONTENTS="x"))
        machine.switch_on()
        assert await site.ended(machine, "more") == ("SUCCESS", "wrote /etc/more")


@pytest.mark.slow
async def test_users_get_a_volume_group_at_the_end_of_a_plain_disk(site, tmp_path):
    set_up = action("set-up", "x/kernelupgrd:v1", 600, LVM_SIZE="1", SKIP_KERNEL_UPGRADE="true")
    check = action("check", "x/writefile:v1", DEST_PATH="/etc/more", CONTENTS="x")
    site.order(stream(**site.offer("image.raw", system(tmp_path))), set_up, check)
    with site.machine() as machine:
        assert await site.ended(machine, "check") == ("SUCCESS", "wrote /etc/more")
        machine.cut_power()
        [_, root, volumes] = layout.table(machine.disk).partitions
        assert (root.name, volumes.name, volumes.size) == ("rootfs", layout.LVM, layout.GIB)
        with machine.disk.open("rb") as disk:
            disk.seek(volumes.start)
            written = disk.read(MIB)
        assert b"LVM2 001" in written and f"{layout.VOLUME_GROUP} {{".encode() in written


@pytest.mark.slow
async def test_an_image_that_asks_for_dm_verity_gets_its_sums(site, tmp_path):
    image = system(tmp_path, f"size=8192, type={verity.SUMS}")
    protect = action("protect", "x/fde_dmv:v1", 600, LVM_SIZE="0", ENABLE_ONLY_DMVERITY="true")
    site.order(stream(**site.offer("image.raw", image)), protect)
    with site.machine() as machine:
        state, said = await site.ended(machine, "protect")
        assert state == "SUCCESS", said
        machine.cut_power()
        told = run("sfdisk", "--json", machine.disk)
        root_hash = said.rpartition(" ")[2]
        assert all(str(UUID(half)).upper() in told for half in (root_hash[:32], root_hash[32:]))

"""A simulated machine from switching on to its heartbeats, and what stops it."""

import asyncio
import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from threading import Event

import grpc
import pytest

from edge import disk, factory, simulated
from edge.agent import node as agent
from tests.edge.orchestrator import action, refusal, until

pytestmark = pytest.mark.anyio
IMAGE = b"a small system" * 1000
OWN_DISK = "#!ipxe\nsanboot --no-describe --drive 0x80\n"


def cloud_init(orchestrator, number: int) -> str:
    variables = f"EIM_URL={orchestrator.url}\nGRPC_AUTHORITY={orchestrator.server.grpc_authority}\n"
    files = {
        agent.CLIENT_ID: "edgenode-1\n",
        agent.CLIENT_SECRET: "s3cret\n",
        agent.AGENT_VARIABLES: f"{variables}GUID={factory.identity(number).uuid}\n",
    }
    listed = [{"path": path, "content": content, "permissions": "0600"} for path, content in files.items()]
    return "#cloud-config\n" + json.dumps({"write_files": listed})


def offer_installation(orchestrator, number: int, sha256: str | None = None) -> None:
    """Let the server's scripts be those of a whole installation."""
    orchestrator.files["/image.raw.gz"] = IMAGE
    orchestrator.boot_script = (
        f"#!ipxe\nset base {orchestrator.url}\nkernel ${{base}}/vmlinuz worker_id=${{mac}} console=ttyS0 "
        f"grpc_authority={orchestrator.server.grpc_authority} eim_url={orchestrator.url}\nboot\n"
    )
    authority = base64.b64encode((orchestrator.folder / "ca.crt").read_bytes()).decode()
    orchestrator.actions = [
        action("erase", "x/erase_non_removable_disks:v1"),
        action(
            "stream",
            "x/image2disk:v1",
            IMG_URL=f"{orchestrator.url}/image.raw.gz",
            SHA256=sha256 or hashlib.sha256(IMAGE).hexdigest(),
            TLS_CA_CERT=authority,
        ),
        action("cloud-init", "x/writefile:v1", DEST_PATH=disk.CLOUD_INIT, CONTENTS=cloud_init(orchestrator, number)),
        action("efi", "x/efibootset:v1"),
        action("reboot", "x/reboot-action:latest"),
    ]


@asynccontextmanager
async def switched_on(orchestrator, disks, number: int):
    stopping = Event()
    with ThreadPoolExecutor(1) as pool:
        machine = simulated.Machine(
            number, orchestrator.server, disks, pool, stopping, heartbeat=timedelta(seconds=0.05), gives_up=True
        )
        life = asyncio.create_task(machine.live())
        try:
            yield machine
        finally:
            stopping.set()
            life.cancel()


@pytest.mark.parametrize("number", [1, 2], ids=["new", "old"])
async def test_a_machine_installs_itself_and_reports_with_what_is_on_its_disk(orchestrator, tmp_path, number):
    offer_installation(orchestrator, number)
    async with switched_on(orchestrator, tmp_path, number) as machine:
        await until(lambda: machine.running)
    assert orchestrator.states()[-1] == "reboot SUCCESS"
    assert orchestrator.heartbeats[0].host_guid == machine.identity.uuid
    assert len(orchestrator.tokens) == 2  # one in the micro-OS, one in the installed system
    phases = ["Booting", "Onboarding", "Onboarded", "Provisioning", "Rebooting", "Starting", "Running"]
    assert sorted(machine.timeline, key=phases.index) == phases


async def test_a_machine_that_is_switched_on_again_boots_what_it_installed(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.running)
    orchestrator.boot_script = OWN_DISK
    orchestrator.reports.clear()
    async with switched_on(orchestrator, tmp_path, 1) as again:
        await until(lambda: again.running)
    assert orchestrator.reports == []


async def test_a_machine_switched_off_while_it_installs_goes_on_when_it_is_switched_on(orchestrator, tmp_path):
    offer_installation(orchestrator, 2)
    orchestrator.files["/image.raw.gz"] = None
    async with switched_on(orchestrator, tmp_path, 2):
        await until(lambda: orchestrator.states()[-1:] == ["stream RUNNING"])
    orchestrator.files["/image.raw.gz"] = IMAGE
    async with switched_on(orchestrator, tmp_path, 2) as machine:
        await until(lambda: machine.running)
    assert orchestrator.states().count("erase SUCCESS") == orchestrator.states().count("stream SUCCESS") == 1


async def test_an_image_that_cannot_be_had_now_is_tried_again(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    orchestrator.files["/image.raw.gz"] = None
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: orchestrator.states()[-1:] == ["stream RUNNING"])
        orchestrator.files["/image.raw.gz"] = IMAGE
        await until(lambda: machine.running)


async def test_an_image_with_another_digest_fails_and_leaves_nothing_that_looks_bootable(orchestrator, tmp_path):
    wanted = "ab" * 32
    offer_installation(orchestrator, 1, sha256=wanted)
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    _, state, message = orchestrator.reports[-1]
    assert state == "FAILED"
    assert wanted in message and hashlib.sha256(IMAGE).hexdigest() in message
    assert not machine.disk.has_system


async def test_an_image_that_is_not_there_fails_with_its_address(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    orchestrator.files.clear()
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert machine.detail == f"stream: {orchestrator.url}/image.raw.gz can't be loaded: HTTP Error 404: Not Found"


async def test_a_machine_nobody_registered_ends_with_a_clear_line(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    orchestrator.onboarding = [refusal(grpc.StatusCode.NOT_FOUND, "Device not found")]
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert (machine.phase, machine.detail) == (
        "Not registered",
        f"no host is registered with UUID {machine.identity.uuid} and serial FLEET00001",
    )


async def test_a_machine_told_to_boot_its_empty_disk_says_that_it_cannot(orchestrator, tmp_path):
    orchestrator.boot_script = OWN_DISK
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert machine.detail == "FLEET00001 was told to boot its own disk, which is empty"


async def test_an_installed_system_without_identity_says_so(orchestrator, tmp_path):
    orchestrator.boot_script = OWN_DISK
    folder = tmp_path / "FLEET00001"
    folder.mkdir()
    (folder / "image").write_bytes(IMAGE)
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert machine.detail == "cloud-init of FLEET00001 wrote no agent variables that we can read"


async def test_nothing_is_written_to_a_disk_without_a_system(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    del orchestrator.actions[:2]
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert machine.detail == "cloud-init: there is no system on the disk"


async def test_secure_boot_that_the_firmware_lacks_is_refused(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    wanted = "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION"
    orchestrator.actions.insert(0, action("secure", "securebootflag", SECURITY_FEATURE_FLAG=wanted))
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.ended)
    assert machine.detail == f"secure: secure boot is disabled in this machine's firmware, {wanted} needs it"


async def test_the_secrets_on_a_disk_are_readable_by_its_owner_only(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    async with switched_on(orchestrator, tmp_path, 1) as machine:
        await until(lambda: machine.running)
    assert machine.disk.index.stat().st_mode & 0o777 == 0o600


async def test_a_machine_runs_when_both_its_reports_are_accepted_in_whatever_order(orchestrator, tmp_path):
    machine = simulated.Machine(1, orchestrator.server, tmp_path, None, Event(), heartbeat=timedelta(seconds=1))
    for told, trouble in [("hardware", ""), ("heartbeat", "FAILED_PRECONDITION"), ("trust", "")]:
        machine.watch_agent(told, trouble)
        assert not machine.running
    machine.watch_agent("heartbeat", "")
    assert machine.running


async def test_a_boot_script_without_a_kernel_boots_the_own_disk():
    machine = factory.identity(1)
    assert simulated.kernel_arguments(OWN_DISK, machine) is None
    script = "#!ipxe\nset authority 10.0.2.2:50051\nkernel x grpc_authority=${authority} worker_id=${net0/mac} quiet"
    assert simulated.kernel_arguments(script, machine) == {
        "grpc_authority": "10.0.2.2:50051",
        "worker_id": "02:ed:9e:00:00:01",
    }


@pytest.mark.parametrize("text", ["#cloud-config\nwrite_files:\n- path: /a\n", '{"write_files": [{"path": "/a"}]}'])
async def test_a_cloud_config_is_understood(text):
    assert disk.cloud_config(text) == {"write_files": [{"path": "/a"}]}


@pytest.mark.parametrize("text", ["", "a: [", "only words"])
async def test_what_is_no_cloud_config_configures_nothing(text):
    assert disk.cloud_config(text) == {}

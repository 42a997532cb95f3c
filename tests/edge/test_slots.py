"""An immutable system's slots and kernels, on files that stand for its partitions, and its command line."""

import gzip
import hashlib
import io
import struct
import subprocess
from types import SimpleNamespace
from uuid import uuid4

import pytest

from edge.agent import command_line, slots
from edge.agent.failure import UpdateFailed
from edge.agent.slots import MIB, Arriving
from edge.microos.unpack import Broken
from provisioning.dkam.tools import SEARCH_PATH

ROOT_AT, ROOT_SIZE = 3 * MIB, 8 * MIB


@pytest.fixture(scope="module")
def disk_image(tmp_path_factory):
    """An image with something before its root file system, and something behind; and that file system's UUID."""
    folder, identity = tmp_path_factory.mktemp("image"), str(uuid4())
    raw, root = folder / "disk.raw", folder / "root.ext4"
    with raw.open("wb") as disk:
        disk.truncate(14 * MIB)
    table = f'label: gpt\nsize=2048, name="ESP"\nstart={ROOT_AT // 512}, size={ROOT_SIZE // 512}, name="rootfs"\n'
    tools = {"env": {"PATH": SEARCH_PATH}, "check": True, "capture_output": True}
    subprocess.run(["sfdisk", "-q", raw], input=table.encode(), **tools)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-U", identity, root, "6m"], **tools)
    with raw.open("r+b") as disk:
        disk.seek(ROOT_AT)
        disk.write(root.read_bytes())
        disk.seek(ROOT_AT + ROOT_SIZE)
        disk.write(b"behind it" * 1000)
    return raw.read_bytes(), identity


@pytest.fixture
def slot(tmp_path):
    made = tmp_path / "slot"
    made.write_bytes(b"\xff" * ROOT_SIZE)
    return made


def arriving(content: bytes, length: int | None = None) -> Arriving:
    answer = io.BytesIO(content)
    answer.headers = {"Content-Length": str(len(content) if length is None else length)}
    return Arriving(answer, ".gz")


def test_of_an_image_its_root_is_written_to_the_slot(disk_image, slot):
    raw, identity = disk_image
    packed = gzip.compress(raw, 1)
    assert slots.write_slot(slot, arriving(packed), hashlib.sha256(packed).hexdigest()) == identity
    assert slot.read_bytes() == raw[ROOT_AT : ROOT_AT + ROOT_SIZE]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda packed: (packed, "0" * 64), "signaturecheck"),
        (lambda packed: (gzip.compress(b"no table" * MIB), ""), "signaturecheck"),
    ],
)
def test_of_an_image_that_isnt_what_it_should_be_nothing_starts(disk_image, slot, spoil, why):
    content, sha256 = spoil(gzip.compress(disk_image[0], 1))
    with pytest.raises(UpdateFailed) as failure:
        slots.write_slot(slot, arriving(content), sha256 or hashlib.sha256(content).hexdigest())
    assert failure.value.why == why
    assert not slot.read_bytes()[:MIB].strip(b"\0")


def test_a_download_that_ends_early_leaves_no_file_system_and_may_be_tried_again(disk_image, slot):
    packed = gzip.compress(disk_image[0], 1)
    with pytest.raises((OSError, Broken)):
        slots.write_slot(slot, arriving(packed[: len(packed) // 2], len(packed)), "")
    assert not slot.read_bytes()[:MIB].strip(b"\0")
    slots.write_slot(slot, arriving(packed), hashlib.sha256(packed).hexdigest())


def test_a_root_that_is_larger_than_the_slot_is_refused(disk_image, slot):
    slot.write_bytes(bytes(ROOT_SIZE - 1))
    packed = gzip.compress(disk_image[0], 1)
    with pytest.raises(UpdateFailed, match="the slot") as failure:
        slots.write_slot(slot, arriving(packed), hashlib.sha256(packed).hexdigest())
    assert failure.value.why == "insufficientstorage"


# Kernels


def program(words: str, room: int = 256) -> bytes:
    """An EFI program with nothing in it but a command line."""
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    header += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, 0, 0)
    sections = [(b".text", 0, 0, 0, 0), (b".cmdline", room, 0, room, 512)]
    header += b"".join(struct.pack("<8sIIII16x", *section) for section in sections)
    return header.ljust(512, b"\0") + words.encode().ljust(room, b"\0") + b"the kernel"


def test_a_new_kernel_is_started_once_and_stays_only_if_it_is_kept(tmp_path):
    boot, image = tmp_path / "Linux", tmp_path / "eim.efi"
    boot.mkdir()
    (boot / "edge-000001.efi").write_bytes(program("root=UUID=one ro"))
    image.write_bytes(program("root=UUID=two ro"))
    offered = slots.offer(boot, image, "quiet")
    assert offered.name == "edge-000002+1.efi" and command_line.of_uki(offered) == "root=UUID=two ro quiet"
    offered.rename(boot / "edge-000002+0-1.efi")  # as systemd-boot does when it starts it
    slots.keep(boot, "two")
    assert [file.name for file in slots.programs(boot)] == ["edge-000001.efi", "edge-000002.efi"]
    slots.forget_others(boot, "two")  # before the slot of the other is written to
    assert [file.name for file in slots.programs(boot)] == ["edge-000002.efi"]
    assert slots.offer(boot, image, "").name == "edge-000003+1.efi"


def test_what_the_server_says_replaces_what_it_said_before_and_nothing_else(tmp_path):
    (tmp_path / "EFI/BOOT").mkdir(parents=True)
    kernel = tmp_path / "EFI/BOOT/BOOTX64.EFI"
    kernel.write_bytes(program("root=LABEL=rootfs quiet"))
    (tmp_path / "syslinux.cfg").write_text("DEFAULT debian\n  APPEND root=LABEL=rootfs quiet\n")
    for before, text in (("", "a=1 b=2"), ("a=1 b=2", "c=3")):
        assert command_line.change_in(tmp_path, before, text)
        assert command_line.of_uki(kernel) == f"root=LABEL=rootfs quiet {text}"
        assert (tmp_path / "syslinux.cfg").read_text() == f"DEFAULT debian\n  APPEND root=LABEL=rootfs quiet {text}\n"
    assert kernel.read_bytes().endswith(b"the kernel")
    with pytest.raises(UpdateFailed, match="255 are the most"):
        command_line.change_in_uki(kernel, "c=3", "x" * 256)
    (tmp_path / "other.efi").write_bytes(b"MZ" + bytes(600))
    assert not command_line.change_in_uki(tmp_path / "other.efi", "", "a")


@pytest.mark.parametrize("words", ["init=/bin/sh;reboot", 'a="b"', "$(reboot)"])
def test_words_that_a_boot_loader_might_read_otherwise_are_refused(words):
    with pytest.raises(UpdateFailed, match="letters other than"):
        command_line.change(SimpleNamespace(kernel_command=""), words)

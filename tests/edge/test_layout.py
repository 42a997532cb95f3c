"""Partitions beside an installed system's own; a file stands for the disk, and Debian's sfdisk works on it."""

import shutil
import uuid

import pytest

from edge.errors import ActionFailed
from edge.microos import disks, layout
from edge.microos.programs import PATH, run

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk", path=PATH), reason="sfdisk (package fdisk) isn't installed")
MIB = 2**20


@pytest.fixture
def disk(tmp_path):
    """64 MiB, with an image of 16 MiB on it, as streamed: two partitions, and a table that ends where the image did."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    run(
        "sfdisk",
        "--quiet",
        path,
        stdin="label: gpt\nstart=2048, size=4096, type=U, name=ESP\nsize=20480, name=rootfs\n",
    )
    with path.open("r+b") as file:
        file.truncate(64 * MIB)
    return path


def root_of(disk):
    return layout.table(disk).partition(disk.with_name(f"{disk.name}2"))


def test_the_root_partition_grows_over_the_room_behind_it_in_whole_mib(disk):
    assert layout.table(disk).room_behind(root_of(disk)) < 3 * MIB
    layout.use_all_of(disk)
    layout.grow(disk, root_of(disk).device, 20 * MIB)
    assert root_of(disk).size == 20 * MIB
    layout.grow(disk, root_of(disk).device)
    assert root_of(disk).size == 60 * MIB and root_of(disk).name == "rootfs"
    layout.grow(disk, root_of(disk).device)  # a full one stays as it is
    assert root_of(disk).size == 60 * MIB


def test_the_partition_that_firmware_starts_gets_a_guid_of_its_own(disk):
    before = disk.read_bytes()[: 2 * MIB]
    layout.make_distinct(disk)
    kinds = [it.kind.lower() for it in layout.table(disk).partitions]
    assert kinds[0] == str(layout.SYSTEM_PARTITION) and disk.read_bytes()[: 2 * MIB] != before
    assert uuid.UUID(kinds[1])


def test_space_that_the_system_does_not_leave_is_refused(disk):
    with pytest.raises(ActionFailed, match=r"1 GiB can't be set aside on .*disk: the system leaves 0.0"):
        layout.set_aside(disk, 1)


def test_a_table_that_is_no_gpt_is_refused(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(8 * MIB))
    run("sfdisk", "--quiet", path, stdin="label: dos\nstart=2048\n")
    with pytest.raises(ActionFailed, match="partition table of the kind dos"):
        layout.table(path)


def test_a_program_that_fails_or_is_not_there_is_told_with_its_last_words(tmp_path):
    with pytest.raises(ActionFailed, match=r"sfdisk ended with code 1: .*cannot open"):
        run("sfdisk", "--json", tmp_path / "none")
    with pytest.raises(ActionFailed, match="no-such-program can't be run"):
        run("no-such-program")


def test_an_ext_file_system_tells_how_large_it_is(tmp_path):
    path = tmp_path / "ext4"
    run("mke2fs", "-q", "-t", "ext4", "-b", "1024", path, "8M")
    assert disks.ext_blocks(path) == (8192, 1024)
    path.write_bytes(bytes(MIB))
    with pytest.raises(ActionFailed, match="has no ext file system"):
        disks.ext_blocks(path)

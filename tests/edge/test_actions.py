"""What a workflow does to a machine's disks; plain files and folders stand for disks and the kernel's views of them."""

import bz2
import ctypes
import functools
import gzip
import hashlib
import http.server
import lzma
import os
import struct
import threading
from contextlib import suppress

import pytest

from edge.errors import ActionFailed
from edge.microos import actions, disks, efi, image, luks, unpack
from edge.microos.__main__ import identify, kernel_arguments
from edge.worker import Step
from tests.edge import qcow2

MIB = 2**20
IMAGE = b"boot code".ljust(510) + b"\x55\xaa" + bytes(MIB) + os.urandom(2 * MIB) + b"the end"
GPT = IMAGE[:512] + b"EFI PART".ljust(32, b"\0")  # up to where it tells of its backup


class Files:
    """Serves bytes by name; a name in `breaks` breaks off in the middle, as often as its number says."""

    def __init__(self):
        self.contents, self.breaks, self.asked = {}, {}, []
        files = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                files.asked.append(name)
                if name not in files.contents:
                    return self.send_error(404)
                content = files.contents[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if files.breaks.get(name, 0):
                    files.breaks[name] -= 1
                    content = content[: len(content) // 2]
                with suppress(ConnectionError):  # who only looks at the start hangs up
                    self.wfile.write(content)

            def log_message(self, *args):
                """Tests are quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def offer(self, name, content):
        self.contents[name] = content
        return {"IMG_URL": f"{self.url}/{name}", "SHA256": hashlib.sha256(content).hexdigest(), "COMPRESSED": "true"}


@pytest.fixture(scope="module")
def running():
    files = Files()
    threading.Thread(target=files.server.serve_forever, daemon=True).start()
    yield files
    files.server.shutdown()


@pytest.fixture
def files(running, monkeypatch):
    running.asked.clear()
    monkeypatch.setattr(image, "PAUSES_SECONDS", (0.01, 0.01))
    return running


@pytest.fixture
def disk(tmp_path):
    """4 MiB with an old system on it."""
    path = tmp_path / "disk"
    path.write_bytes(b"old" * (4 * MIB // 3) + b"o")
    return path


def zstd(content):
    library, packed = ctypes.CDLL("libzstd.so.1"), ctypes.create_string_buffer(len(content) + MIB)
    library.ZSTD_compress.restype = ctypes.c_size_t
    size = library.ZSTD_compress(packed, ctypes.c_size_t(len(packed)), content, ctypes.c_size_t(len(content)), 3)
    return packed.raw[:size]


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize(("suffix", "pack"), [*PACKERS.items(), ("", bytes)])
def test_an_image_is_unpacked_by_its_suffix_and_written_whole(files, disk, suffix, pack):
    env = files.offer(f"image.raw{suffix}", pack(IMAGE))
    image.stream(env | {"DEST_DISK": str(disk)})
    assert disk.read_bytes()[: len(IMAGE)] == IMAGE


@pytest.mark.parametrize(("suffix", "pack"), PACKERS.items())
def test_an_image_of_several_streams_with_padding_is_one(suffix, pack):
    packed = pack(IMAGE[:MIB]) + bytes(8) + pack(IMAGE[MIB:]) + bytes(8)
    chunks = (packed[at : at + 1000] for at in range(0, len(packed), 1000))
    assert b"".join(unpack.unpacked(chunks, suffix)) == IMAGE


@pytest.mark.parametrize(("suffix", "pack"), PACKERS.items())
def test_however_strongly_an_image_is_packed_it_comes_in_small_pieces(suffix, pack):
    sizes = [len(piece) for piece in unpack.unpacked(iter([pack(bytes(32 * MIB))]), suffix)]
    assert sum(sizes) == 32 * MIB and max(sizes) <= unpack.PIECE_BYTES


@pytest.mark.parametrize("suffix", PACKERS)
def test_what_is_not_packed_as_its_name_says_is_refused(suffix):
    with pytest.raises(unpack.Broken):
        list(unpack.unpacked(iter([b"<html>an error page</html>"]), suffix))


@pytest.fixture
def large_disk(tmp_path):
    """Room for an image, and for the qcow2 file that it comes in."""
    path = tmp_path / "large-disk"
    path.write_bytes(b"old!" * (12 * MIB // 4))
    return path


@pytest.mark.parametrize("packing", qcow2.PACKINGS)
@pytest.mark.parametrize("action", ["image2disk", "qemu_nbd_image2disk"])
def test_a_qcow2_image_is_written_as_the_disk_it_stands_for(files, large_disk, packing, action):
    raw = IMAGE.ljust(5 * MIB, b"\0")
    env = files.offer("image.img", qcow2.made_of(raw, packing))
    actions.ACTIONS[action](env | {"DEST_DISK": str(large_disk)})
    written = large_disk.read_bytes()
    assert written[: 5 * MIB] == raw
    assert qcow2.MAGIC not in written  # where it lay meanwhile is blank again


def test_a_qcow2_image_with_another_digest_leaves_nothing_that_boots(files, large_disk):
    env = files.offer("image.qcow2", qcow2.made_of(IMAGE)) | {"SHA256": "0" * 64, "DEST_DISK": str(large_disk)}
    with pytest.raises(ActionFailed, match="nothing bootable was written"):
        image.stream(env)
    assert large_disk.read_bytes()[:MIB] == bytes(MIB)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda it: it[: len(it) - 2 * MIB], "is not whole"),
        (lambda it: qcow2.patched(it, 4, ">I", 9), "qcow2 of version 9"),
        (lambda it: qcow2.patched(it, 8, ">Q", 1000), "needs another image"),
        (lambda it: qcow2.patched(it, 32, ">I", 2), "is encrypted"),
        (lambda it: qcow2.patched(it, 72, ">Q", 1 << 2), "unknown features"),
        (lambda it: qcow2.patched(it, 20, ">I", 63), "makes no sense"),
        (lambda it: qcow2.patched(it, 36, ">I", 0), "too short for its disk"),
        (lambda it: qcow2.patched(it, 24, ">Q", 9 * MIB), "larger than the disk"),
        (lambda it: it[:50], "isn't qcow2"),
    ],
)
def test_a_qcow2_image_that_cannot_be_read_or_placed_is_refused_and_leaves_nothing_that_boots(
    files, large_disk, spoil, told
):
    env = files.offer("image.qcow2", spoil(qcow2.made_of(IMAGE.ljust(5 * MIB, b"x"))))
    with pytest.raises(ActionFailed, match=told):
        image.stream(env | {"DEST_DISK": str(large_disk)})
    assert large_disk.read_bytes()[:MIB] == bytes(MIB)


def test_an_image_that_is_none_of_a_disk_is_refused_and_leaves_nothing_that_boots(files, disk):
    with pytest.raises(ActionFailed, match="none of a disk"):
        image.stream(files.offer("image.raw", b"<html>an error page</html>" * 100) | {"DEST_DISK": str(disk)})
    assert disk.read_bytes()[:MIB] == bytes(MIB)


def steps(*named):
    return [Step("w", "task", name, name, f"x/{name}:v1", 60, env) for name, env in named]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("nothing.raw", None, "404"),
        ("image.raw", b"<html>an error page</html>" * 100, "none of a disk"),
        ("image.raw.gz", b"<html>an error page</html>", "can't be unpacked"),
        ("image.raw", IMAGE.ljust(5 * MIB), "larger than the disk"),
        # Packed, but its partition table is of a larger disk.
        ("image.raw.gz", gzip.compress(GPT + struct.pack("<Q", 5 * 2048 - 1) + bytes(MIB)), "at least 5242880 bytes"),
        ("image.img", qcow2.made_of(IMAGE), "larger than the disk"),  # with the file itself, that needs a place too
    ],
)
def test_an_image_that_would_fail_is_told_before_anything_is_erased(files, disk, name, content, told):
    env = files.offer(name, content) if content else {"IMG_URL": f"{files.url}/{name}", "SHA256": "0" * 64}
    before = disk.read_bytes()
    with pytest.raises(ActionFailed, match=told):
        actions.foresee(
            steps(
                ("securebootflag", {}),
                ("erase_non_removable_disks", {}),
                ("image2disk", env | {"DEST_DISK": str(disk)}),
            )
        )
    assert disk.read_bytes() == before


def test_trouble_on_the_way_to_the_image_is_left_to_the_action_that_tries_again(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE)) | {"DEST_DISK": str(disk)}
    files.breaks["image.raw.gz"] = 1
    actions.foresee(steps(("image2disk", env)))


def test_an_action_that_this_machine_lacks_is_told_before_anything_is_erased():
    with pytest.raises(ActionFailed, match=r"micro-OS can't do later \(it has no later\)"):
        actions.foresee(steps(("erase_non_removable_disks", {}), ("later", {})))


def test_an_image_without_a_digest_is_refused_before_anything_is_erased(files, disk):
    env = files.offer("image.raw", IMAGE) | {"SHA256": "", "DEST_DISK": str(disk)}
    before = disk.read_bytes()
    with pytest.raises(ActionFailed, match="without SHA256"):
        actions.foresee(steps(("image2disk", env)))
    assert disk.read_bytes() == before and not files.asked


@pytest.mark.parametrize(
    ("action", "env", "told"),
    [
        ("kernelupgrd", {"SKIP_KERNEL_UPGRADE": "", "LVM_SIZE": "0"}, 'keep the image\'s by "skipkernelupgrade"'),
        ("kernelupgrd", {"SKIP_KERNEL_UPGRADE": "true", "LVM_SIZE": "60"}, "60 GiB can't be set aside for LVM on disk"),
        ("fde_dmv", {"LVM_SIZE": "0"}, "shows no TPM 2.0"),
    ],
)
def test_what_a_machine_has_no_means_for_is_refused_before_anything_is_erased(machine, action, env, told):
    machine(4)
    with pytest.raises(ActionFailed, match=told):
        actions.foresee(steps(("erase_non_removable_disks", {}), (action, env)))


def test_a_system_may_keep_the_kernel_of_its_image(machine):
    kept = {"SKIP_KERNEL_UPGRADE": "true", "LVM_SIZE": "0", "KERNEL_VERSION": ""}
    machine(4)
    actions.foresee(steps(("kernelupgrd", kept)))
    actions.ACTIONS["kernelupgrd"](kept)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Call it with the sizes of its disks in MiB: files called disk, disk2 ... stand for them. It has no TPM."""

    def made(*sizes):
        found = []
        for number, size in enumerate(sizes, start=1):
            found.append(tmp_path / f"disk{number if number > 1 else ''}")
            found[-1].write_bytes(b"old!" * (size * MIB // 4))
            device = block_device(tmp_path / "sys", found[-1].name, size * 2048)
            (device / "serial").write_text(f"SERIAL{number}\n")
        return found

    monkeypatch.setattr(disks, "install_disk", functools.partial(disks.install_disk, sys_block=tmp_path / "sys"))
    monkeypatch.setattr(disks, "DEVICES", tmp_path)
    monkeypatch.setattr(luks, "TPM", tmp_path / "no-tpm")
    return made


def test_of_two_disks_the_one_that_is_named_is_erased_and_written_and_the_other_is_untouched(machine, files):
    first, second = machine(4, 8)
    env = files.offer("image.raw", IMAGE) | {"INSTALL_DISK": "serial2"}
    before = first.read_bytes()
    actions.foresee(steps(("erase_non_removable_disks", env), ("image2disk", env)))
    actions.ACTIONS["erase_non_removable_disks"](env)
    assert second.read_bytes() == bytes(8 * MIB)
    actions.ACTIONS["image2disk"](env)
    assert second.read_bytes()[: len(IMAGE)] == IMAGE
    assert first.read_bytes() == before


@pytest.mark.parametrize(("wanted", "chosen"), [("", "sdb"), ("largest", "nvme0n1"), ("smallest", "vda"),
    ("vda", "vda"), ("wd-wcc4", "sdc"), ("eui.0025385", "nvme0n1"), ("s_3 x".replace(" ", "_"), "sdb")])  # fmt: skip
def test_the_disk_to_install_on_is_named_by_name_serial_wwid_or_size(tmp_path, wanted, chosen):
    for name, sectors in (("sdb", 400), ("sdc", 500), ("nvme0n1", 900), ("vda", 10)):
        block_device(tmp_path, name, sectors)
    for name in ("sdb", "sdc"):
        (tmp_path / name / "device").mkdir()
    (tmp_path / "sdb/device/vpd_pg80").write_bytes(b"\0\x80\0\x08S 3/X   ")  # as SATA disks tell it
    (tmp_path / "sdc/device/serial").write_text("WD-WCC4\n")
    (tmp_path / "nvme0n1/wwid").write_text("eui.0025385\n")
    assert disks.install_disk({"INSTALL_DISK": wanted}, tmp_path) == disks.DEVICES / chosen


@pytest.mark.parametrize(("wanted", "told"), [
    ("sdz", r"no disks of this machine are called that: it has sda, same \(1.0 GiB\); sdb, same \(2.0 GiB\)"),
    ("same", "2 disks of this machine are called that"),
])  # fmt: skip
def test_a_disk_that_is_not_there_or_not_the_only_one_is_refused_with_what_is_there(tmp_path, wanted, told):
    for name, gib in (("sda", 1), ("sdb", 2)):
        (block_device(tmp_path, name, gib * 2**21) / "serial").write_text("SAME")
    with pytest.raises(ActionFailed, match=told):
        disks.install_disk({"INSTALL_DISK": wanted}, tmp_path)


def test_an_image_with_another_digest_leaves_nothing_that_boots(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE)) | {"SHA256": "0" * 64, "DEST_DISK": str(disk)}
    with pytest.raises(ActionFailed, match=f"expected {'0' * 64}: nothing bootable was written"):
        image.stream(env)
    assert disk.read_bytes()[:MIB] == bytes(MIB)


def test_a_truncated_image_is_refused_and_leaves_nothing_that_boots(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE)[:-1000])
    with pytest.raises(ActionFailed, match="can't be unpacked: it ends too early"):
        image.stream(env | {"DEST_DISK": str(disk)})
    assert disk.read_bytes()[:MIB] == bytes(MIB)


def test_an_image_that_is_no_gzip_is_refused(files, disk):
    env = files.offer("image.raw.gz", b"<html>an error page</html>")
    with pytest.raises(ActionFailed, match="can't be unpacked"):
        image.stream(env | {"DEST_DISK": str(disk)})


def test_an_image_larger_than_the_disk_is_refused(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE.ljust(5 * MIB)))
    with pytest.raises(ActionFailed, match=f"larger than the disk \\({disk.stat().st_size} bytes\\)"):
        image.stream(env | {"DEST_DISK": str(disk)})


def test_a_download_that_breaks_off_is_begun_again(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE))
    files.breaks["image.raw.gz"] = 2
    image.stream(env | {"DEST_DISK": str(disk)})
    assert disk.read_bytes()[: len(IMAGE)] == IMAGE and len(files.asked) == 3


def test_a_download_that_keeps_breaking_off_fails_in_the_end(files, disk):
    env = files.offer("image.raw.gz", gzip.compress(IMAGE))
    files.breaks["image.raw.gz"] = 99
    with pytest.raises(ActionFailed, match="can't be downloaded"):
        image.stream(env | {"DEST_DISK": str(disk)})
    assert len(files.asked) == 3 and disk.read_bytes()[:MIB] == bytes(MIB)


def test_an_image_that_is_not_there_is_not_asked_for_again(files, disk):
    with pytest.raises(ActionFailed, match="404"):
        image.stream({"IMG_URL": f"{files.url}/nothing.raw", "SHA256": "0" * 64, "DEST_DISK": str(disk)})
    assert len(files.asked) == 1


def test_an_image_that_leads_to_this_machine_itself_is_not_asked_for(files, disk):
    """The server saw another address of that name, or another server sent us here."""
    near = files.offer("image.raw", IMAGE) | {"ALLOW_INWARD": "false", "DEST_DISK": str(disk)}
    with pytest.raises(ActionFailed, match=r"127.0.0.1 is 127.0.0.1, this machine or its link"):
        image.stream(near)
    image.stream(near | {"ALLOW_INWARD": "true"})
    assert files.asked == ["image.raw"]


def test_an_image_comes_through_the_proxy_that_is_named_unless_its_server_is_excepted(files, disk):
    files.contents["http://images.example/image.raw"] = IMAGE  # as a proxy is asked
    far = {
        "IMG_URL": "http://images.example/image.raw",
        "HTTP_PROXY": files.url,
        "NO_PROXY": "other.example, localhost",
        "SHA256": hashlib.sha256(IMAGE).hexdigest(),
    }
    image.stream(far | {"DEST_DISK": str(disk)})
    near = files.offer("image.raw", IMAGE) | {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "example,127.0.0.1"}
    image.stream(near | {"DEST_DISK": str(disk)})
    assert files.asked == ["http://images.example/image.raw", "image.raw"]


def test_erasing_blanks_both_ends_where_partition_tables_and_their_backups_are(tmp_path):
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        for start in (0, 50 * MIB, 99 * MIB):
            file.seek(start)
            file.write(b"x" * MIB)
    actions.erase(disk)
    content = disk.read_bytes()
    assert content[: 16 * MIB] == content[-16 * MIB :] == bytes(16 * MIB)
    assert len(content) == 100 * MIB


def test_erasing_a_disk_smaller_than_its_ends_blanks_it_all(disk):
    size = disk.stat().st_size
    actions.erase(disk)
    assert disk.read_bytes() == bytes(size)


def block_device(sys_block, name, sectors, *, removable=0, ro=0):
    device = sys_block / name
    device.mkdir(parents=True)
    (device / "size").write_text(f"{sectors}\n")
    (device / "removable").write_text(f"{removable}\n")
    (device / "ro").write_text(f"{ro}\n")
    return device


def partition(device, number, uevent=""):
    name = f"{device.name}{'p' if device.name.startswith('nvme') else ''}{number}"
    (device / name).mkdir()
    (device / name / "partition").write_text(f"{number}\n")
    (device / name / "uevent").write_text(uevent)
    return name


def test_disks_are_chosen_by_class_then_size_then_name(tmp_path):
    for name, sectors in (
        ("vda", 10), ("nvme1n1", 20), ("nvme0n1", 20), ("sdb", 500), ("sdc", 400), ("mmcblk0", 5), ("loop0", 8),
    ):  # fmt: skip
        block_device(tmp_path, name, sectors)
    block_device(tmp_path, "sda", 10, removable=1)
    block_device(tmp_path, "sdd", 0)
    block_device(tmp_path, "sde", 10, ro=1)  # as a stick that we were started from
    assert disks.fixed_disks(tmp_path) == ["sdc", "sdb", "nvme0n1", "nvme1n1", "mmcblk0", "vda"]


def test_a_machine_without_a_disk_to_install_on_is_told_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "DISKS_COME_WITHIN_SECONDS", 0)
    with pytest.raises(ActionFailed, match="no disk to install on, only none at all"):
        disks.wait_for_fixed_disks(tmp_path)
    block_device(tmp_path, "sda", 10, removable=1)
    block_device(tmp_path, "sdb", 0)
    block_device(tmp_path, "vda", 10, ro=1)
    block_device(tmp_path, "loop0", 10)
    with pytest.raises(ActionFailed, match=r"only sda \(removable\), sdb \(empty\), vda \(read-only\)$"):
        disks.wait_for_fixed_disks(tmp_path)


def ext4(path, label=b""):
    superblock = bytearray(1024)
    superblock[0x38:0x3A] = b"\x53\xef"
    superblock[0x78 : 0x78 + len(label)] = label
    path.write_bytes(bytes(1024) + superblock)


def test_the_root_partition_is_the_one_named_rootfs(tmp_path):
    device = block_device(tmp_path / "sys", "nvme0n1", 100)
    partition(device, 1, "PARTNAME=ESP\n")
    partition(device, 2, "DEVTYPE=partition\nPARTNAME=rootfs\n")
    assert disks.root_partition(tmp_path / "nvme0n1", tmp_path / "sys") == tmp_path / "nvme0n1p2"


@pytest.mark.parametrize(("labels", "expected"), [((b"data", b"rootfs"), "vda3"), ((b"data", b"more"), "vda2")])
def test_the_root_partition_is_else_found_by_label_else_the_first_ext4(tmp_path, labels, expected):
    device = block_device(tmp_path / "sys", "vda", 100)
    (tmp_path / partition(device, 1)).write_bytes(b"FAT" * 1000)
    for number, label in enumerate(labels, start=2):
        ext4(tmp_path / partition(device, number), label)
    assert disks.root_partition(tmp_path / "vda", tmp_path / "sys") == tmp_path / expected


def test_a_disk_without_a_root_partition_is_told(tmp_path):
    device = block_device(tmp_path / "sys", "vda", 100)
    (tmp_path / partition(device, 1)).write_bytes(b"FAT" * 1000)
    with pytest.raises(ActionFailed, match="vda has no partition called rootfs and none with ext4"):
        disks.root_partition(tmp_path / "vda", tmp_path / "sys")


def test_a_file_is_written_with_its_parents_and_modes(tmp_path):
    actions.write_into(
        tmp_path,
        {
            "DEST_PATH": "/etc/cloud/cloud.cfg.d/99_infra.cfg", "CONTENTS": "a: 'ü'\n",
            "MODE": "0600", "DIRMODE": "0750",
            "UID": str(os.getuid()), "GID": str(os.getgid()),
        },
    )  # fmt: skip
    written = tmp_path / "etc/cloud/cloud.cfg.d/99_infra.cfg"
    assert written.read_text() == "a: 'ü'\n"
    assert written.stat().st_mode & 0o777 == 0o600 and written.parent.stat().st_mode & 0o777 == 0o750
    assert [path.name for path in written.parent.iterdir()] == ["99_infra.cfg"]


def test_a_file_outside_of_the_installed_system_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to("/")
    for path in ("../outside", "link/etc/passwd"):
        with pytest.raises(ActionFailed, match="leads out of the installed system"):
            actions.write_into(tmp_path / "root", {"DEST_PATH": path, "CONTENTS": "x"})
    assert not (tmp_path / "outside").exists()


def test_an_action_without_its_input_says_which():
    with pytest.raises(ActionFailed, match="without DEST_PATH"):
        actions.write_into(None, {})


def test_a_machine_without_uefi_keeps_its_boot_order(tmp_path, capsys):
    actions.boot_from_disk({}, tmp_path / "nothing")
    assert "no UEFI boot entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("enabled", "asked", "problem"),
    [
        (True, "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION", None),
        (True, "SECURITY_FEATURE_NONE", "secure boot is on"),
        (False, "SECURITY_FEATURE_NONE", None),
        (False, "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION", "secure boot is off"),
        (False, "", "secure boot is off"),
    ],
)
def test_secure_boot_has_to_be_as_asked(tmp_path, enabled, asked, problem):
    (tmp_path / f"SecureBoot-{efi.GLOBAL}").write_bytes(b"\7\0\0\0" + bytes([enabled]))
    if problem is None:
        return actions.check_secure_boot({"SECURITY_FEATURE_FLAG": asked}, tmp_path)
    with pytest.raises(ActionFailed, match=problem):
        actions.check_secure_boot({"SECURITY_FEATURE_FLAG": asked}, tmp_path)


def test_a_fault_of_the_machine_is_told_as_a_failed_action(tmp_path):
    with pytest.raises(ActionFailed, match="No such file"):
        env = {"IMG_URL": "http://127.0.0.1:1/x", "SHA256": "0" * 64, "DEST_DISK": str(tmp_path / "none")}
        actions.ACTIONS["image2disk"](env)


def test_the_kernel_command_line_and_the_firmware_tell_who_the_machine_is(tmp_path):
    (tmp_path / "product_uuid").write_text("A1458656-E817-4A84-B4CA-60DEF028EBE4\n")
    (tmp_path / "product_serial").write_text("QEMU1AB121B1\n")
    told = kernel_arguments("initrd=x worker_id=52:54:00:12:34:56 eim_url=https://127.0.0.1:8443 quiet")
    machine = identify(told["worker_id"], told["eim_url"], dmi=tmp_path)
    assert machine.uuid == "a1458656-e817-4a84-b4ca-60def028ebe4" and machine.serial == "QEMU1AB121B1"
    assert (machine.mac, machine.ip) == ("52:54:00:12:34:56", "127.0.0.1")

"""The unified kernel image: kernel, initramfs and command line in one EFI program, which one signature covers."""

import re
import tarfile
from pathlib import Path

from provisioning.dkam.errors import BuildFailed
from provisioning.dkam.tools import require, run

STUB = "./usr/lib/systemd/boot/efi/linuxx64.efi.stub"
SYSTEMD_BOOT = "./usr/lib/systemd/boot/efi/systemd-bootx64.efi"
PAGE = 4096
COMMAND_LINE_ROOM = 2048  # bytes, as many as the kernel takes: machines without Secure Boot write others there
RELEASE = 'ID=eim\nNAME="Edge Infrastructure Manager micro-OS"\nPRETTY_NAME="Edge Infrastructure Manager micro-OS"\n'


def make(packages: Path, kernel: Path, initramfs: Path, command_line: str, target: Path) -> None:
    """systemd's stub with our parts as sections behind its own. Under Secure Boot the command line can't be changed."""
    require("objcopy", "objdump")
    stub, release, words = (target.with_suffix(f".{part}") for part in ("stub", "release", "words"))
    with tarfile.open(packages) as tar:
        stub.write_bytes(member(tar, STUB))
    release.write_text(RELEASE)
    words.write_bytes(command_line.encode().ljust(COMMAND_LINE_ROOM, b"\0"))
    address, arguments = _end_of_sections(stub), []
    # The kernel is last but one: it is unpacked where it lies, the initramfs is copied.
    for name, part in {".osrel": release, ".cmdline": words, ".linux": kernel, ".initrd": initramfs}.items():
        arguments += ["--add-section", f"{name}={part}", "--change-section-vma", f"{name}={address:#x}"]
        address += -(-part.stat().st_size // PAGE) * PAGE
    run("objcopy", *arguments, stub, target)
    for scratch in (stub, release, words):
        scratch.unlink()


def member(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        content = tar.extractfile(name)
    except KeyError as missing:
        raise BuildFailed(f"{name} isn't in the Debian packages") from missing
    assert content is not None  # a file, not a folder
    return content.read()


def _end_of_sections(program: Path) -> int:
    """The first address behind all sections, on a page of its own."""
    listed = run("objdump", "--headers", "--wide", program)
    found = re.findall(r"^ +\d+ \S+ +([0-9a-f]+) +([0-9a-f]+) ", listed, re.MULTILINE)
    if not found:
        raise BuildFailed(f"{program} has no sections: it is no EFI program")
    end = max(int(size, 16) + int(address, 16) for size, address in found)
    return -(-end // PAGE) * PAGE

"""The steps that make all that a machine boots and is given; each result is kept under what went into it."""

import errno
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cryptography import x509

from provisioning.dkam import debian, image, ipxe, media, microos, python, signing, slots, uki
from provisioning.dkam.errors import BuildFailed, CommandFailed, DiskFull, NoCertificate
from provisioning.dkam.signing import BootKeys
from provisioning.dkam.store import KEPT, LOG, Store
from provisioning.dkam.tools import log, tell

Report = Callable[[str], None]
MIRROR = "http://deb.debian.org/debian"
KEYS = tuple(f"keys/{before}{kind}.{end}" for before, end in (("", "der"), ("", "auth"), ("previous/", "auth"))
             for kind in ("PK", "KEK", "db"))  # fmt: skip


NO_KEYS = BootKeys()


@dataclass(frozen=True)
class Inputs:
    """All that builds depend on besides Debian; settings are read by the caller."""

    artifacts: Path
    checkout: Path
    ca_file: Path
    mirror: str = MIRROR
    keys: BootKeys = NO_KEYS
    arguments: tuple[str, ...] = ()  # that tell the micro-OS where its server is, name=value
    boot_url: str = ""  # of the folder that machines boot from, http://host:port/tink-stack
    ipxe_source: Path | None = None

    @property
    def store(self) -> Store:
        return Store(self.artifacts)

    @property
    def ca_pem(self) -> str:
        try:
            text = self.ca_file.read_text()
            x509.load_pem_x509_certificates(text.encode())
        except (OSError, ValueError) as wrong:
            raise NoCertificate(self.ca_file, wrong) from wrong
        return text


@dataclass(frozen=True)
class Step:
    """One artifact. A worker killed on the way loses this step only."""

    name: str
    title: str
    facts: Callable[[Inputs], dict[str, object]]  # what goes in besides the results it needs
    make: Callable[[Inputs, dict[str, Path], Path], None]  # (inputs, folders of what it needs, its own folder)
    needs: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()  # files that machines download; their sha256 and size are noted in facts.json
    room_bytes: int = 2**30  # free disk space it wants before it starts
    kept: int = KEPT  # versions


def _disk_image(kind: ModuleType) -> Callable[[Inputs, dict[str, Path], Path], None]:
    """How an image of this kind is made of the same packages: image.make(), slots.make()."""

    def make(inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
        root, kernel = needs["image-packages"] / "root.tar", needs["microos-packages"] / "packages.tar"
        kind.make(root, kernel, inputs.checkout, inputs.keys.db, folder)

    return make


def _packages(names: tuple[str, ...]) -> Callable[[Inputs], dict[str, object]]:
    return lambda inputs: {"packages": _versions(names), "mirror": inputs.mirror, "code": _own_code("debian.py")}


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    known = debian.versions((*microos.PACKAGES, *image.PACKAGES))  # in one go
    return {name: known[name] for name in names}


def _microos_facts(inputs: Inputs) -> dict[str, object]:
    return {
        "ca": inputs.ca_pem,
        "source": python.source_digest(inputs.checkout),
        "wheels": python.pinned(inputs.checkout / "requirements.txt"),
        "code": _own_code("cpio.py", "kernel.py", "microos.py", "python.py", *_files("microos-init", "udhcpc-script")),
    }


def _image_facts(inputs: Inputs) -> dict[str, object]:
    image_files = ("disk-init", "image/**/*")
    code = ("cpio.py", "image.py", "kernel.py", "microos.py", "python.py", "signing.py", "uki.py")
    return {
        "keys": inputs.keys.fingerprints()["db"],
        "source": python.source_digest(inputs.checkout),
        "wheels": python.pinned(inputs.checkout / "requirements.txt"),
        "code": _own_code(*code, *_files(*image_files)),
    }


def _slots_facts(inputs: Inputs) -> dict[str, object]:
    return _image_facts(inputs) | {"slots": _own_code("slots.py", *_files("slots-init", "slots/**/*"))}


def _signed_facts(inputs: Inputs) -> dict[str, object]:
    code = _own_code("signing.py", "uki.py")
    return {"keys": inputs.keys.fingerprints(), "command line": command_line(inputs), "code": code}


def command_line(inputs: Inputs) -> str:
    return " ".join([*inputs.arguments, *microos.CONSOLES])


def _make_signed(inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
    """The micro-OS in one signed file, and its kernel alone, for firmware that checks signatures."""
    kernel, initramfs = needs["microos"] / "vmlinuz", needs["microos"] / "initramfs"
    packages = needs["microos-packages"] / "packages.tar"
    uki.make(packages, kernel, initramfs, command_line(inputs), folder / "eim.efi")
    shutil.copyfile(kernel, folder / "vmlinuz")
    (folder / "initramfs").hardlink_to(initramfs)
    with tarfile.open(packages) as tar:
        (folder / "systemd-boot.efi").write_bytes(uki.member(tar, uki.SYSTEMD_BOOT))
    for program in ("eim.efi", "vmlinuz", "systemd-boot.efi"):
        signing.sign(folder / program, inputs.keys.db)
    signing.write_certificates(inputs.keys, folder / "keys")


def _ipxe_facts(inputs: Inputs) -> dict[str, object]:
    own = {"source": ipxe.digest_of(inputs.ipxe_source), "url": inputs.boot_url, "ca": inputs.ca_pem}
    code = _own_code("ipxe.py", "signing.py")
    return {"keys": inputs.keys.fingerprints()["db"], "code": code, "own": own if inputs.ipxe_source else None}


def _make_ipxe(inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
    """signed_ipxe.efi is what the archived system's machines have in their firmware: without a source tree, of which

    an iPXE that needs no DHCP option could be built, it is the micro-OS itself."""
    programs = ipxe.unpack(needs["microos-packages"] / "packages.tar", folder)
    if inputs.ipxe_source:
        own = ipxe.build(inputs.ipxe_source, inputs.boot_url, inputs.ca_pem, folder)
        programs.append(own.replace(folder / "signed_ipxe.efi"))
    else:
        (folder / "signed_ipxe.efi").hardlink_to(needs["signed"] / "eim.efi")
    for program in programs:
        if program.suffix == ".efi":
            signing.sign(program, inputs.keys.db)


def _make_media(_inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
    """A medium that starts the micro-OS, and one that gives our certificates to firmware in Setup Mode."""
    signed = needs["signed"]
    media.make({"EFI/BOOT/BOOTX64.EFI": signed / "eim.efi"}, folder / "eim.iso")
    loader = folder / "loader.conf"
    loader.write_text("timeout 0\nsecure-boot-enroll force\n")
    certificates = {f"loader/keys/eim/{kind}.auth": signed / f"keys/{kind}.auth" for kind in ("PK", "KEK", "db")}
    boot = {"EFI/BOOT/BOOTX64.EFI": signed / "systemd-boot.efi", "loader/loader.conf": loader}
    media.make(boot | certificates, folder / "secure-boot-enroll.iso")
    loader.unlink()


STEPS = [
    Step(
        "microos-packages",
        "Debian packages of the micro-OS",
        _packages(microos.PACKAGES),
        lambda inputs, _needs, folder: debian.unpack(microos.PACKAGES, inputs.mirror, folder / "packages.tar"),
        room_bytes=2 * 2**30,
        kept=1,
    ),
    Step(
        "microos",
        "Kernel and initramfs of the micro-OS",
        _microos_facts,
        lambda inputs, needs, folder: microos.make_initramfs(
            needs["microos-packages"] / "packages.tar", inputs.checkout, inputs.ca_pem, folder
        ),
        needs=("microos-packages",),
    ),
    Step(
        "signed",
        "Signed image of the micro-OS",
        _signed_facts,
        _make_signed,
        needs=("microos-packages", "microos"),
        serves=("eim.efi", "vmlinuz", "initramfs", *KEYS),
    ),
    Step(
        "ipxe",
        "iPXE",
        _ipxe_facts,
        _make_ipxe,
        needs=("microos-packages", "signed"),
        serves=(*ipxe.BINARIES, "signed_ipxe.efi"),
    ),
    Step(
        "media",
        "USB and DVD images",
        lambda _inputs: {"code": _own_code("media.py")},
        _make_media,
        needs=("signed",),
        serves=("eim.iso", "secure-boot-enroll.iso"),
    ),
    Step(
        "image-packages",
        "Debian packages of the operating system",
        _packages(image.PACKAGES),
        lambda inputs, _needs, folder: debian.install(image.PACKAGES, inputs.mirror, folder / "root.tar"),
        room_bytes=2 * 2**30,
        kept=1,
    ),
    Step(
        "image",
        "Disk image of the operating system",
        _image_facts,
        _disk_image(image),
        needs=("image-packages", "microos-packages"),
        serves=(image.NAME,),
        room_bytes=3 * 2**30,
    ),
    Step(
        "slots",
        "Disk image with two slots",
        _slots_facts,
        _disk_image(slots),
        needs=("image-packages", "microos-packages"),
        serves=(slots.NAME,),
        room_bytes=3 * 2**30,
    ),
]
BY_NAME = {step.name: step for step in STEPS}


def with_needs(names: Iterable[str]) -> set[str]:
    """These steps, and those that they need."""
    found = {*names}
    for name, step in reversed(BY_NAME.items()):
        if name in found:
            found |= {*step.needs}
    return found


def digests(inputs: Inputs) -> dict[str, str]:
    """What identifies the artifacts that these inputs give, without building them. In the order of building."""
    found: dict[str, str] = {}
    for name, step in BY_NAME.items():
        parts = {"step": name, "facts": step.facts(inputs), "needs": {need: found[need] for need in step.needs}}
        found[name] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return found


def build(name: str, inputs: Inputs, report: Report) -> str:
    """Make one step's artifact, or find it made, and serve it from now on; its digest.

    What it needs must have been built. Until all of it is there, what was served before goes on being served.
    """
    step, store, wanted = BY_NAME[name], inputs.store, digests(inputs)
    missing = [need for need in step.needs if not store.has(need, wanted[need])]
    if missing:
        raise BuildFailed(f"{name} needs {', '.join(missing)} built first")
    needs = {need: wanted[need] for need in step.needs}
    with store.making(name, wanted[name]) as folder:
        if folder is None:
            report(f"{step.title}: nothing changed")
        else:
            report(step.title)
            _make(step, inputs, {need: store.folder(need, its) for need, its in needs.items()}, folder)
            store.note_facts(folder, step.serves, needs)
    store.point(name, wanted[name], step.kept)
    return wanted[name]


def _make(step: Step, inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
    """Write a log on the way. A lack of room, before or during a step, is told with how much is wanted where."""
    if (free_bytes := shutil.disk_usage(folder).free) < step.room_bytes:
        raise DiskFull(inputs.artifacts, step.room_bytes, free_bytes)
    running = inputs.store.log(step.name)
    with running.open("w") as file:
        token = log.set(file)
        try:
            tell(f"{step.title}: {folder.stem}")
            step.make(inputs, needs, folder)
            tell("done")
        except (OSError, CommandFailed, tarfile.TarError) as fault:
            tell(f"failed: {fault}")
            if getattr(fault, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(fault):
                raise DiskFull(inputs.artifacts, step.room_bytes, shutil.disk_usage(folder).free) from fault
            if isinstance(fault, tarfile.TarError):
                raise BuildFailed(f"{step.title}: what was unpacked before can't be read ({fault})") from fault
            raise
        except BuildFailed as failure:
            tell(f"failed: {failure}")
            raise
        finally:
            log.reset(token)
    shutil.copyfile(running, folder / LOG)


def _own_code(*patterns: str) -> str:
    here = Path(__file__).parent
    paths = sorted(path for pattern in patterns for path in here.glob(pattern) if path.is_file())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _files(*names: str) -> list[str]:
    return [f"files/{name}" for name in names]

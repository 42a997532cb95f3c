"""The steps that make all that a machine boots and is given; each result is kept under what went into it."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioning.dkam import debian, image, microos, python
from provisioning.dkam.errors import BuildFailed, CommandFailed, DiskFull
from provisioning.dkam.store import Store

Report = Callable[[str], None]
MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True)
class Inputs:
    """All that builds depend on besides Debian; settings are read by the caller."""

    artifacts: Path
    checkout: Path
    ca_file: Path
    mirror: str = MIRROR

    @property
    def store(self) -> Store:
        return Store(self.artifacts)


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


def _packages(names: tuple[str, ...]) -> Callable[[Inputs], dict[str, object]]:
    return lambda inputs: {"packages": debian.versions(names), "mirror": inputs.mirror, "code": _own_code("debian.py")}


def _microos_facts(inputs: Inputs) -> dict[str, object]:
    return {
        "ca": inputs.ca_file.read_text(),
        "source": python.source_digest(inputs.checkout),
        "wheels": python.pinned(inputs.checkout / "requirements.txt"),
        "code": _own_code("cpio.py", "kernel.py", "microos.py", "python.py", *_files("microos-init", "udhcpc-script")),
    }


def _image_facts(inputs: Inputs) -> dict[str, object]:
    image_files = ("disk-init", "image/**/*")
    return {
        "source": python.source_digest(inputs.checkout),
        "wheels": python.pinned(inputs.checkout / "requirements.txt"),
        "code": _own_code("cpio.py", "image.py", "kernel.py", "microos.py", "python.py", *_files(*image_files)),
    }


STEPS = [
    Step(
        "microos-packages",
        "Debian packages of the micro-OS",
        _packages(microos.PACKAGES),
        lambda inputs, _needs, folder: debian.unpack(microos.PACKAGES, inputs.mirror, folder / "packages.tar"),
        room_bytes=2 * 2**30,
    ),
    Step(
        "microos",
        "Kernel and initramfs of the micro-OS",
        _microos_facts,
        lambda inputs, needs, folder: microos.make_initramfs(
            needs["microos-packages"] / "packages.tar", inputs.checkout, inputs.ca_file.read_text(), folder
        ),
        needs=("microos-packages",),
        serves=("vmlinuz", "initramfs"),
    ),
    Step(
        "image-packages",
        "Debian packages of the operating system",
        _packages(image.PACKAGES),
        lambda inputs, _needs, folder: debian.install(image.PACKAGES, inputs.mirror, folder / "root.tar"),
        room_bytes=2 * 2**30,
    ),
    Step(
        "image",
        "Disk image of the operating system",
        _image_facts,
        lambda inputs, needs, folder: image.make(
            needs["image-packages"] / "root.tar", needs["microos-packages"] / "packages.tar", inputs.checkout, folder
        ),
        needs=("image-packages", "microos-packages"),
        serves=(image.NAME,),
        room_bytes=3 * 2**30,
    ),
]
BY_NAME = {step.name: step for step in STEPS}


def digest(name: str, inputs: Inputs) -> str:
    """What identifies the artifact that these inputs give, without building it."""
    step = BY_NAME[name]
    parts = {"step": name, "facts": step.facts(inputs), "needs": {need: digest(need, inputs) for need in step.needs}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def build(name: str, inputs: Inputs, report: Report) -> Path:
    """Make one step's artifact, or find it made, and serve it from now on. What it needs must have been built."""
    step, store = BY_NAME[name], inputs.store
    missing = [need for need in step.needs if not store.has(need, digest(need, inputs))]
    if missing:
        raise BuildFailed(f"{name} needs {', '.join(missing)} built first")
    wanted = digest(name, inputs)
    store.root.mkdir(parents=True, exist_ok=True)
    with store.making(name, wanted) as folder:
        if folder is None:
            report(f"{step.title}: nothing changed")
        else:
            report(step.title)
            needs = {need: store.folder(need, digest(need, inputs)) for need in step.needs}
            _make(step, inputs, needs, folder)
            store.note_facts(folder, step.serves)
    store.point(name, wanted)
    return store.folder(name, wanted)


def _make(step: Step, inputs: Inputs, needs: dict[str, Path], folder: Path) -> None:
    """A lack of room, before or during a step, is told with how much is wanted where."""
    if (free_bytes := shutil.disk_usage(folder).free) < step.room_bytes:
        raise DiskFull(inputs.artifacts, step.room_bytes, free_bytes)
    try:
        step.make(inputs, needs, folder)
    except (OSError, CommandFailed) as fault:
        if getattr(fault, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(fault):
            raise DiskFull(inputs.artifacts, step.room_bytes, shutil.disk_usage(folder).free) from fault
        raise


def _own_code(*patterns: str) -> str:
    here = Path(__file__).parent
    paths = sorted(path for pattern in patterns for path in here.glob(pattern) if path.is_file())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _files(*names: str) -> list[str]:
    return [f"files/{name}" for name in names]

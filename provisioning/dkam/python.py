"""Our own Python code and the wheels it needs, laid out for the machines' Python 3.11."""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from provisioning.dkam.tools import run

WHEELS = ("grpcio", "protobuf", "typing-extensions")  # Debian 12's own protobuf is too old for wire/
PACKAGES = ("edge", "wire")
MACHINE_PYTHON = (3, 11)


def pinned(requirements: Path) -> str:
    """The locked lines, hashes included, of just the wheels that machines carry."""
    locked = re.finditer(r"^([a-z0-9._-]+)==(?:.*\\\n)*.*\n", requirements.read_text(), re.MULTILINE)
    return "".join(block[0] for block in locked if block[1] in WHEELS)


def source_digest(checkout: Path) -> str:
    """One sum over the names and contents of all that machines run of ours."""
    total = hashlib.sha256()
    for path in _sources(checkout):
        total.update(path.relative_to(checkout).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def install_wheels(target: Path, requirements: Path, scratch: Path) -> None:
    """Ask pip for exactly the locked wheels for the machines' Python, whatever Python this server runs."""
    wanted = scratch / "wheels.txt"
    wanted.write_text(pinned(requirements))
    version = ".".join(map(str, MACHINE_PYTHON))
    options = "--quiet --disable-pip-version-check --no-compile --no-deps --only-binary=:all: --require-hashes"
    machine = f"--implementation=cp --python-version={version} --platform=manylinux_2_17_x86_64"
    run(
        *(sys.executable, "-m", "pip", "install", *options.split(), *machine.split(), "--target", target, "-r", wanted),
        HOME=os.environ.get("HOME", str(scratch)),
    )
    wanted.unlink()


def install_sources(target: Path, checkout: Path) -> None:
    for path in _sources(checkout):
        copy = target / path.relative_to(checkout)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def compile_all(folder: Path, root: Path) -> None:
    """Compile ahead, as seen from `root`: a machine would spend seconds on it at each start.

    Byte code is of one Python version only; on another one this server leaves it to the machine.
    """
    if sys.version_info[:2] == MACHINE_PYTHON:
        run(
            *(sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"),
            *("-s", root, "-p", "/", folder),
        )


def _sources(checkout: Path) -> list[Path]:
    found = [path for package in PACKAGES for path in (checkout / package).rglob("*")]
    return sorted(path for path in found if path.suffix in {".py", ".binpb"})

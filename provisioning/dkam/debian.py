"""Debian packages unpacked or installed into a tar file by mmdebstrap, without leaving anything on this machine."""

import os
import re
import time
from functools import lru_cache
from pathlib import Path

from provisioning.dkam.tools import require, run

SUITE = "bookworm"  # its Python 3.11 is what the locked grpcio wheel is for
WANTED_NOWHERE = ("doc", "man", "info", "locale", "lintian", "bug", "i18n/locales")  # below /usr/share
KNOWN_FOR_SECONDS = 60  # what apt says: it takes most of a second to, and each step of a build asks
SECURITY = "http://deb.debian.org/debian-security"


def sources(mirror: str) -> list[str]:
    return [
        f"deb {mirror} {SUITE} main",
        f"deb {mirror} {SUITE}-updates main",
        f"deb {SECURITY} {SUITE}-security main",
    ]


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Each package's version as this machine's apt knew it within the last minute; "" where it doesn't know any, and

    then only the name counts.
    """
    return _versions(packages, int(time.monotonic() // KNOWN_FOR_SECONDS))


@lru_cache(maxsize=4)
def _versions(packages: tuple[str, ...], _minute: int) -> dict[str, str]:
    require("apt-cache")
    told = run("apt-cache", "policy", *packages)
    known = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (\S+)", told, re.MULTILINE))
    return {package: known.get(package, "") for package in packages}


def unpack(packages: tuple[str, ...], mirror: str, tar: Path) -> None:
    """The packages and what they depend on, unpacked but not configured: enough to pick files from."""
    _mmdebstrap("--variant=extract", packages, mirror, tar)


def install(packages: tuple[str, ...], mirror: str, tar: Path) -> None:
    """A small Debian with the packages installed and configured, without documentation and translations."""
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in WANTED_NOWHERE]
    _mmdebstrap("--variant=minbase", packages, mirror, tar, *excluded)


def _mmdebstrap(variant: str, packages: tuple[str, ...], mirror: str, tar: Path, *options: str) -> None:
    require("mmdebstrap")
    arguments = [variant, f"--include={','.join(packages)}", *options, SUITE, str(tar), *sources(mirror)]
    run("mmdebstrap", *arguments, TMPDIR=os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - the very default

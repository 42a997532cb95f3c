"""Built artifacts on disk: a folder for each content digest, and one pointer to the digest that is served."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.dkam.tools import remove

FACTS = "facts.json"
LOG = "build.log"
KEPT = 5  # versions of one artifact that stay on disk: the served one, those to go back to, or that an install reads


@dataclass(frozen=True)
class Version:
    """One artifact as it was built once. needs: of what it was made, name -> digest."""

    digest: str
    built_at: float  # seconds since 1970
    files: dict[str, dict[str, Any]]  # name -> sha256, size_bytes; of what machines download
    needs: dict[str, str]


class Store:
    """`<root>/<name>/<digest>/...`; `<root>/<name>/current` points at one digest and is switched in one step."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, digest: str) -> Path:
        return self.root / name / digest

    def has(self, name: str, digest: str) -> bool:
        return self.folder(name, digest).is_dir()

    def current(self, name: str) -> Path | None:
        pointer = self.root / name / "current"
        return pointer.resolve() if pointer.exists() else None

    def versions(self, name: str) -> list[Version]:
        """Those that can be gone back to, newest first."""
        return sorted((_version(path) for path in _built(self.root / name)), key=lambda it: it.built_at, reverse=True)

    def log(self, name: str, digest: str = "") -> Path:
        """Of a version's build; without a digest, of the build that runs, or failed last."""
        return (self.folder(name, digest) if digest else self.root / name) / LOG

    @staticmethod
    def note_facts(folder: Path, files: tuple[str, ...], needs: dict[str, str] | None = None) -> None:
        """Write the sum and size of what will be served beside it, so that serving needn't read it all."""
        facts: dict[str, Any] = {"built_at": time.time(), "needs": needs or {}, "files": {}}
        for name in files:
            with (folder / name).open("rb") as file:
                facts["files"][name] = {
                    "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                    "size_bytes": (folder / name).stat().st_size,
                }
        (folder / FACTS).write_text(json.dumps(facts, indent=2))

    @staticmethod
    def facts(folder: Path, name: str) -> dict[str, Any]:
        """What is noted about one file of an artifact: sha256, size_bytes. Raises KeyError if it isn't one."""
        return json.loads((folder / FACTS).read_text())["files"][name]

    @contextmanager
    def making(self, name: str, digest: str) -> Iterator[Path | None]:
        """A folder to build in; it becomes the artifact when the block ends well. None: another process has built it.

        One builder per artifact at a time. Whoever holds the lock throws away what a killed one left behind.
        """
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in home.glob("*.partial"):
                remove(leftover)
            if self.has(name, digest):
                yield None
                return
            partial = home / f"{digest}.partial"
            partial.mkdir()
            try:
                yield partial
            except BaseException:
                remove(partial)
                raise
            partial.replace(self.folder(name, digest))

    def point(self, name: str, digest: str, kept: int = KEPT) -> None:
        """Serve this version from now on; forget the oldest ones."""
        home = self.root / name
        pointer, fresh = home / "current", home / ".current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(digest)
        fresh.replace(pointer)
        os.utime(home / digest)
        for old in sorted(_built(home), key=lambda path: path.stat().st_mtime)[:-kept]:
            remove(old)


def _built(home: Path) -> list[Path]:
    if not home.is_dir():
        return []
    return [path for path in home.iterdir() if path.is_dir() and not path.is_symlink() and not path.suffix]


def _version(folder: Path) -> Version:
    noted = json.loads((folder / FACTS).read_text())
    return Version(folder.name, noted["built_at"], noted["files"], noted["needs"])

"""Built artifacts on disk: a folder for each content digest, and one pointer to the digest that is served."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = 3  # digests of one artifact that stay on disk: the served one and two that installs under way may still read


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

    def facts(self, name: str, digest: str) -> dict[str, str]:
        """What the step wrote down about its result, such as sizes and sha256 sums."""
        path = self.folder(name, digest) / "facts.json"
        return json.loads(path.read_text()) if path.exists() else {}

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
                shutil.rmtree(leftover)
            if self.has(name, digest):
                yield None
                return
            partial = home / f"{digest}.partial"
            partial.mkdir()
            try:
                yield partial
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            partial.replace(self.folder(name, digest))

    def point(self, name: str, digest: str) -> None:
        """Serve this digest from now on; forget the oldest ones."""
        home = self.root / name
        pointer, fresh = home / "current", home / ".current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(digest)
        os.replace(fresh, pointer)
        os.utime(home / digest)
        built = sorted((p for p in home.iterdir() if p.is_dir() and not p.is_symlink()), key=lambda p: p.stat().st_mtime)
        for old in built[:-KEPT]:
            if old.suffix != ".partial":
                shutil.rmtree(old)

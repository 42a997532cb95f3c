"""Built artifacts on disk: a folder for each content digest, and one pointer to the digest that is served."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning.dkam.tools import remove

FACTS = "facts.json"
KEPT = 2  # digests of one artifact that stay on disk: the served one, and one that an install under way may read


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

    @staticmethod
    def note_facts(folder: Path, files: tuple[str, ...]) -> None:
        """Write the sum and size of what will be served beside it, so that serving needn't read it all."""
        facts = {}
        for name in files:
            with (folder / name).open("rb") as file:
                facts[name] = {
                    "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                    "size_bytes": (folder / name).stat().st_size,
                }
        (folder / FACTS).write_text(json.dumps(facts, indent=2))

    @staticmethod
    def facts(file: Path) -> dict[str, str | int]:
        """What is noted about one file of an artifact."""
        return json.loads((file.parent / FACTS).read_text())[file.name]

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

    def point(self, name: str, digest: str) -> None:
        """Serve this digest from now on; forget the oldest ones."""
        home = self.root / name
        pointer, fresh = home / "current", home / ".current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(digest)
        fresh.replace(pointer)
        os.utime(home / digest)
        built = [path for path in home.iterdir() if path.is_dir() and not path.is_symlink() and not path.suffix]
        for old in sorted(built, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            remove(old)

"""A small apt repository in a folder, of packages made on the spot: to prove that machines are updated."""

import gzip
import hashlib
from email.utils import formatdate
from pathlib import Path

from provisioning.dkam.tools import require, run


class Repository:
    """Flat, as apt calls one without distributions: `deb [trusted=yes] <url> ./`."""

    def __init__(self, folder: Path) -> None:
        require("dpkg-deb")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def publish(self, name: str, version: str, depends: str = "") -> None:
        """Another version of a package that has nothing in it but its version, in /usr/share/<name>/version."""
        tree = self.folder / "tree"
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
        control += f"Depends: {depends}\n" if depends else ""
        control += "Description: proves that an update took place\n"
        for path, text in {f"usr/share/{name}/version": f"{version}\n", "DEBIAN/control": control}.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        deb = self.folder / f"{name}_{version}_all.deb"
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, deb)
        run("rm", "-rf", tree)
        content = deb.read_bytes()
        with (self.folder / "Packages").open("a") as listed:
            listed.write(f"{control}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {_sum(content)}\n\n")
        self._release()

    def _release(self) -> None:
        packed = gzip.compress((self.folder / "Packages").read_bytes(), mtime=0)
        (self.folder / "Packages.gz").write_bytes(packed)
        sums = [f" {_sum((self.folder / name).read_bytes())} {(self.folder / name).stat().st_size} {name}"
                for name in ("Packages", "Packages.gz")]  # fmt: skip
        text = "\n".join([f"Date: {formatdate(usegmt=True)}", "SHA256:", *sums]) + "\n"
        (self.folder / "Release").write_text(text)

    @staticmethod
    def source(url: str) -> str:
        """For a policy's updateSources, in apt's words."""
        return f"Types: deb\nURIs: {url}\nSuites: ./\nTrusted: yes"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""The disk of a simulated machine: the start of an image, the files written to it, and how both come there."""

import base64
import hashlib
import json
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from edge.errors import ActionFailed
from edge.link import HTTP_SECONDS, image_opener

CLOUD_INIT = "/etc/cloud/cloud.cfg.d/99_infra.cfg"
CHUNK_BYTES = 1 << 20
KEPT_BYTES = 1 << 20  # of an image: enough to look at, and a thousand disks still fit anywhere


class Disk:
    """Kept in a folder, so that it outlives the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image, self.unproven, self.index = folder / "image", folder / "image.unproven", folder / "files.json"
        self.files: dict[str, str] = json.loads(self.index.read_text()) if self.index.exists() else {}

    @property
    def has_system(self) -> bool:
        return self.image.exists()

    def erase(self) -> None:
        for path in (self.image, self.unproven, self.index):
            path.unlink(missing_ok=True)
        self.files = {}

    def write_image(self, environment: dict[str, str], stopping: Event) -> None:
        """Load the whole image and keep its start; it looks bootable only once its digest is the one asked for."""
        digest, kept = hashlib.sha256(), bytearray()
        with image_opener(environment).open(environment["IMG_URL"], timeout=HTTP_SECONDS) as answer:
            while chunk := answer.read(CHUNK_BYTES):
                if stopping.is_set():
                    raise ActionFailed("the machine was switched off")
                digest.update(chunk)
                kept += chunk[: KEPT_BYTES - len(kept)]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.unproven.write_bytes(kept)
        found, wanted = digest.hexdigest(), environment.get("SHA256", "").lower()
        if wanted and found != wanted:
            self.erase()
            raise ActionFailed(f"the image's SHA-256 is {found}, it should be {wanted}; the disk was erased")
        self.unproven.rename(self.image)

    def pretend_image(self) -> None:
        """There is a system on it: for fleets so large that their images would be all they do."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.image.touch()

    def write_file(self, path: str, contents: str) -> None:
        self.files[path] = contents
        self.save()

    def save(self) -> None:
        self.index.touch(mode=0o600)  # it holds the machine's secret
        self.index.write_text(json.dumps(self.files, indent=1))

    def first_boot(self) -> None:
        """What cloud-init does: write the files its configuration names."""
        for file in cloud_config(self.files.get(CLOUD_INIT, "")).get("write_files", []):
            content = file.get("content", "")
            if file.get("encoding") in ("b64", "base64"):
                content = base64.b64decode(content).decode()
            self.files[file["path"]] = content
        self.save()

    def read(self, path: str) -> str:
        return self.files.get(path, "").strip()


def cloud_config(text: str) -> dict[str, Any]:
    """A cloud-init configuration. Empty when it isn't one."""
    try:
        made = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    return made if isinstance(made, dict) else {}

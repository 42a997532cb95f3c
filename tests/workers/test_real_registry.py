"""OS profiles in the registry that others run: the distribution project's own server, with a password."""

import hashlib
import json
import shutil
import socket
import subprocess
import time

import pytest
import requests

from tests.workers.test_catalogue import problems, systems, text  # noqa: F401  systems is a fixture
from workers.registry import TITLE

SERVER = shutil.which("docker-registry")
pytestmark = pytest.mark.skipif(SERVER is None, reason="no docker-registry: apt-get install docker-registry")
OCI = "application/vnd.oci.image.manifest.v1+json"
PERSON = ("edge", "a-password")
HASHED = "$2b$04$TsV44sSo0j9pIUnqnXcqNu5pJv/fila3gheAulxd/uT9ZYMoq7BCy"  # with bcrypt, as the server wants it
CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
auth: {{htpasswd: {{realm: here, path: {folder}/people}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Registry:
    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()
        self.session.auth = PERSON

    def push(self, name: str, tag: str, profile: str) -> str:
        """As `oras push` does. Returns the manifest's digest."""
        layer = {**self._blob(name, profile.encode()), "mediaType": "application/vnd.oci.image.layer.v1.tar"}
        layer["annotations"] = {TITLE: f"{name}.yaml"}
        config = {**self._blob(name, b"{}"), "mediaType": "application/vnd.unknown.config.v1+json"}
        manifest = {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [layer]}
        return self._put_manifest(name, tag, manifest, OCI)

    def push_index(self, name: str, tag: str, digest: str, size: int) -> None:
        of_index = "application/vnd.oci.image.index.v1+json"
        manifest = {"mediaType": OCI, "digest": digest, "size": size}
        index = {"schemaVersion": 2, "mediaType": of_index, "manifests": [manifest]}
        self._put_manifest(name, tag, index, of_index)

    def _put_manifest(self, name: str, tag: str, manifest: dict, kind: str) -> str:
        url = f"{self.url}/v2/profiles/{name}/manifests/{tag}"
        answer = self.session.put(url, data=json.dumps(manifest), headers={"Content-Type": kind})
        answer.raise_for_status()
        return answer.headers["Docker-Content-Digest"]

    def _blob(self, name: str, body: bytes) -> dict:
        begun = self.session.post(f"{self.url}/v2/profiles/{name}/blobs/uploads/")
        begun.raise_for_status()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.session.put(begun.headers["Location"], params={"digest": digest}, data=body).raise_for_status()
        return {"digest": digest, "size": len(body)}

    def delete(self, name: str, digest: str) -> None:
        self.session.delete(f"{self.url}/v2/profiles/{name}/manifests/{digest}").raise_for_status()


@pytest.fixture
def oci(settings, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "people").write_text(f"{PERSON[0]}:{HASHED}\n")
    (tmp_path / "config.yml").write_text(CONFIG.format(folder=tmp_path, port=port))
    server = subprocess.Popen([SERVER, "serve", tmp_path / "config.yml"])
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 20
    while time.monotonic() < ends:
        try:
            requests.get(f"{url}/v2/", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    settings.EIM_OS_PROFILES_LOCAL, settings.EIM_OS_REGISTRY = True, url
    settings.EIM_OS_REGISTRY_PREFIX, settings.EIM_OS_REGISTRY_REVISION = "profiles/", "~1.2.3"
    settings.EIM_OS_REGISTRY_PROFILES, settings.EIM_OS_REGISTRY_CREDENTIALS = ["emt"], ":".join(PERSON)
    yield Registry(url)
    server.terminate()
    server.wait(10)


def test_profiles_are_pulled_from_a_real_registry_and_withdrawn_when_they_go(oci, systems):  # noqa: F811
    oci.push("emt", "1.2.2", text(version="too old"))
    oci.push("emt", "1.2.3", text())
    newer = oci.push("emt", "1.2.10", text(version="3.0.2"))
    found = systems("emt")
    assert {*found} == {"emt 3.0.1", "emt 3.0.2"} and not any(row.retracted for row in found.values())
    oci.delete("emt", newer)
    found = systems("emt")
    assert (found["emt 3.0.1"].retracted, found["emt 3.0.2"].retracted) == (False, True)
    assert problems() == ""


def test_a_tag_that_names_an_index_leads_to_its_first_profile(oci, systems):  # noqa: F811
    digest = oci.push("emt", "one", text())
    size = int(oci.session.head(f"{oci.url}/v2/profiles/emt/manifests/{digest}").headers["Content-Length"])
    oci.push_index("emt", "1.2.3", digest, size)
    assert {*systems("emt")} == {"emt 3.0.1"}


def test_a_wrong_password_is_said_and_withdraws_nothing(oci, systems, settings):  # noqa: F811
    oci.push("emt", "1.2.3", text())
    systems("emt")
    settings.EIM_OS_REGISTRY_CREDENTIALS = "edge:guessed"
    assert not systems("emt")["emt 3.0.1"].retracted
    assert "EIM_OS_REGISTRY_CREDENTIALS" in problems()

"""`python -m tests.upgrade.first_release`: makes first_release.tar.xz anew, out of the first release's own commands.

That is: a worktree of it, its `manage.py up --demo`, which takes three simulated machines from a CSV row to Running in
project demo; a second project, berlin, made by its commands and its API. Then a backup by this version's `manage.py
backup` (the first release had none), and what its API answered. Run it again only if that file is to have more in it.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RELEASE = "906171b324ef3bfb49a76bddc0f1d4e2b802dd9e"  # the last commit of the first landing
FILE = Path(__file__).with_name("first_release.tar.xz")
FLEET = 3
COLLECTIONS = ["regions", "sites", "providers", "compute/os", "compute/hosts", "compute/instances"]
PORTS = {"EIM_HTTP_PORT": "18431", "EIM_HTTPS_PORT": "18432", "EIM_GRPC_PORT": "18433", "EIM_FLOWER_PORT": "18434"}
MACHINES = """Serial,UUID,OSProfile,Site,Secure,RemoteUser,Metadata,Error - do not fill
BERLIN0001,3b0e7b68-7a2c-4d8a-9f6e-1d2c3b4a5f60,{os},{site},false,,role=kiosk&floor=1,
BERLIN0002,,{os},,false,,role=kiosk&floor=2,
"""


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The sources of this commit, with today's virtual environment."""
    with tempfile.TemporaryDirectory(prefix="eim-release-") as made:
        folder = Path(made) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, commit], cwd=ROOT, check=True)
        try:
            yield folder
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def api(method: str, path: str, token: str, body: object = None) -> dict:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['EIM_HTTP_PORT']}/v1/projects/{path}", json.dumps(body).encode() if body else None,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, method=method,
    )  # fmt: skip
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def main() -> None:
    home = Path("/var/lib/eim") if os.geteuid() == 0 else ROOT / "var"  # where the embedded servers' user can go
    home.mkdir(parents=True, exist_ok=True)
    with worktree(RELEASE) as tree, tempfile.TemporaryDirectory(dir=home, prefix="release-") as data:
        environment = os.environ | PORTS | {"EIM_DATA": data, "EIM_ADMIN_PASSWORD": "correct horse battery"}

        def manage(*words: str, cwd: Path = tree) -> str:
            command = [sys.executable, "manage.py", *words]
            return subprocess.run(
                command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        up = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--demo", "--fleet", str(FLEET)],
            cwd=tree, env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            for line in up.stdout:
                print(line, end="")
                if line.startswith("demo: "):
                    break
            manage("create_project", "berlin", "--org", "berlin")
            token = manage("issue_token").strip()
            region = api("POST", "berlin/regions", token, {"name": "Berlin"})
            site = api("POST", "berlin/sites", token, {"name": "Mitte", "regionId": region["resourceId"]})
            profile = {
                "name": "debian", "profileName": "debian", "sha256": "a" * 64, "osType": "OS_TYPE_MUTABLE",
                "imageUrl": "images/debian.raw.gz", "osProvider": "OS_PROVIDER_KIND_INFRA",
            }  # fmt: skip
            system = api("POST", "berlin/compute/os", token, profile)
            rows = Path(data) / "berlin.csv"
            rows.write_text(MACHINES.format(os=system["resourceId"], site=site["resourceId"]))
            print(manage("bulk_import", str(rows), "--project", "berlin"))
            time.sleep(30)  # what the demo's machines still report settles
            served = {
                project: {path: api("GET", f"{project}/{path}?pageSize=100", token) for path in COLLECTIONS}
                for project in ("demo", "berlin")
            }
            environment["DATABASE_URL"] = json.loads((Path(data) / "stack.json").read_text())["database_url"]
            manage("backup", f"{data}/first.backup", cwd=ROOT)
            with tarfile.open(FILE, "w:xz") as tar:
                tar.add(f"{data}/first.backup", "first.backup")
                text = json.dumps(served, indent=1).encode()
                about = tarfile.TarInfo("served.json")
                about.size = len(text)
                tar.addfile(about, io.BytesIO(text))
        finally:
            up.terminate()
            up.wait(60)
    print(f"{FILE}: {FILE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()

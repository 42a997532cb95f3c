"""What DKAM builds by the queue: asked for, followed, gone back on; what was served goes on being served."""

import errno
import subprocess
import sys
import tarfile
import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from eim_project import tls
from inventory.models import Indicator
from provisioning import artifacts, boot_keys
from provisioning.dkam import build, debian, ipxe, tools
from provisioning.models import Artifact, BootKey
from tenants.models import User
from tenants.secrets import SealedField
from tests.conftest import settle
from workers import engine, models
from workers.models import Queue, Work


def fail(how: Exception):
    raise how


FAULTS = {
    "broken": lambda: fail(build.BuildFailed("the source is broken")),
    "no network": lambda: tools.run("sh", "-c", "echo 'E: Failed to fetch http://x/y.deb' >&2; exit 100"),
    "no room": lambda: fail(OSError(errno.ENOSPC, "No space left on device")),
    "no room for a program": lambda: tools.run("sh", "-c", "echo 'cp: No space left on device' >&2; exit 1"),
    "cut off": lambda: fail(tarfile.ReadError("unexpected end of data")),
}


@pytest.fixture
def steps(monkeypatch, settings, tmp_path, public):
    """Three small steps in place of the real ones; what goes in is in a file."""
    settings.EIM_ARTIFACTS, settings.EIM_CA_FILE = tmp_path / "artifacts", tmp_path / "tls/ca.crt"
    tls.ensure(tmp_path / "tls", ["127.0.0.1"])
    source = tmp_path / "source"
    source.write_text("one")

    def make(name):
        def write(inputs, needs, folder):
            tools.run("echo", f"making {name}")
            FAULTS.get(source.read_text(), lambda: None)()
            before = "".join((path / "file").read_text() for path in needs.values())
            (folder / "file").write_text(f"{before}{name} of {source.read_text()};")

        return write

    plain = build.Step("base", "The base", lambda _: {"source": source.read_text()}, make("base"), serves=("file",))
    top = build.Step("top", "The top", lambda _: {}, make("top"), needs=("base",), serves=("file",))
    other = build.Step("other", "The other", lambda _: {"keys": _.keys.fingerprints()}, make("other"), serves=("file",))
    monkeypatch.setattr(build, "STEPS", [plain, top, other])
    monkeypatch.setattr(build, "BY_NAME", {step.name: step for step in build.STEPS})
    return source


def work_off():
    """As builders would, without the pauses in which one step waits for another."""
    waiting = Work.objects.filter(reconciler="ArtifactBuild", refused="")
    for _ in build.STEPS:
        settle()
        waiting.update(due_at=timezone.now() - timedelta(hours=1))
    settle()


def served(name):
    return (artifacts.store().current(name) / "file").read_text()


def test_what_is_asked_for_is_built_once_with_a_log(steps):
    wanted = artifacts.ask_for_all()
    work_off()
    assert served("top") == "base of one;top of one;"
    top = Artifact.objects.get(name="top")
    assert (top.current_digest, top.build_status) == (wanted["top"], "Built")
    assert "$ echo making top" in artifacts.log("top") and artifacts.log("top", wanted["top"]).endswith("done\n")
    built = artifacts.store().folder("top", wanted["top"]).stat().st_mtime_ns
    assert artifacts.ask_for_all() == wanted and artifacts.follow() == []
    work_off()
    assert artifacts.store().folder("top", wanted["top"]).stat().st_mtime_ns == built


def test_what_goes_in_is_followed_and_nothing_else_is_built(steps):
    first = artifacts.ask_for_all()
    work_off()
    steps.write_text("two")
    assert artifacts.follow() == ["base", "top"]
    work_off()
    assert served("top") == "base of two;top of two;" and artifacts.store().current("other").name == first["other"]


@pytest.mark.parametrize(("fault", "told"), [
    ("broken", "the source is broken"),
    ("no network", "sh ended with code 100: E: Failed to fetch http://x/y.deb"),
    ("no room", "this step needs 1024 MiB: free some space, or set EIM_DATA"),
    ("no room for a program", "this step needs 1024 MiB: free some space, or set EIM_DATA"),
    ("cut off", "The base: what was unpacked before can't be read (unexpected end of data)"),
])  # fmt: skip
def test_a_build_that_fails_says_why_and_what_was_served_goes_on_being_served(steps, fault, told):
    artifacts.ask_for_all()
    work_off()
    steps.write_text(fault)
    artifacts.follow()
    work_off()
    base = Artifact.objects.get(name="base")
    assert told in base.build_status and base.build_status_indicator == Indicator.ERROR
    assert served("base") == "base of one;" and served("top") == "base of one;top of one;"
    assert artifacts.log("base").splitlines()[-1].startswith("failed: ")
    assert not [*artifacts.store().root.glob("*/*.partial")]


@pytest.mark.boots  # with Debian's own tools, which CI has
@pytest.mark.parametrize("spoil", ["corrupt", "missing"])
def test_a_debian_package_that_is_corrupt_or_cannot_be_fetched_is_not_built_from(steps, monkeypatch, tmp_path, spoil):
    tools.require("mmdebstrap")
    repository = tmp_path / "repository"
    monkeypatch.setattr(debian, "sources", lambda mirror: [f"deb [trusted=yes] copy:{repository} ./"])

    def unpack(inputs, needs, folder):
        debian.unpack(("tiny",), "", folder / "packages.tar")
        (folder / "file").write_text(f"tiny {steps.read_text()}")

    real = build.Step("base", "The base", lambda _: {"source": steps.read_text()}, unpack, serves=("file",))
    build.STEPS[0] = build.BY_NAME["base"] = real
    tiny_repository(repository, "1")
    artifacts.ask_for_all()
    work_off()
    assert Artifact.objects.get(name="base").build_status == "Built"
    package = tiny_repository(repository, "2")
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content) if spoil == "corrupt" else package.unlink()
    steps.write_text("two")
    artifacts.follow()
    work_off()
    status = Artifact.objects.get(name="base").build_status
    assert status.startswith("mmdebstrap ended with code ") and "E: " in status
    assert ("Hash Sum mismatch" if spoil == "corrupt" else "Failed to") in artifacts.log("base")
    assert served("base") == "tiny one"


def tiny_repository(folder, version):
    """One package, and the list of it; the package's file."""
    control = folder / "tiny/DEBIAN/control"
    control.parent.mkdir(parents=True, exist_ok=True)
    about = f"Package: tiny\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody <nobody@x.example>\n"
    control.write_text(f"{about}Description: of no use\n")
    package = folder / f"tiny_{version}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", folder / "tiny", package], check=True)
    content = package.read_bytes()
    listed = f"Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {sha256(content).hexdigest()}\n\n"
    (folder / "Packages").write_text(about + listed)
    return package


def test_a_ca_that_is_no_certificate_is_refused_before_anything_is_built(steps, settings):
    artifacts.ask_for_all()
    work_off()
    settings.EIM_CA_FILE.write_text("no certificate")
    real = build.Step("base", "The base", lambda inputs: {"ca": inputs.ca_pem}, None)
    build.STEPS[0] = build.BY_NAME["base"] = real
    with pytest.raises(CommandError, match=r"ca.crt is no certificate in PEM .*see EIM_CA_FILE"):
        call_command("build_artifacts")
    assert served("base") == "base of one;"


def test_one_goes_back_with_all_that_was_made_of_it_and_stays_there(steps):
    first = artifacts.ask_for_all()
    work_off()
    steps.write_text("two")
    second = artifacts.ask_for_all()
    work_off()
    assert artifacts.go_back("base") == {"base": first["base"], "top": first["top"]}
    work_off()
    assert served("top") == "base of one;top of one;"
    assert artifacts.follow() == [] and Artifact.objects.get(name="top").held
    assert artifacts.ask_for_all() == second
    work_off()
    assert served("top") == "base of two;top of two;" and not Artifact.objects.get(name="top").held


def test_a_version_that_is_not_kept_cannot_be_gone_back_to(steps):
    artifacts.ask_for_all()
    work_off()
    with pytest.raises(artifacts.NoSuchVersion, match="base has no earlier version; there are: "):
        artifacts.go_back("base")
    with pytest.raises(artifacts.NoSuchVersion, match="base has no version ffff"):
        artifacts.go_back("base", "ffff")


def test_what_changed_after_it_was_asked_for_is_not_built_as_what_was_asked_for(steps):
    artifacts.ask_for_all()
    steps.write_text("two")
    work_off()
    assert "ask for a build again" in Artifact.objects.get(name="base").build_status
    artifacts.ask_for_all()
    work_off()
    assert served("top") == "base of two;top of two;"


# Keys ----------------------------------------------------------------------------------------------------------------


def test_keys_are_made_once_and_sealed(public):
    keys = boot_keys.in_force()
    assert boot_keys.in_force() == keys and [len(kind) for kind in (keys.pk, keys.kek, keys.db)] == [1, 1, 1]
    assert "PRIVATE KEY" in keys.db[0].private and "PRIVATE" not in repr(keys)
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key_sealed FROM provisioning_bootkey")
        assert all(sealed.startswith("gAAAA") for (sealed,) in cursor.fetchall())
    assert isinstance(BootKey._meta.get_field("private_key_sealed"), SealedField)


def test_a_rotated_key_and_the_one_before_both_count_until_that_is_retired(public):
    first = boot_keys.in_force().db[0]
    with pytest.raises(boot_keys.NothingToRetire, match="rotate it first"):
        boot_keys.retire("db")
    boot_keys.rotate("db")
    newer, older = boot_keys.in_force().db
    assert older == first != newer
    boot_keys.retire("db")
    assert boot_keys.in_force().db == (newer,)
    boot_keys.rotate("db")
    boot_keys.rotate("db")  # more than two would be more than firmware has room for
    assert len(boot_keys.in_force().db) == 2


def test_a_rotated_key_is_an_input_of_what_it_signs(steps):
    artifacts.ask_for_all()
    work_off()
    boot_keys.rotate("db")
    assert artifacts.follow() == ["other"]


# A killed worker -----------------------------------------------------------------------------------------------------


def test_the_lease_of_a_build_is_renewed_while_it_runs_and_not_after_its_worker_is_gone(committed, settings):
    settings.LEASE = 1  # second; a killed worker's build is taken over after it
    models.wake("public", "ArtifactBuild", Queue.BUILD, [(4711, "digest", False)])
    try:
        work = models.claim_this("public", "ArtifactBuild", 4711, engine.lease())
        until = work.leased_until
        with engine._kept(work):
            deadline = time.monotonic() + 60
            while Work.objects.get(pk=work.pk).leased_until <= until + timedelta(seconds=1):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        while (again := models.claim_this("public", "ArtifactBuild", 4711, engine.lease())) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert again.epoch == work.epoch + 1
        models.renew(work, timedelta(hours=1))  # by the one before, that was only frozen
        assert Work.objects.get(pk=work.pk).leased_until == again.leased_until
    finally:
        Work.objects.filter(target=4711).delete()


def test_a_killed_builder_takes_its_programs_with_it_and_the_next_one_builds(steps, tmp_path):
    """Their files would else be written on beside the next builder's."""
    pid = tmp_path / "pid"
    script = f"from provisioning.dkam.tools import run; run('sh', '-c', 'echo $$ > {pid}; exec sleep 600')"
    builder = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path.cwd())
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    builder.kill()
    builder.wait()
    while Path(f"/proc/{pid.read_text().strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    half = artifacts.store().root / "base/aaaa.partial"
    half.mkdir(parents=True)
    artifacts.ask_for_all()
    work_off()
    assert served("base") == "base of one;" and not half.exists()


# As an administrator sees it -----------------------------------------------------------------------------------------


@pytest.fixture
def administrator(public, client):
    client.force_login(User.objects.create(username="root", is_superuser=True, is_staff=True))
    return client


def test_an_administrator_follows_a_build_and_goes_back_by_the_api(steps, administrator):
    first = administrator.post("/v1/artifacts/build").json()["desired"]
    work_off()
    steps.write_text("two")
    administrator.post("/v1/artifacts/build")
    work_off()
    base = administrator.get("/v1/artifacts").json()["artifacts"][0]
    assert (base["name"], base["status"], base["held"]) == ("base", "Built", False)
    assert [version["served"] for version in base["versions"]] == [True, False]
    assert base["versions"][0]["files"][0]["name"] == "file"
    assert "$ echo making base" in administrator.get("/v1/artifacts/base/log").json()["log"]
    assert administrator.get("/v1/artifacts/base/log", {"digest": "../x"}).status_code == 400
    back = administrator.post("/v1/artifacts/base/back", {}, content_type="application/json")
    assert back.json()["desired"]["top"] == first["top"]
    work_off()
    assert served("top") == "base of one;top of one;"


def test_an_administrator_sees_versions_and_log_and_goes_back_by_one_click(steps, administrator):
    artifacts.ask_for_all()
    work_off()
    steps.write_text("two")
    page, base = "/admin/provisioning/artifact/", Artifact.objects.get(name="base")
    administrator.post(page, {"action": "build_all", "_selected_action": base.pk})
    work_off()
    shown = administrator.get(f"{page}{base.pk}/change/").content.decode()
    assert "served, built" in shown and "kept, built" in shown and "$ echo making base" in shown
    administrator.post(page, {"action": "go_back", "_selected_action": base.pk})
    work_off()
    assert served("top") == "base of one;top of one;"


def test_an_administrator_rotates_a_key_by_the_api(administrator):
    boot_keys.in_force()
    made = administrator.post("/v1/boot-keys/db/rotate").json()
    keys = administrator.get("/v1/boot-keys").json()["bootKeys"]
    assert keys[0] == made and made["retiredAt"] is None and "private" not in str(keys)
    assert administrator.post("/v1/boot-keys/db/retire").json()["fingerprint"] != made["fingerprint"]
    assert administrator.post("/v1/boot-keys/dbx/rotate").status_code == 404


def test_an_ipxe_of_our_own_is_built_from_a_source_tree_and_goes_straight_to_the_server(tmp_path):
    """A tree whose Makefile writes down what it was given: the real one is no package of Debian's."""
    source, folder = tmp_path / "ipxe", tmp_path / "folder"
    (source / "src").mkdir(parents=True)
    folder.mkdir()
    (source / "src/Makefile").write_text(
        "bin-x86_64-efi/ipxe.efi:\n\tmkdir -p bin-x86_64-efi\n\tcat $(EMBED) $(TRUST) config/local/general.h > $@\n"
    )
    tls.ensure(tmp_path / "tls", ["localhost"])
    one = (tmp_path / "tls/ca.crt").read_text()
    built = ipxe.build(source, "http://eim.example:8000/tink-stack", one, folder).read_text()
    assert "chain http://eim.example:8000/tink-stack/boot.ipxe ||" in built
    assert one in built and "#define DOWNLOAD_PROTO_HTTPS\n" in built
    before = ipxe.digest_of(source)
    (source / "src/Makefile").write_text("all:\n")
    assert ipxe.digest_of(source) != before
    with pytest.raises(build.BuildFailed, match="no source tree of iPXE: it has no src/Makefile"):
        ipxe.build(tmp_path, "http://x", "", folder)

"""What machines boot: made step by step, kept by content, told in one line when it can't be made, and served."""

import errno
import hashlib
import io
import json
import threading

import pytest
from django.test import Client

from eim_project import tls
from inventory.models import InstanceState
from provisioning.dkam import build, cpio, errors, tools
from provisioning.dkam.python import pinned
from provisioning.dkam.store import Store
from tests.provisioning.serving import serve
from tests.southbound import Node, registered, wanted

GUID = "a1458656-e817-4a84-b4ca-60def028ebe4"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


@pytest.fixture
def inputs(tmp_path, settings):
    tls.ensure(tmp_path / "tls", ["127.0.0.1"])
    return build.Inputs(tmp_path / "artifacts", settings.BASE_DIR, tmp_path / "tls/ca.crt")


@pytest.fixture
def step(monkeypatch):
    """Two steps of little work in place of the real ones, which take minutes."""

    def make(inputs, needs, folder):
        (folder / "image").write_text(f"image on {(needs['base'] / 'tree').read_text()}")

    def grow(inputs, needs, folder):
        tools.run("echo", "growing a tree")
        (folder / "tree").write_text("CA")

    base = build.Step("base", "The base", lambda inputs: {"ca": inputs.ca_pem}, grow)
    top = build.Step("top", "The top", lambda inputs: {}, make, needs=("base",), serves=("image",))
    monkeypatch.setattr(build, "BY_NAME", {"base": base, "top": top})
    return base


def made(store, name, digest, text="", kept=5):
    with store.making(name, digest) as folder:
        (folder / "file").write_text(text)
        store.note_facts(folder, ("file",))
    store.point(name, digest, kept)


# Kept by content -----------------------------------------------------------------------------------------------------


def test_what_is_built_is_served_whole_or_not_at_all(store):
    made(store, "microos", "aaaa", "old")
    with pytest.raises(RuntimeError), store.making("microos", "bbbb") as folder:
        (folder / "file").write_text("half")
        raise RuntimeError
    assert (store.current("microos") / "file").read_text() == "old"
    assert sorted(path.name for path in (store.root / "microos").glob("*bbbb*")) == []


def test_what_a_killed_builder_left_is_thrown_away(store):
    half = store.root / "microos/aaaa.partial"
    half.mkdir(parents=True)
    (half / "file").write_text("half")
    with store.making("microos", "aaaa") as folder:
        assert [*folder.iterdir()] == []


def test_of_two_builders_of_one_artifact_the_second_finds_it_built(store):
    inside, found = threading.Event(), []

    def second():
        inside.wait()
        with store.making("microos", "aaaa") as folder:
            found.append(folder)

    thread = threading.Thread(target=second)
    thread.start()
    with store.making("microos", "aaaa"):
        inside.set()
    thread.join()
    assert found == [None]


def test_old_digests_go_and_the_served_one_stays(store):
    for digest in ("aaaa", "bbbb", "cccc"):
        made(store, "microos", digest)
    store.point("microos", "bbbb")
    made(store, "microos", "dddd", kept=2)
    kept = {path.name for path in (store.root / "microos").iterdir() if path.is_dir() and not path.is_symlink()}
    assert kept == {"bbbb", "dddd"} and store.current("microos").name == "dddd"


def test_equal_inputs_are_built_once(inputs, step):
    told = []
    for name in ("base", "top", "base", "top"):
        folder = inputs.store.folder(name, build.build(name, inputs, told.append))
    assert told == ["The base", "The top", "The base: nothing changed", "The top: nothing changed"]
    assert (folder / "image").read_text() == "image on CA"
    sha256 = hashlib.sha256(b"image on CA").hexdigest()
    assert Store.facts(folder, "image") == {"sha256": sha256, "size_bytes": 11}


def test_another_ca_is_another_artifact_and_so_is_all_that_needs_it(inputs, step):
    before = build.digests(inputs)
    for file in inputs.ca_file.parent.iterdir():
        file.unlink()
    tls.ensure(inputs.ca_file.parent, ["127.0.0.1"])
    after = build.digests(inputs)
    assert all(after[name] != digest for name, digest in before.items())


def test_a_step_waits_for_what_it_needs(inputs, step):
    with pytest.raises(errors.BuildFailed, match="top needs base built first"):
        build.build("top", inputs, print)


def test_the_real_steps_need_only_steps_before_them():
    names = [each.name for each in build.STEPS]
    assert all(names.index(need) < names.index(each.name) for each in build.STEPS for need in each.needs)


def test_the_locked_wheels_and_no_others_go_to_machines(settings):
    locked = pinned(settings.BASE_DIR / "requirements.txt")
    names = [line.partition("==")[0] for line in locked.splitlines() if "==" in line]
    assert names == ["grpcio", "protobuf", "typing-extensions"] and locked.count("--hash=sha256:") > len(names)


# Told in one line ----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_with_the_way_out(inputs, step, monkeypatch):
    def fill(inputs, needs, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(build.BY_NAME, "base", build.Step("base", "The base", lambda inputs: {}, fill))
    with pytest.raises(errors.DiskFull, match=r"MiB free, this step needs 1024 MiB: free some space, or set EIM_DATA"):
        build.build("base", inputs, print)


def test_a_step_does_not_start_without_the_room_it_needs(inputs, step, monkeypatch):
    greedy = build.Step("base", "The base", lambda inputs: {}, None, room_bytes=2**60)
    monkeypatch.setitem(build.BY_NAME, "base", greedy)
    with pytest.raises(errors.DiskFull):
        build.build("base", inputs, print)


def test_a_missing_program_is_told_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    with pytest.raises(errors.ToolMissing, match="mcopy, zstd are missing: sudo apt-get install mtools zstd"):
        tools.require("zstd", "mcopy")


def test_a_failed_program_is_told_with_its_last_words():
    with pytest.raises(errors.CommandFailed, match="sh ended with code 3: E: no network"):
        tools.run("sh", "-c", "echo fetching; echo 'E: no network' >&2; echo bye >&2; exit 3")


# Formats -------------------------------------------------------------------------------------------------------------


def read_cpio(data):
    stream, found = io.BytesIO(data), {}
    while True:
        header = stream.read(110)
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        mode, uid, size, name_size = fields[1], fields[2], fields[6], fields[11]
        name = stream.read(name_size)[:-1].decode()
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, uid, stream.read(size))
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)


def test_a_cpio_archive_has_files_folders_and_links_all_of_root(tmp_path):
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/odd").write_bytes(b"abc")
    (tree / "init").write_bytes(b"#!/bin/sh\n")
    (tree / "init").chmod(0o755)
    (tree / "link").symlink_to("etc/odd")
    archives = []
    for _ in range(2):
        out = io.BytesIO()
        cpio.write(tree, out)
        archives.append(out.getvalue())
        (tree / "init").touch()
    found = read_cpio(archives[0])
    assert found["etc/odd"][2] == b"abc" and found["link"] == (0o120777, 0, b"etc/odd")
    assert found["init"][:2] == (0o100755, 0) and found["etc"][0] == 0o040755
    assert archives[0] == archives[1]


# Served --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(settings, tmp_path, public):
    settings.EIM_ARTIFACTS = tmp_path / "artifacts"
    settings.EIM_PUBLIC_HOST = "10.0.2.2"
    return Client()


def test_a_machine_that_nobody_knows_gets_the_micro_os_and_our_addresses(web):
    script = web.get("/tink-stack/boot.ipxe", {"uuid": GUID, "serial": "ABCDE1"}).content.decode()
    assert script.startswith("#!ipxe\n")
    assert "kernel signed/not-built/vmlinuz initrd=initramfs worker_id=${mac} grpc_authority=10.0.2.2:" in script
    assert " eim_url=https://10.0.2.2:" in script and not script.splitlines()[1].startswith("chain")


def test_a_machine_that_has_not_said_who_it_is_is_asked(web):
    script = web.get("/tink-stack/boot.ipxe").content.decode()
    assert "chain --replace boot.ipxe?mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring} ||" in script


def test_an_installed_machine_boots_its_own_disk(there):
    instance = wanted(registered(Node("")))
    asked = {"uuid": str(instance.host.uuid), "serial": instance.host.serial_number}
    assert "vmlinuz" in Client().get("/tink-stack/boot.ipxe", asked).content.decode()
    instance.observe(state=InstanceState.RUNNING)
    script = Client().get("/tink-stack/boot.ipxe", asked).content.decode()
    assert script.splitlines()[0] == "#!ipxe" and script.splitlines()[-1] == "exit" and "kernel" not in script


@pytest.mark.parametrize("path", ["vmlinuz-x86_64", "initramfs-x86_64", "images/debian.raw.gz", "images/abc/x.raw.gz"])
def test_what_is_not_built_yet_is_told_with_the_way_to_it(web, path):
    answer = web.get(f"/tink-stack/{path}")
    assert answer.status_code == 404 and b"manage.py build_artifacts" in answer.content


def test_the_micro_os_is_served_with_its_digest_and_not_twice(web, settings):
    serve(settings.EIM_ARTIFACTS, "signed", "abcd", vmlinuz=b"kernel", initramfs=b"root")
    answer = web.get("/tink-stack/vmlinuz-x86_64")
    assert b"".join(answer.streaming_content) == b"kernel" and answer["Content-Length"] == "6"
    facts = json.loads((settings.EIM_ARTIFACTS / "signed/abcd/facts.json").read_text())["files"]
    assert answer["ETag"] == f'"{facts["vmlinuz"]["sha256"]}"'
    assert web.get("/tink-stack/vmlinuz-x86_64", headers={"if-none-match": answer["ETag"]}).status_code == 304


def test_an_image_stays_where_it_was_when_a_newer_one_is_built(web, settings):
    for digest in ("aaaa", "bbbb"):
        serve(settings.EIM_ARTIFACTS, "image", digest, **{"debian.raw.gz": digest.encode()})
    answer = web.get("/tink-stack/images/aaaa/debian.raw.gz")
    assert b"".join(answer.streaming_content) == b"aaaa"


def test_an_image_that_an_operator_put_there_is_served(web, settings):
    (settings.EIM_ARTIFACTS / "images").mkdir(parents=True)
    (settings.EIM_ARTIFACTS / "images/own.raw.gz").write_bytes(b"own")
    answer = web.get("/tink-stack/images/own.raw.gz")
    assert b"".join(answer.streaming_content) == b"own" and answer["ETag"]


@pytest.mark.parametrize("path", ["images/../secret_key", "images/..%2fsecret_key", "images/.hidden", "images/a/../b"])
def test_no_path_leads_out_of_the_artifacts(web, settings, path):
    (settings.EIM_ARTIFACTS / "images").mkdir(parents=True)
    for secret in ("secret_key", "images/.hidden"):
        (settings.EIM_ARTIFACTS / secret).write_text("secret")
    assert web.get(f"/tink-stack/{path}").status_code == 404


@pytest.mark.parametrize(("asked", "status", "body", "told"), [
    ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
    ("bytes=7-", 206, b"789", "bytes 7-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=10-", 416, b"", "bytes */10"),
    ("bytes=4-2", 200, b"0123456789", None),
    ("bytes=0-1,4-5", 200, b"0123456789", None),
    ("lines=1-2", 200, b"0123456789", None),
    ("bytes=-", 200, b"0123456789", None),
])  # fmt: skip
def test_a_range_of_a_file_is_given_and_one_beyond_its_end_refused(web, settings, asked, status, body, told):
    serve(settings.EIM_ARTIFACTS, "image", "aaaa", **{"debian.raw.gz": b"0123456789"})
    answer = web.get("/tink-stack/images/aaaa/debian.raw.gz", headers={"range": asked})
    given = b"".join(answer.streaming_content) if answer.streaming else b""
    assert (answer.status_code, given, answer.headers.get("Content-Range")) == (status, body, told)
    if status != 416:
        assert answer["Content-Length"] == str(len(body)) and answer["Accept-Ranges"] == "bytes"
    answer.close()


def test_a_download_goes_on_only_with_the_same_file(web, settings):
    serve(settings.EIM_ARTIFACTS, "image", "aaaa", **{"debian.raw.gz": b"0123456789"})
    path = "/tink-stack/images/aaaa/debian.raw.gz"
    etag = web.head(path)["ETag"]
    for known, status in ((etag, 206), ('"of-another"', 200)):
        answer = web.get(path, headers={"range": "bytes=5-", "if-range": known})
        assert answer.status_code == status
        answer.close()


def test_more_downloads_than_there_are_places_are_told_to_come_again(web, settings):
    serve(settings.EIM_ARTIFACTS, "image", "aaaa", **{"debian.raw.gz": b"0123456789"})
    path = "/tink-stack/images/aaaa/debian.raw.gz"
    under_way = [web.get(path) for _ in range(settings.EIM_DOWNLOADS)]
    refused = web.get(path)
    assert refused.status_code == 503 and refused["Retry-After"] == "5"
    assert web.head(path).status_code == 200 and web.get("/healthz").status_code == 200
    for answer in under_way:
        answer.close()
    answer = web.get(path)
    assert answer.status_code == 200
    answer.close()


def test_what_a_script_names_goes_together_whatever_is_built_meanwhile(web, settings):
    for digest in ("aaaa", "bbbb"):
        serve(settings.EIM_ARTIFACTS, "signed", digest, vmlinuz=digest.encode(), initramfs=b"", **{"eim.efi": b"efi"})
        if digest == "aaaa":
            script = web.get("/tink-stack/boot.ipxe", {"serial": "ABCDE1"}).content.decode()
    assert "kernel signed/aaaa/vmlinuz" in script and "chain signed/aaaa/eim.efi" in script
    assert b"".join(web.get("/tink-stack/signed/aaaa/vmlinuz").streaming_content) == b"aaaa"
    assert web.get("/tink-stack/signed/aaaa/facts.json").status_code == 404


def test_the_helper_of_a_lan_gets_its_configuration(web, tmp_path):
    answer = web.get("/tink-stack/dnsmasq.conf", {"subnet": "192.168.7.0/24"})
    assert b"dhcp-range=192.168.7.0,proxy,255.255.255.0\n" in answer.content
    assert b"dhcp-boot=tag:ipxe,http://10.0.2.2:8000/tink-stack/boot.ipxe,,192.168.7.0\n" in answer.content
    for wrong in ("", "192.168.7.1/24", "fe80::/64", "x\ny"):
        refused = web.get("/tink-stack/dnsmasq.conf", {"subnet": wrong})
        assert refused.status_code == 400 and b"?subnet=192.168.1.0/24" in refused.content


def test_the_authority_that_firmware_trusts_is_served(web, settings):
    assert web.get("/tink-stack/keys/Full_server.crt").content == settings.EIM_CA_FILE.read_bytes()
    settings.EIM_CA_FILE = settings.EIM_ARTIFACTS / "no.crt"
    assert web.get("/tink-stack/keys/Full_server.crt").status_code == 404

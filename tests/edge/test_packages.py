"""A mutable system's updates, by the real apt and dpkg, in a apt_root of their own."""

import json

import pytest

from edge.agent.failure import UpdateFailed
from edge.agent.memory import Job, Wanted
from provisioning.apt_repository import Repository
from wire import maintmgr_pb2 as mm


def asked(repository, *names, **more):
    return Job(Wanted(sources=[Repository.source(f"file:{repository.folder}")], packages=[*names], **more), began=1.0)


def test_a_package_is_installed_and_then_upgraded_and_told_of(packages, repository, apt_root):
    assert packages.install(asked(repository, "hello")) is False
    assert packages.installed() == {"hello": "1.0"}
    repository.publish("hello", "2.0")
    packages.refresh()
    assert json.loads(packages.available()) == [
        {"name": "hello", "available_version": "2.0", "architecture": "all"}
    ]
    job = asked(repository, "hello")
    assert packages.install(job) is False
    assert (apt_root / "usr/share/hello/version").read_text() == "2.0\n"
    [entry] = job.log
    del entry["update_time"]
    assert entry == {"update_type": "application", "package_name": "hello", "action": "upgrade",
                     "status": "installed", "version": "2.0", "failure_reason": "nofailure"}  # fmt: skip
    assert packages.available() == ""


def test_nothing_named_means_all_that_is_newer_and_new_kernels_want_a_reboot(packages, repository):
    packages.install(asked(repository, "hello"))
    repository.publish("hello", "2.0", depends="linux-image-tiny")
    repository.publish("linux-image-tiny", "6.1")
    job = asked(repository)
    assert packages.install(job) is True
    assert [(entry["package_name"], entry["action"], entry["update_type"]) for entry in job.log] == [
        ("hello", "upgrade", "os"), ("linux-image-tiny", "install", "os"),
    ]  # fmt: skip


def test_what_was_cut_off_is_told_of_whole_when_it_is_done_again(packages, repository):
    job = asked(repository, "hello")
    packages.install(job)
    job.log = []  # the power went before that was written down; before which package it went, was
    packages.install(job)
    assert [entry["package_name"] for entry in job.log] == ["hello"]


def test_the_sources_are_those_of_the_policy_and_stay_when_one_names_none(packages, repository, apt_root):
    folder = apt_root / "etc/apt/sources.list.d"
    packages.install(asked(repository, "hello"))
    job = asked(repository)
    job.wanted.sources = ["deb [trusted=yes] file:/nowhere ./\n", *job.wanted.sources]
    with pytest.raises(UpdateFailed, match="/nowhere") as failure:
        packages.install(job)
    assert failure.value.why == "download"
    assert sorted(file.name for file in folder.iterdir()) == ["edge-policy.list", "edge-policy.sources"]
    job = asked(repository, "hello")
    packages.install(job)
    job.wanted.sources = []
    packages.install(job)
    assert [file.name for file in folder.iterdir()] == ["edge-policy.sources"]


@pytest.mark.parametrize("name", ["-oDpkg::Pre-Invoke::=reboot", "hello;reboot", "../x.deb", "hello/stable"])
def test_what_isnt_the_name_of_a_package_never_reaches_apt(packages, repository, name):
    with pytest.raises(UpdateFailed, match="isn't the name of a package"):
        packages.install(asked(repository, name))
    assert packages.installed() == {}


def test_of_all_sources_only_the_policys_is_asked_unless_it_takes_the_others(packages, repository, apt_root, tmp_path):
    other = Repository(tmp_path / "other")
    other.publish("needed", "1.0")
    (apt_root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{other.folder} ./\n")
    packages.install(asked(repository, "hello"))
    lists = apt_root / "var/lib/apt/lists"
    assert not [*lists.glob("*other*")] and [*lists.glob("*repository*")]
    repository.publish("hello", "2.0", depends="needed")
    packages.install(asked(repository, "hello"))
    assert packages.installed() == {"hello": "2.0", "needed": "1.0"}


def test_a_package_that_nobody_has_fails_with_apts_words(packages, repository):
    with pytest.raises(UpdateFailed, match="Unable to locate package nobody-has-it"):
        packages.install(asked(repository, "nobody-has-it"))


def test_what_the_server_says_is_read_as_names_and_sources(packages):
    answer = mm.PlatformUpdateStatusResponse(
        update_source=mm.UpdateSource(custom_repos=["a"], kernel_command="quiet"), installed_packages=" a\nb=1.0, c\n"
    )
    assert packages.asked_for(answer) == Wanted("quiet", ["a"], ["a", "b=1.0", "c"])
    assert packages.asked_for(mm.PlatformUpdateStatusResponse()) == Wanted()

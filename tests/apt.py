"""A root of its own for the real apt and dpkg, and a repository that packages are published in."""

import os

import pytest

from edge.agent.memory import Memory
from edge.agent.packages import Packages
from provisioning.apt_repository import Repository

AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user")


@pytest.fixture
def apt_root(tmp_path):
    """An empty system for apt: `hello` is on it in its first version, by hand of dpkg's own files."""
    made = tmp_path / "root"
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/apt/lists/partial", "etc/apt/preferences.d",
                   "var/cache/apt/archives/partial", "etc/apt/apt.conf.d", "etc/apt/sources.list.d", "var/log/apt",
                   "usr/share", "tmp", "run"):  # fmt: skip
        (made / folder).mkdir(parents=True)
    (made / "var/lib/dpkg/status").touch()
    return made


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repository")
    made.publish("hello", "1.0")
    return made


@pytest.fixture
def packages(apt_root, tmp_path):
    options = [
        f"Dir={apt_root}", f"Dir::State::status={apt_root}/var/lib/dpkg/status", "APT::Architecture=amd64",
        "APT::Architectures::=amd64", f"DPkg::Options::=--root={apt_root}", "DPkg::Options::=--force-not-root",
        "APT::Sandbox::User=root", "DPkg::Options::=--log=/dev/null", f"Dir::Log={apt_root}/var/log/apt",
        "DPkg::Path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]  # fmt: skip
    flat = [word for option in options for word in ("-o", option)]
    return Packages(Memory(tmp_path / "agent.json"), apt_root, AS_ROOT, flat)

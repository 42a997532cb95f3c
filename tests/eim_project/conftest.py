"""Folders in which the embedded servers can live."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.services import SERVERS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """As root not below pytest's own folder, which is closed to the servers' user."""
    if os.geteuid() != 0:
        yield tmp_path_factory.mktemp("data")
        return
    Path("/var/lib/eim").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="/var/lib/eim", prefix="test-") as folder:
        yield Path(folder)


@pytest.fixture
def _no_other_servers(monkeypatch):
    for name in SERVERS:
        monkeypatch.delenv(name, raising=False)

"""What tests of provisioning share: a name service that knows names under .example, a stack for virtual machines."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from django.conf import settings

from provisioning import outward
from provisioning.dkam.store import Store
from tests.services import environment_without


@pytest.fixture(scope="session")
def environment():
    """For a stack of its own, started by a command; what is built for the first machine serves the others."""
    data = tempfile.mkdtemp(prefix="machines-", dir=settings.EIM_DATA.parent)
    take_over(Path(data, "artifacts"), "microos-packages", "image-packages")
    yield environment_without() | {"EIM_DATA": data}
    shutil.rmtree(data, ignore_errors=True)


def take_over(artifacts, *steps):
    """What is built in this checkout already: it lies under the digest of what went in, so what is old isn't used."""
    for step in steps:
        if before := Store(settings.DEFAULT_DATA / "artifacts").current(step):
            shutil.copytree(before, artifacts / step / before.name, copy_function=os.link)


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """name -> addresses; whatever else is under .example leads to a server far away."""
    known, real = {}, socket.getaddrinfo

    def look_up(name, port, *more, **options):
        if not str(name).endswith(".example"):
            return real(name, port, *more, **options)
        addresses = known.get(name, ["203.0.113.7"])
        return [entry for address in addresses for entry in real(address, port, *more, **options)]

    outward._looked_up.cache_clear()
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known

"""What tests of provisioning share: a name service that knows names under .example, a stack for virtual machines."""

import shutil
import socket
import tempfile

import pytest
from django.conf import settings

from provisioning import outward
from tests.services import environment_without


@pytest.fixture(scope="session")
def environment():
    """For a stack of its own, started by a command; what is built for the first machine serves the others."""
    data = tempfile.mkdtemp(prefix="machines-", dir=settings.EIM_DATA.parent)
    yield environment_without() | {"EIM_DATA": data}
    shutil.rmtree(data, ignore_errors=True)


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

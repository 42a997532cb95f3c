"""What all tests of provisioning share: a name service of their own, which knows names under .example."""

import socket

import pytest

from provisioning import outward


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

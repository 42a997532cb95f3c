"""Addresses that others name, of an image for one, lead outward: neither to whoever follows them nor to their link.

What listens there trusts whoever is there. EIM_IMAGE_NETWORKS lists what is allowed all the same. A name is looked up,
and each address that it has counts. It may have another a moment later: so whoever connects looks once more at whom it
has reached, this server here (opener), a machine's micro-OS in edge/link.py.
"""

import http.client
import ipaddress
import socket
import time
import urllib.request
from functools import lru_cache

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
KNOWN_FOR_SECONDS = 60  # what a name leads to: a thousand machines get the same image


class LeadsInward(Exception):
    """str() says where it leads, and what allows that."""


def check(host: str) -> None:
    """Raises LeadsInward. A name that isn't known here passes: it may be one of the machines' own network."""
    name = host.rstrip(".").lower()
    if literal := _address(name):
        _refuse(host, literal)
    elif name == "localhost" or name.endswith(".localhost"):
        _refuse(host, ipaddress.ip_address("127.0.0.1"))
    else:
        for address in _looked_up(name, int(time.monotonic() // KNOWN_FOR_SECONDS)):
            _refuse(host, address)


def opener() -> urllib.request.OpenerDirector:
    """For downloads by this server: also a redirect, and a name that has changed its mind, raise LeadsInward."""
    return urllib.request.build_opener(_Http, _Https)


def _refuse(host: str, address: Address) -> None:
    inward = "loopback" if address.is_loopback or address.is_unspecified else "link-local"
    if inward == "link-local" and not address.is_link_local:
        return
    if not any(address in network for network in settings.EIM_IMAGE_NETWORKS):
        raise LeadsInward(
            f"{host} is {f'{address}, ' if str(address) != host else ''}a {inward} address: name a server that "
            "machines reach (EIM_IMAGE_NETWORKS lists what is allowed all the same)"
        )


def _address(host: str) -> Address | None:
    """Also as clients read it that aren't strict: 127.1, 2130706433 and 0x7f.0.0.1 are all 127.0.0.1."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            numbers = [int(part, 16 if part[:2] == "0x" else 8 if part[:1] == "0" else 10) for part in host.split(".")]
        except ValueError:
            return None
        *high, low = numbers
        if len(numbers) > 4 or any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
            return None
        address = ipaddress.IPv4Address(sum(number << (8 * (3 - at)) for at, number in enumerate(high)) + low)
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


@lru_cache(maxsize=256)
def _looked_up(name: str, _minute: int) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple({address for *_, (text, *_) in found if (address := _address(str(text)))})


class _Checked:
    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if address := _address(str(self.sock.getpeername()[0])):  # type: ignore[attr-defined]
            _refuse(self.host, address)  # type: ignore[attr-defined]


class _Connection(_Checked, http.client.HTTPConnection):
    pass


class _SecureConnection(_Checked, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPConnection if _by_proxy(request) else _Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPSConnection if _by_proxy(request) else _SecureConnection, request)


def _by_proxy(request: urllib.request.Request) -> bool:
    """Then it is the proxy whom we reach, and the proxy who looks the name up."""
    return request.has_proxy() or getattr(request, "_tunnel_host", None) is not None

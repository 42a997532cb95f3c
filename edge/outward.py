"""Connections that lead away from this machine and its link, whose services trust whoever is here.

The server has looked at the image's address. But a name may have another by the time of the download, and a server may
send us on: what counts is whom the connection has reached.
"""

import http.client
import ipaddress
import ssl
import urllib.request

from edge.errors import ActionFailed


def handlers(trust: ssl.SSLContext | None) -> list[urllib.request.BaseHandler]:
    """For an opener; what leads inward raises ActionFailed. A proxy may be anywhere: it is who looks at the name."""
    return [_Http(), _Https(trust)]


class _Checked:
    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        reached = ipaddress.ip_address(self.sock.getpeername()[0].partition("%")[0])  # type: ignore[attr-defined]
        reached = getattr(reached, "ipv4_mapped", None) or reached
        if reached.is_loopback or reached.is_link_local:
            host = self.host  # type: ignore[attr-defined]
            raise ActionFailed(f"{host} is {reached}, this machine or its link: no image is taken from there")


class _Connection(_Checked, http.client.HTTPConnection):
    pass


class _SecureConnection(_Checked, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPConnection if request.has_proxy() else _Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, trust: ssl.SSLContext | None) -> None:
        super().__init__(context=trust)
        self.trust = trust

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        by_proxy = getattr(request, "_tunnel_host", None) is not None
        connection = http.client.HTTPSConnection if by_proxy else _SecureConnection
        return self.do_open(connection, request, context=self.trust)

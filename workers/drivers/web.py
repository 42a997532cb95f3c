"""HTTP to management controllers, none of which is trusted: what an endpoint of a tenant's choice costs us is bounded.

A call has a deadline as a whole, whoever drips; a body has a largest size; redirects aren't followed; nobody is called
but the endpoint itself, and that neither on our own machine nor on the link, unless the administrator allows it; TLS is
verified against the system's authorities, one pinned CA, or one pinned certificate. Connections are kept open.
"""

import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from workers.drivers.base import Fault, Unable

LONGEST_ANSWER = 2**20  # bytes, head and body
CONNECT = 5.0  # seconds
_call = threading.local()  # of the call that this thread makes: its deadline, and whether it is guarded


class Session(requests.Session):
    """Of one endpoint. Raises Fault, whose text says what was wrong, and none of the requests' own exceptions."""

    def __init__(
        self, endpoint: str, *, ca: str = "", fingerprint: str = "", guarded: bool = True, timeout: float | None = None
    ) -> None:
        super().__init__()
        self.endpoint, self.trust_env = endpoint, False
        self.timeout = timeout or settings.BMC_TIMEOUT
        self.headers = requests.structures.CaseInsensitiveDict({"Accept": "application/json", "User-Agent": "eim"})
        self.guarded = guarded  # whether our own machine may not be called
        self.mount(_origin(endpoint), _Adapter(ca, fingerprint))

    def get_adapter(self, url: str) -> HTTPAdapter:
        """Of the endpoint only: an answer that names another server would have it sent the credentials."""
        if _origin(url) != _origin(self.endpoint):
            raise Fault(f"{self.endpoint} sends us elsewhere, to {url[:200]}")
        return super().get_adapter(url)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        remaining, _call.guarded = self._begin(), self.guarded
        options["timeout"] = (min(CONNECT, remaining), remaining)
        options |= {"allow_redirects": False, "verify": None, "stream": True}
        try:
            answer = super().request(method, url, **options)
            if "Content-Encoding" in answer.headers:
                raise Fault(f"{self.endpoint} answers packed, which nobody asked for")  # a megabyte may hold gigabytes
            answer.content  # noqa: B018  reads it, while the deadline holds
        except requests.Timeout as slow:
            raise Fault(f"{self.endpoint} doesn't answer within {self.timeout:.0f} s") from slow
        except requests.exceptions.SSLError as wrong:
            raise Fault(f"{self.endpoint} can't be trusted: {_reason(wrong)}") from wrong
        except requests.RequestException as away:
            raise Fault(f"{self.endpoint} doesn't answer: {_reason(away)}") from away
        finally:
            _call.deadline = None
        return answer

    def _begin(self) -> float:
        """Seconds that are left of the talk, or of a call that is none's."""
        talk = getattr(_call, "talk", None)
        _call.deadline = min(time.monotonic() + self.timeout, talk or float("inf"))
        remaining = _call.deadline - time.monotonic()
        if remaining <= 0:
            raise Fault(f"{self.endpoint} doesn't answer within {self.timeout:.0f} s")
        return remaining


class talk:
    """Context manager: all calls of this thread within have this many seconds together."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        _call.talk = time.monotonic() + self.seconds

    def __exit__(self, *_error: object) -> None:
        _call.talk = None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower() + "/"


def _reason(problem: BaseException) -> str:
    """The innermost cause in its own words, without memory addresses and object names."""
    while inner := getattr(problem, "reason", None) or next(iter(a for a in problem.args if _is_fault(a)), None):
        if not _is_fault(inner):
            break
        problem = inner
    return re.sub(r"<[^>]*>:? ?|HTTPS?Connection\S*: ", "", str(problem))[:200]


def _is_fault(value: object) -> bool:
    return isinstance(value, BaseException)


# Whom we call --------------------------------------------------------------------------------------------------------


def refuse_our_own(host: str, addresses: Iterable[str]) -> None:
    """Raises Unable if one of these is on this machine or on the link: what is there trusts whoever is here."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        risky = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
        if risky and not any(address in network for network in settings.BMC_NETWORKS):
            where = host if host == text else f"{host} is {address}, which"
            raise Unable(
                f"{where} is no management controller's: an administrator can allow it by "
                f"EIM_BMC_NETWORKS"
            )


class _Bounded(io.RawIOBase):
    """An answer as it comes: no more of it than is allowed, and no later than is allowed."""

    def __init__(self, inner: Any, sock: Any) -> None:
        self._inner, self._sock, self._left = inner, sock, LONGEST_ANSWER
        self._deadline = getattr(_call, "deadline", None)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        read = self._inner.readinto(buffer)
        self._left -= read or 0
        if self._left < 0:
            raise Fault(f"an answer of over {LONGEST_ANSWER // 2**20} MB is not read")
        return read

    def close(self) -> None:
        self._inner.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        if not _call.guarded:
            return super()._new_conn()
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            found = []  # urllib3 says so better
        refuse_our_own(self.host, (str(address[0]) for *_, address in found))
        sock = super()._new_conn()
        try:
            refuse_our_own(self.host, [sock.getpeername()[0]])  # a name may lead elsewhere a moment later
        except Unable:
            sock.close()
            raise
        return sock


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def __init__(self, ca: str, fingerprint: str) -> None:
        self._ca, self._fingerprint = ca, fingerprint
        super().__init__(pool_connections=1, pool_maxsize=10)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        if self._fingerprint:
            options["assert_fingerprint"] = self._fingerprint
        context = _trusting(self._ca, bool(self._fingerprint))
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, ssl_context=context, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *_args: Any) -> None:
        """Our context says what is trusted; requests would add authorities to it."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        where, _ = super().build_connection_pool_key_attributes(request, True)
        return where, {"cert_reqs": "CERT_NONE" if self._fingerprint else "CERT_REQUIRED"}


# What is trusted -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _trusting(ca: str, only_fingerprint: bool) -> ssl.SSLContext:
    """Management controllers live long: whatever TLS they speak is better than what is read on the wire."""
    if only_fingerprint:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cadata=ca or None)
    return context


def authority(text: str) -> str:
    """A CA's certificate, as a config holds it, as PEM: PEM itself, or its base64 in one line, in which - and _ may

    stand for + and /, which configs can't have. Raises Unable.
    """
    plain = re.sub(r"-----[A-Z ]+-----|\s", "", text).translate(str.maketrans("-_", "+/"))
    try:
        der = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
    except ValueError as wrong:
        raise Unable(f"config.ca is no certificate: {wrong}") from wrong


"""The machine's clock, which must be about right before TLS can be: set by the server's where it is far off."""

import http.client
import ssl
import subprocess
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from edge.errors import EdgeError
from edge.link import HTTP_SECONDS, Server

OFF_BY_MOST_SECONDS = 60.0
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python doesn't name


def told_by(server: Server, now: float) -> float | None:
    """The time, in seconds since 1970, as the server tells it; None if this machine's is at most a minute off.

    It is believed because who tells it shows a certificate of our authority for the server's name. Only whether that
    is valid now can't be looked at yet: it must be at the time that is told, and that not before our authority began.
    So nobody but the server moves the clock, and not out of its certificate's life. Raises EdgeError.
    """
    told, certificate, authorities = _ask(server)
    if abs(told - now) <= OFF_BY_MOST_SECONDS:
        return None
    begins = max(_seconds(it["notBefore"]) for it in (certificate, *authorities))
    if not begins <= told <= _seconds(certificate["notAfter"]):
        raise EdgeError(
            f"this machine's clock says {in_words(now)}, the server's {in_words(told)}, and the server's certificate "
            f"is valid from {certificate['notBefore']} to {certificate['notAfter']}: set the server's clock right"
        )
    return told


def set_to(seconds: float) -> None:
    time.clock_settime(time.CLOCK_REALTIME, seconds)
    # The installed system starts with the clock of the board; a machine without one has nothing to set.
    subprocess.run(["hwclock", "-w", "-u"], check=False, capture_output=True)


def in_words(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _ask(server: Server) -> tuple[float, dict, list[dict]]:
    """The time that the server tells, its certificate, and our authorities."""
    trust = ssl.create_default_context(cafile=server.ca_file)
    trust.verify_flags |= NO_CHECK_TIME
    parts = urlsplit(server.url)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=HTTP_SECONDS, context=trust)
    try:
        connection.connect()
        certificate = connection.sock.getpeercert()
        connection.request("HEAD", "/healthz")
        date = connection.getresponse().getheader("Date", "")
    finally:
        connection.close()
    try:
        return parsedate_to_datetime(date).timestamp(), certificate, trust.get_ca_certs()
    except ValueError as wrong:
        raise EdgeError(f"{server.url} tells no time: {wrong}") from wrong


def _seconds(of_certificate: str) -> int:
    return ssl.cert_time_to_seconds(of_certificate)

"""Which authorities a machine trusts: it asks its server now and then, so that one can be exchanged for another.

The answer comes over TLS by an authority that is trusted already. By If-None-Match the server hears what this machine
trusts, and so knows when it no longer needs an old one.
"""

import asyncio
import hashlib
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from edge.link import HTTP_SECONDS, Server, Token

PATH = "/tink-stack/keys/Full_server.crt"
EVERY = timedelta(hours=1)


class Renewed(Exception):
    """Other authorities are trusted from now on: whoever is connected connects anew."""


async def renew(server: Server, token: Token) -> None:
    """Ask once; raises Renewed if others are trusted now. An answer that would lock us out isn't believed: OSError."""
    [(_, authorization)] = await token.metadata()
    if await asyncio.to_thread(_renew, server, authorization):
        raise Renewed


def _renew(server: Server, authorization: str) -> bool:
    """Whether others are trusted now."""
    file = Path(server.ca_file)
    known = hashlib.sha256(file.read_bytes()).hexdigest()
    pem = _ask(server, {"Authorization": authorization, "If-None-Match": f'"{known}"'})
    if pem is None:
        return False
    candidate = file.with_name(f".{file.name}.new")
    candidate.write_bytes(pem)
    candidate.chmod(0o644)
    _ask(replace(server, ca_file=str(candidate)), {})  # with these alone the server can be verified, too, or OSError
    with candidate.open("rb") as written:
        os.fsync(written.fileno())
    candidate.replace(file)
    return True


def _ask(server: Server, headers: dict[str, str]) -> bytes | None:
    """None if it is what we have."""
    asked = urllib.request.Request(urllib.parse.urljoin(server.url, PATH), headers=headers)  # noqa: S310  https
    try:
        with server.opener.open(asked, timeout=HTTP_SECONDS) as answer:
            return answer.read()
    except urllib.error.HTTPError as refusal:
        if refusal.code == 304:
            return None
        raise

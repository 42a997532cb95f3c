"""The way from an edge node to its server: TLS by a CA file, HTTP, a gRPC channel, and a token that is kept fresh."""

import asyncio
import base64
import json
import logging
import random
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grpc
import grpc.aio

from edge import outward
from edge.errors import TokenRefused

log = logging.getLogger(__name__)

TOKEN_PATH = "/realms/master/protocol/openid-connect/token"  # noqa: S105 - a path, where agents expect it
PEOPLES_CLIENT = "system-client"
RPC_SECONDS = 5.0  # the agents' own limit for one call
HTTP_SECONDS = 30.0
REFRESH_BEFORE_SECONDS = 600.0  # a token is renewed when less than this remains, or half its life if it lives shorter
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a machine has its own connection, also when a thousand share a process
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 5000),  # a restarted server is found again within this
)


def pauses(first: float, factor: float, longest: float) -> Iterator[float]:
    """Seconds to wait before each new try, without end, up to a tenth longer each time so that crowds spread."""
    pause = first
    while True:
        yield pause * random.uniform(1.0, 1.1)
        pause = min(pause * factor, longest)


def reason(fault: Exception) -> str:
    """A fault in one line; what gRPC prints by itself has six."""
    if isinstance(fault, grpc.aio.AioRpcError):
        return f"{fault.code().name}: {fault.details()}" if fault.details() else fault.code().name
    return str(fault)


def image_opener(environment: Mapping[str, str]) -> urllib.request.OpenerDirector:
    """The way to the image of an action, with the proxies and the CA that its inputs name."""
    host = f".{urllib.parse.urlsplit(environment['IMG_URL']).hostname}"
    domains = [name.strip().lstrip(".") for name in environment.get("NO_PROXY", "").split(",")]
    direct = any(name and host.endswith(f".{name}") for name in domains)
    proxies = {scheme: environment.get(f"{scheme.upper()}_PROXY", "") for scheme in ("http", "https")}
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({scheme: proxy for scheme, proxy in proxies.items() if proxy and not direct})
    ]
    authority = environment.get("TLS_CA_CERT")
    trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode()) if authority else None
    if environment.get("ALLOW_INWARD") == "false":
        handlers += outward.handlers(trust)
    elif trust:
        handlers.append(urllib.request.HTTPSHandler(context=trust))
    return urllib.request.build_opener(*handlers)


@dataclass(frozen=True)
class Server:
    """Where the server is, and the file with the CA that vouches for it."""

    url: str
    ca_file: str
    grpc_authority: str = ""

    @cached_property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    @cached_property
    def opener(self) -> urllib.request.OpenerDirector:
        # Agents dial their server directly, whatever proxy the environment names.
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.trust)
        )

    @cached_property
    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(Path(self.ca_file).read_bytes())

    async def fetch(self, path: str, *, query: dict[str, str] | None = None, form: dict[str, str] | None = None) -> str:
        """The body of a GET, or of a POST when there is a form."""
        url = urllib.parse.urljoin(self.url, path)
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = urllib.parse.urlencode(form).encode() if form else None
        return await asyncio.to_thread(self._fetch, url, data)

    def _fetch(self, url: str, data: bytes | None) -> str:
        with self.opener.open(url, data, timeout=HTTP_SECONDS) as answer:
            return answer.read().decode()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        channel = grpc.aio.secure_channel(self.grpc_authority, self.credentials, options=CHANNEL_OPTIONS)
        try:
            yield channel
        finally:
            await channel.close()


class Token:
    """This machine's access token, fetched when first needed and renewed before it ends."""

    def __init__(self, server: Server, client_id: str, client_secret: str, token: str = "") -> None:
        """token: one that it has been given beforehand, and uses as if it had just been fetched."""
        self.server, self.who = server, client_id
        self.form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._renew_at = time.monotonic() + 3600 - REFRESH_BEFORE_SECONDS if token else 0.0
        self._one_at_a_time = asyncio.Lock()

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with each gRPC call."""
        async with self._one_at_a_time:
            if time.monotonic() >= self._renew_at:
                await self._fetch()
        return self._metadata

    def forget(self) -> None:
        """The server didn't accept it: fetch a new one before the next call."""
        self._renew_at = 0.0

    async def _fetch(self) -> None:
        try:
            answer = json.loads(await self.server.fetch(TOKEN_PATH, form=self.form))
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                raise TokenRefused(f"the token service refused {self.who}: {refusal}") from refusal
            raise
        life = float(answer.get("expires_in", 3600))
        self._metadata = (("authorization", f"Bearer {answer['access_token']}"),)
        self._renew_at = time.monotonic() + max(life - REFRESH_BEFORE_SECONDS, life / 2)


class PersonalToken(Token):
    """The token of somebody who logged in on the machine's console, with which it works until it is installed."""

    def __init__(self, server: Server, username: str, password: str, project: str = "") -> None:
        """project: its UUID, needed from who onboards machines of several projects."""
        super().__init__(server, PEOPLES_CLIENT, "")
        self.who, self.project = username, project
        self.form = {
            "grant_type": "password", "client_id": PEOPLES_CLIENT, "scope": "openid",
            "username": username, "password": password,
        }  # fmt: skip

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        named = (("activeprojectid", self.project),) if self.project else ()
        return (*await super().metadata(), *named)

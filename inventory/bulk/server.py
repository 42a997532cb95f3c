"""A project's REST API on a server somewhere: one with our routes, ours or the archived system's.

It waits when it is told to (Retry-After), and gets a new token when the old one is refused.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter

TIMEOUT = (5, 60)  # seconds, to be connected and to be answered
PATIENCE = 300  # seconds that one request waits for a server that is busy or away, all tries together
LONGEST_PAUSE = 30  # seconds between two tries, unless the server names its own
SOON = 30  # seconds before its end at which a token is renewed
PAGE = 100  # the most that the archived server gives at once
REALM = "realms/master/protocol/openid-connect/token"


class ServerError(Exception):
    """The server can't be used; str() is the sentence that the operator reads."""


class Refusal(Exception):
    """The server refused one request; str() is its sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class FixedToken:
    """A token from the environment, or from a file that somebody else keeps fresh."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def token(self) -> str:
        if self._file is None:
            return os.environ["EDGEORCH_TOKEN"].strip()
        try:
            return self._file.read_text().strip()
        except (OSError, UnicodeDecodeError) as unreadable:
            raise ServerError(f"Failed to authenticate with server: {self._file}: {unreadable}") from unreadable

    def renewed(self, old: str) -> str:
        """Another one than that, which was refused. Raises ServerError if there is none."""
        if (token := self.token()) == old:
            raise ServerError(
                "Failed to authenticate with server: it refuses the token; get a new one, and run it again"
            )
        return token


class Login:
    """Tokens for a user and a password, as the archived command line gets them from Keycloak, renewed in time."""

    def __init__(self, issuer: str, user: str, password: str) -> None:
        self._url = f"{issuer.rstrip('/')}/{REALM}"
        self._credentials = {"grant_type": "password", "username": user, "password": password, "scope": "openid"}
        self._token = self._refresh_token = ""
        self._ends = 0.0  # by time.monotonic()
        self._lock = threading.Lock()

    def token(self) -> str:
        with self._lock:
            if time.monotonic() > self._ends - SOON:
                self._sign_in()
            return self._token

    def renewed(self, old: str) -> str:
        with self._lock:
            if self._token == old:
                self._refresh_token = ""  # its session may have been ended
                self._sign_in()
            return self._token

    def _sign_in(self) -> None:
        forms = [{"grant_type": "refresh_token", "refresh_token": self._refresh_token}] if self._refresh_token else []
        for form in [*forms, self._credentials]:
            try:
                answer = requests.post(
                    self._url, {"client_id": "system-client", **form}, timeout=TIMEOUT, allow_redirects=False
                )
                said = answer.json()
            except ValueError as wrong:
                raise ServerError(f"Failed to authenticate with server: {self._url} answers no JSON") from wrong
            except requests.RequestException as away:
                raise ServerError(f"Failed to authenticate with server: {_why(away, self._url)}") from away
            if answer.status_code == 200 and isinstance(said, dict) and isinstance(said.get("access_token"), str):
                self._token, self._refresh_token = said["access_token"], said.get("refresh_token", "")
                self._ends = time.monotonic() + float(said.get("expires_in", 60))
                return
        why = said.get("error_description") or said.get("error") if isinstance(said, dict) else answer.status_code
        raise ServerError(f"Failed to authenticate with server: {why}")


class Server:
    """Safe to be used by several threads at once. Raises Refusal for what one request got, ServerError for the rest."""

    def __init__(self, url: str, project: str, login: FixedToken | Login, connections: int) -> None:
        self._base = f"{url.rstrip('/')}/v1/projects/{quote(project, safe='')}"
        self._login = login
        self._session = requests.Session()
        self._session.auth = lambda request: request  # or a .netrc would replace our token
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self._not_before = 0.0  # by time.monotonic(): the server asked all of us to wait
        self._answered = False  # ever: who never did may have been given a wrong URL, which no patience mends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._session.close()

    def get(self, path: str, **query: Any) -> dict:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict) -> dict:
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: dict) -> dict:
        return self._ask("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def find(self, path: str, collection: str, condition: str) -> Iterator[dict]:
        """All for which the filter is true."""
        for page in self.pages(path, collection, condition):
            yield from page

    def pages(self, path: str, collection: str, condition: str = "") -> Iterator[list[dict]]:
        """The same, page by page; without a condition, all there are."""
        wanted = {"filter": condition} if condition else {}
        offset, has_next = 0, True
        while has_next:
            page = self.get(path, **wanted, pageSize=PAGE, offset=offset)
            rows = page.get(collection)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ServerError(f"HTTP request error: GET {path} answers no {collection}; is this the right server?")
            yield rows
            offset, has_next = offset + len(rows), bool(page.get("hasNext")) and bool(rows)

    def _ask(self, method: str, path: str, **content: Any) -> dict:
        gives_up, tries, token = time.monotonic() + PATIENCE, 0, self._login.token()
        renewed = False
        while True:
            self._wait()
            try:
                answer = self._session.request(
                    method, f"{self._base}/{path}".rstrip("/"), headers={"Authorization": f"Bearer {token}"},
                    timeout=TIMEOUT, allow_redirects=False, **content,
                )  # fmt: skip
            except requests.RequestException as away:
                if not self._answered:
                    raise ServerError(f"HTTP request error: {_why(away, self._base)}") from away
                # Whether a POST was heard nobody knows; made twice it might be refused, or make two of a thing.
                if method == "POST" and not isinstance(away, requests.ConnectTimeout):
                    raise Refusal(0, "", f"HTTP request error: {_why(away, self._base)}") from away
                pause, why = None, f"HTTP request error: {_why(away, self._base)}"
            else:
                self._answered = True
                if answer.status_code == 401 and not renewed:
                    token, renewed = self._login.renewed(token), True
                    continue
                if answer.status_code not in ((429, 503) if method == "POST" else (429, 502, 503, 504)):
                    return _understood(method, path, answer)
                pause, why = _retry_after(answer), f"HTTP request error: {method} {path}: the server is too busy"
            tries += 1
            pause = min(2**tries / 2, LONGEST_PAUSE) if pause is None else pause
            if time.monotonic() + pause > gives_up:
                raise ServerError(why)
            self._not_before = max(self._not_before, time.monotonic() + pause)

    def _wait(self) -> None:
        while (pause := self._not_before - time.monotonic()) > 0:
            time.sleep(pause)


def _understood(method: str, path: str, answer: requests.Response) -> dict:
    try:
        said = answer.json() if answer.content else {}
    except ValueError:
        said = None
    if answer.status_code < 300 and isinstance(said, dict):
        return said
    said = said if isinstance(said, dict) else {}
    message = str(said.get("message") or f"HTTP request error: {method} {path} is answered {answer.status_code}")
    if answer.status_code in (401, 403):
        raise ServerError(f"Failed to authenticate with server: {message}")
    raise Refusal(answer.status_code, str(said.get("code", "")), message)


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds; None if the server doesn't say."""
    said = answer.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    with suppress(TypeError, ValueError):
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    return None


def _why(away: requests.RequestException, url: str) -> str:
    """In a line: urllib3's reasons are nested and long."""
    reason = getattr(away.args[0] if away.args else away, "reason", away)
    why = f"{type(reason).__name__}: {str(reason).rsplit(': ', 1)[-1]}"[:200]
    way_out = ""
    if "CERTIFICATE_VERIFY_FAILED" in str(reason):
        way_out = "; if its authority is one of your own, name that one's file in REQUESTS_CA_BUNDLE"
    return f"{urlsplit(url).netloc}: {why}{way_out}"


def checked(url: str) -> str:
    """The URL, if a token may be sent there. Raises ServerError."""
    parts = urlsplit(url)
    try:
        is_whole = bool(parts.hostname) and (parts.port or True) and not (parts.query or parts.fragment)
    except ValueError:
        is_whole = False
    if parts.scheme not in ("https", "http") or not is_whole:
        raise ServerError(f"Malformed server URL: {url} should be like https://api.example.org")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ServerError(f"Malformed server URL: {url} would send the token unencrypted; it must begin with https://")
    return url


def issuer_of(url: str) -> str:
    """Who gives tokens for it: beside api.example.org the archived system has keycloak.example.org."""
    parts = urlsplit(url)
    host = parts.netloc
    if host.startswith("api."):
        host = f"keycloak.{host.removeprefix('api.')}"
    return f"{parts.scheme}://{host}"

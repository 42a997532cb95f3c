"""Pulling OS profiles, package manifests and lists of CVEs: from an OCI registry (the distribution protocol, version 2)

and from file servers. None is trusted: sizes, times and digests are checked, and nobody sends us to our own machine.
"""

import bz2
import hashlib
import io
import ipaddress
import json
import re
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse
from django.conf import settings

LARGEST = 32 * 2**20  # bytes of one answer
LARGEST_UNPACKED = 512 * 2**20  # bytes of an OVAL document
SECONDS = 120  # of one answer as a whole
HOPS = 5
MOST_CVES = 1000
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
TITLE = "org.opencontainers.image.title"
PRIORITIES = ("critical", "high", "medium", "low", "negligible")


class Unfit(Exception):
    """What can't be had, or isn't what it should be. str() is shown to the operator."""


class Absent(Unfit):
    """It isn't there, says its server."""


def fetch(url: str, headers: dict[str, str] | None = None) -> requests.Response:
    """What is there, read whole. Redirects are followed, without what authorizes us. Raises Unfit."""
    ends = time.monotonic() + SECONDS
    for _ in range(HOPS):
        _check_address(url)
        try:
            with requests.get(url, headers=headers, timeout=(10, 60), allow_redirects=False, stream=True) as answer:
                if answer.is_redirect:
                    url, headers = urljoin(url, answer.headers["location"]), {}
                    continue
                answer._content = _read(answer, ends, url)
                return answer
        except requests.RequestException as away:
            raise Unfit(f"{url} can't be had: {away}") from away
    raise Unfit(f"{url}: more than {HOPS} redirects")


def get(url: str, headers: dict[str, str] | None = None) -> bytes:
    """The same, if all is well. Raises Unfit."""
    return _body(fetch(url, headers))


def file_name(url: str) -> str:
    """The last part of the path, as a file's name that is one everywhere."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(urlsplit(url).path).rpartition("/")[2]).lstrip("._-")
    return name or "file"


def from_folder(url: str) -> bytes:
    """What get() would give where there is no network: an operator has put it into EIM_AIRGAP. Raises Unfit."""
    file = settings.EIM_AIRGAP / file_name(url)
    try:
        with file.open("rb") as open_file:
            body = open_file.read(LARGEST + 1)
    except OSError as away:
        raise Unfit(f"{settings.EIM_AIRGAP} (EIM_AIRGAP) has no {file.name}: put it there") from away
    if len(body) > LARGEST:
        raise Unfit(f"{file} is larger than {LARGEST} bytes")
    return body


def _body(answer: requests.Response) -> bytes:
    if answer.status_code == 404:
        raise Absent(f"{answer.url} isn't there (404)")
    if answer.status_code != 200:
        raise Unfit(f"{answer.url} answers {answer.status_code}")
    return answer.content


def _read(answer: requests.Response, ends: float, url: str) -> bytes:
    body = io.BytesIO()
    for chunk in answer.iter_content(2**16):
        body.write(chunk)
        if body.tell() > LARGEST:
            raise Unfit(f"{url} is larger than {LARGEST} bytes")
        if time.monotonic() > ends:
            raise Unfit(f"{url} takes longer than {SECONDS} s")
    return body.getvalue()


def _check_address(url: str) -> None:
    """Raises Unfit if it is no address on the web, or leads to our own machine or link, unless the administrator

    allows that (EIM_OS_PROFILES_LOCAL).
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unfit(f"{url} is no http:// or https:// address")
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (ValueError, OSError) as wrong:
        raise Unfit(f"{url} can't be had: {wrong}") from wrong
    for *_, (ip, *_) in found:
        address = ipaddress.ip_address(str(ip).partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        on_the_link = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
        if on_the_link and not settings.EIM_OS_PROFILES_LOCAL:
            raise Unfit(f"{url} leads to {address}, this machine or its link (EIM_OS_PROFILES_LOCAL=on allows it)")


def as_json(body: bytes, what: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise Unfit(f"{what} is no JSON: {wrong}") from wrong


@dataclass
class Repository:
    """One of a registry. credentials: "user:password", or none."""

    registry: str  # http://host:port
    name: str
    credentials: str = ""
    _token: str = ""

    def tags(self) -> list[str]:
        """All of them. Raises Unfit, Absent if there is no such repository."""
        url, found = f"{self.registry}/v2/{self.name}/tags/list?n=1000", list[str]()
        for _ in range(100):  # pages
            answer = self._ask(url)
            told = as_json(_body(answer), url)
            names = told.get("tags") if isinstance(told, dict) else None
            found += [name for name in names or [] if isinstance(name, str)]
            following = requests.utils.parse_header_links(answer.headers.get("link", ""))
            following = next((link["url"] for link in following if link.get("rel") == "next"), "")
            if not following:
                return found
            url = urljoin(url, following)
            if urlsplit(url).netloc != urlsplit(self.registry).netloc:
                break
        raise Unfit(f"{url}: the list of tags has no end")

    def first_layer(self, tag: str) -> bytes:
        """The file that an artifact holds. Raises Unfit."""
        where = f"{self.registry}/v2/{self.name}"
        manifest = self._manifest(f"{where}/manifests/{tag}")
        if isinstance(manifest.get("manifests"), list) and manifest["manifests"]:  # an index of several
            manifest = self._manifest(f"{where}/manifests/{self._digest(manifest['manifests'][0], where)}")
        layers = manifest.get("layers")
        if not isinstance(layers, list) or not layers or not isinstance(layers[0], dict):
            raise Unfit(f"{where}:{tag} has no layers")
        layer = layers[0]
        if not (layer.get("annotations") or {}).get(TITLE):
            raise Unfit(f"{where}:{tag}: the first layer has no {TITLE}")
        digest = self._digest(layer, f"{where}:{tag}")
        return _checked(_body(self._ask(f"{where}/blobs/{digest}")), digest, f"{where}:{tag}")

    def _manifest(self, url: str) -> dict[str, Any]:
        answer = self._ask(url, MANIFESTS)
        body = _body(answer)
        said = url.rpartition("/")[2] if "/sha256:" in url else answer.headers.get("docker-content-digest", "")
        manifest = as_json(_checked(body, said, url) if said else body, url)
        if not isinstance(manifest, dict):
            raise Unfit(f"{url} is no manifest")
        return manifest

    def _digest(self, descriptor: Any, what: str) -> str:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not re.fullmatch("sha256:[0-9a-f]{64}", digest):
            raise Unfit(f"{what}: {digest!r} is no sha256 digest")
        return digest

    def _ask(self, url: str, accept: str = "*/*") -> requests.Response:
        """With a token, once the registry has said where there is one."""
        answer = fetch(url, self._headers(accept))
        if answer.status_code == 401 and not self._token:
            self._token = self._token_from(answer.headers.get("www-authenticate", ""))
            answer = fetch(url, self._headers(accept))
        return answer

    def _headers(self, accept: str) -> dict[str, str]:
        if self._token:
            return {"Accept": accept, "Authorization": f"Bearer {self._token}"}
        return {"Accept": accept, **self._basic()}

    def _basic(self) -> dict[str, str]:
        return {"Authorization": f"Basic {b64encode(self.credentials.encode()).decode()}"} if self.credentials else {}

    def _token_from(self, challenge: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme.lower() != "bearer" or "realm" not in said:
            raise Unfit(f"{self.registry} refuses us (401): EIM_OS_REGISTRY_CREDENTIALS, as user:password, may help")
        asked = requests.Request("GET", said["realm"], params={
            "service": said.get("service", ""), "scope": said.get("scope", f"repository:{self.name}:pull"),
        }).prepare().url  # fmt: skip
        told = as_json(get(str(asked), self._basic()), said["realm"])
        token = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
        if not isinstance(token, str) or not token.isascii():
            raise Unfit(f"{said['realm']} gives no token")
        return token


def _checked(body: bytes, digest: str, what: str) -> bytes:
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if digest.startswith("sha256:") and digest != found:
        raise Unfit(f"{what}: its digest is {found}, not {digest}")
    return body


def tags_wanted(tags: list[str], revision: str) -> list[str]:
    """`~1.2.3`: all of 1.2 from 1.2.3 on, the oldest first. Anything else is one tag."""
    if not revision.startswith("~"):
        return [revision]
    major, minor, patch = _numbers(revision[1:])
    wanted = [tag for tag in tags if _numbers(tag)[:2] == (major, minor) and _numbers(tag)[2] >= patch]
    return sorted(wanted, key=_numbers)


def _numbers(tag: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", tag)
    return tuple(map(int, found.groups())) if found else (0, 0, 0)  # type: ignore[return-value]


# What is published beside an image ----------------------------------------------------------------------------------


def packages(body: bytes, what: str) -> str:
    """A manifest of an immutable image: {"repo": [{"name", "version"}, ...]}, as compact JSON. Raises Unfit."""
    told = as_json(body, what)
    repo = told.get("repo") if isinstance(told, dict) else None
    if not isinstance(repo, list) or not repo:
        raise Unfit(f'{what} is no package manifest: {{"repo": [{{"name", "version"}}]}}')
    if not all(isinstance(one, dict) and one.get("name") and one.get("version") for one in repo):
        raise Unfit(f"{what}: a package has no name or no version")
    return compact(told)


def cves(body: bytes, what: str) -> str:
    """Of an immutable image: [{"cve_id", "priority", "affected_packages"}, ...], as compact JSON. Raises Unfit."""
    told = as_json(body, what)
    if not isinstance(told, list) or not all(
        isinstance(one, dict) and one.get("cve_id") and one.get("priority") for one in told
    ):
        raise Unfit(f'{what} is no list of {{"cve_id", "priority", "affected_packages"}}')
    return compact(told)


def cves_of_oval(body: bytes, what: str, *, fixed: bool) -> str:
    """Of a mutable system: the same, from an OVAL document packed by bzip2. fixed: those with a notice (USN) that says

    how; otherwise those without. The first thousand. Raises Unfit.
    """
    found: list[dict[str, Any]] = []
    try:
        for definition in _definitions(io.BufferedReader(_Unpacked(body, what))):
            if len(found) < MOST_CVES and (entry := _entry(definition, fixed)):
                found.append(entry)
    except (OSError, EOFError, ValueError, ParseError, DefusedXmlException) as wrong:
        raise Unfit(f"{what} is no OVAL document packed by bzip2: {wrong}") from wrong
    return compact(found)


def compact(told: Any) -> str:
    """No longer than a column may be: of a list that is too long, the first."""
    text = json.dumps(told, separators=(",", ":"))
    if len(text) > 500_000 and isinstance(told, list):
        return compact(told[: len(told) * 2 // 3])
    if len(text) > 500_000:
        raise Unfit(f"{len(text)} letters of packages, 500000 are the most")
    return text


class _Unpacked(io.RawIOBase):
    """A small file can hold more than we have room for."""

    def __init__(self, packed: bytes, what: str) -> None:
        self._file, self._left, self._what = bz2.BZ2File(io.BytesIO(packed)), LARGEST_UNPACKED, what

    def readable(self) -> bool:
        return True

    def readinto(self, into) -> int:
        chunk = self._file.read(len(into))
        self._left -= len(chunk)
        if self._left < 0:
            raise Unfit(f"{self._what} unpacks to more than {LARGEST_UNPACKED} bytes")
        into[: len(chunk)] = chunk
        return len(chunk)


def _definitions(file: io.BufferedReader) -> Iterator[Any]:
    for _, element in iterparse(file, events=("end",)):
        kind = element.tag.rpartition("}")[2]
        if kind == "definition":
            yield element
        if kind in ("definition", "criteria", "tests", "objects", "states", "variables"):
            element.clear()


def _entry(definition: Any, fixed: bool) -> dict[str, Any] | None:
    texts: dict[str, str] = {}
    sources: dict[str, str] = {}
    for element in definition.iter():
        kind = element.tag.rpartition("}")[2]
        if kind in ("title", "description"):
            texts.setdefault(kind, element.text or "")
        if kind == "reference":
            sources.setdefault(element.get("source", "").upper(), element.get("ref_id", ""))
    if not sources.get("CVE") or ("USN" in sources) != fixed:
        return None
    title = texts.get("title", "").lower()
    lines = (line.strip() for line in texts.get("description", "").splitlines())
    return {
        "cve_id": sources["CVE"],
        "priority": next((priority for priority in PRIORITIES if priority in title), "unknown"),
        "affected_packages": [line.split(" - ")[0].split()[0] for line in lines if re.match(r"\S+ - ", line)],
    }

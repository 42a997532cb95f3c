"""What a booting machine asks for over HTTP: a script that decides what it boots, the micro-OS, media, keys, images.

What is decided or rendered is answered here always. Files are sent by nginx in the shipped deployment
(docker/nginx.conf), and here in the embedded stack.
"""

import hashlib
import ipaddress
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotFound,
    HttpResponseNotModified,
)
from django.urls import path, register_converter
from django.views.decorators.http import condition, require_safe

from provisioning import artifacts, mirror, pxe, workflow
from provisioning.dkam import build, microos, slots
from provisioning.dkam.store import Store
from provisioning.errors import CannotInstall
from provisioning.infra import authorities
from tenants import credentials
from tenants.errors import BadToken, challenge
from tenants.permissions import bearer_of
from tenants.tokens import Caller, Kind

# Whoever hasn't said who it is, as at a fixed boot URL from DHCP, is sent here again with its name. No colon may be in
# the relative URL: iPXE would take what is before it for a scheme.
ASK_AGAIN = "chain --replace boot.ipxe?mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring} ||"
OWN_DISK = """#!ipxe
# This machine is installed. Leaving iPXE hands over to the next device in the firmware's order, its disk.
exit
"""
# With a version in the path: kernel and initramfs of two builds must not meet. UEFI firmware checks the signature of
# eim.efi, and with it all that is in it; a BIOS checks nothing.
MICRO_OS = """#!ipxe
{ask_again}
iseq ${{platform}} efi && goto efi ||
kernel {folder}/vmlinuz initrd=initramfs {arguments} || goto again
initrd {folder}/initramfs || goto again
boot || goto again
:efi
chain {folder}/eim.efi {arguments} || goto again
:again
echo The micro-OS can't be fetched, trying again in 5 s: are the artifacts built (manage.py build_artifacts)?
imgfree
sleep 5
chain --replace boot.ipxe?mac=${{mac:hexhyp}}&uuid=${{uuid}}&serial=${{serial:uristring}} || goto again
"""
# What is asked for -> the step that makes it, and the file's name there. The first three and keys/db.der are what the
# archived system's machines have in their firmware and scripts.
FILES = {
    "vmlinuz-x86_64": ("signed", "vmlinuz"),
    "initramfs-x86_64": ("signed", "initramfs"),
    "signed_ipxe.efi": ("ipxe", "signed_ipxe.efi"),
    "eim.efi": ("signed", "eim.efi"),
    **{name: ("ipxe", name) for name in ("ipxe.efi", "snponly.efi", "undionly.kpxe")},
    **{name: ("media", name) for name in ("eim.iso", "secure-boot-enroll.iso")},
    **{name: ("signed", name) for name in build.KEYS},
}
VERSIONED = {"signed": ("vmlinuz", "initramfs", "eim.efi"), "slots": (slots.NAME,)}
RETRY_AFTER_SECONDS = 5
PIECE_BYTES = 2**18  # of a file that is read at once, where the kernel doesn't send it by itself
SEND_WITHIN_SECONDS = 60  # a piece; who takes nothing for so long is gone


@require_safe
def boot_script(request: HttpRequest) -> HttpResponse:
    """What this machine boots is decided by our state at this moment, whatever it booted before."""
    uuid, serial = request.GET.get("uuid", ""), request.GET.get("serial", "")
    if workflow.boots_from_disk(uuid, serial):
        return _plain(OWN_DISK)
    current = artifacts.store().current("signed")
    script = MICRO_OS.format(
        ask_again="" if uuid or serial else ASK_AGAIN,
        folder=f"signed/{current.name if current else 'not-built'}",
        arguments=" ".join(["worker_id=${mac}", *artifacts.server_arguments(), *microos.CONSOLES]),
    )
    return _plain(script)


@require_safe
def helper_configuration(request: HttpRequest) -> HttpResponse:
    """dnsmasq.conf for a machine on a site's LAN: ?subnet=192.168.1.0/24, of that LAN."""
    try:
        subnet = ipaddress.IPv4Network(request.GET.get("subnet", ""))
    except ValueError as wrong:
        return HttpResponseBadRequest(f"subnet: {wrong}; it is the LAN's, like ?subnet=192.168.1.0/24\n", "text/plain")
    return _plain(pxe.configuration(subnet, artifacts.boot_url()))


@require_safe
def boot_ca(request: HttpRequest) -> HttpResponse:
    """The authorities to trust: for firmware that boots over HTTPS, and for machines that are installed.

    Those ask again and again, with the token of their agents; by If-None-Match they say what they trust by now.
    """
    try:
        pem = authorities().encode()
    except CannotInstall as why:
        return HttpResponseNotFound(f"{why}\n", "text/plain")
    digest = hashlib.sha256(pem).hexdigest()
    headers = {"ETag": f'"{digest}"', "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") != headers["ETag"]:
        return HttpResponse(pem, content_type="application/x-pem-file", headers=headers)
    try:
        caller = bearer_of(request)
    except BadToken as wrong:
        said = challenge("invalid_token", str(wrong))
        return HttpResponse(f"{wrong}\n", "text/plain", 401, headers={"WWW-Authenticate": said})
    if isinstance(caller, Caller) and caller.kind is Kind.NODE:
        credentials.trusts(caller.client_id, digest)
    return HttpResponseNotModified(headers=headers)


def _plain(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain", headers={"Cache-Control": "no-store"})


# Files ---------------------------------------------------------------------------------------------------------------


class NotHere(Exception):
    """What was asked for isn't there; str() says how it gets there."""


def _file(step: str = "", name: str = "", digest: str = "") -> Path:
    """A part of the current version of a step; of one version; else what somebody put into images/ as a file."""
    store = artifacts.store()
    if step:
        file = (store.folder(step, digest) if digest else store.current(step) or store.folder(step, "not-built")) / name
    else:
        file = settings.EIM_ARTIFACTS / "images" / name
    hidden = (digest and name not in VERSIONED.get(step, (name,))) or name.endswith(mirror.PARTIAL)
    if hidden or not file.is_file():
        raise NotHere(f"{name} isn't here: run manage.py build_artifacts, or put one of your own into {file.parent}\n")
    return file


def _etag(request: HttpRequest, **which: str) -> str | None:
    try:
        file = _file(**which)
    except NotHere:
        return None
    try:
        return f'"{Store.facts(_version_of(file, which["name"]), which["name"])["sha256"]}"'
    except (FileNotFoundError, KeyError):  # not of DKAM's making
        return f'"{file.stat().st_size:x}-{file.stat().st_mtime_ns:x}"'


def _version_of(file: Path, name: str) -> Path:
    return file.parents[name.count("/")]


@require_safe
@condition(etag_func=_etag)
def download(request: HttpRequest, **which: str) -> HttpResponse | FileResponse:
    """A file or a range of it. At most EIM_DOWNLOADS at once, so that the API's requests find threads, too."""
    try:
        file = _file(**which).open("rb")
    except NotHere as missing:
        return HttpResponseNotFound(str(missing), content_type="text/plain")
    size = Path(file.name).stat().st_size
    headers = {"Accept-Ranges": "bytes"}
    if "digest" in which:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        headers["Cache-Control"] = "no-cache"  # asked again, with the ETag
    try:
        part = _range(request, size, _etag(request, **which))
    except BeyondTheEnd:
        file.close()
        headers["Content-Range"] = f"bytes */{size}"
        return HttpResponse(f"The file has {size} bytes\n", "text/plain", 416, headers=headers)
    if request.method == "HEAD":
        file.close()
        return HttpResponse(headers=headers | {"Content-Length": str(size)}, content_type="application/octet-stream")
    if not _places.acquire(blocking=False):
        file.close()
        return HttpResponse(
            f"{settings.EIM_DOWNLOADS} downloads run already: try again in {RETRY_AFTER_SECONDS} s\n",
            "text/plain", 503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )  # fmt: skip
    _give_up_on_who_is_gone(request)
    wanted = range(size) if part is None else part
    headers["Content-Length"] = str(len(wanted))
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    response = FileResponse(
        Part(file, wanted),
        status=200 if part is None else 206,
        content_type="application/octet-stream",
        headers=headers,
    )
    response.block_size = PIECE_BYTES
    return response


class BeyondTheEnd(Exception):
    """There are no such bytes."""


def _range(request: HttpRequest, size: int, etag: str | None) -> range | None:
    """The bytes that are wanted; None for all of them, also if the range isn't one, or is of another file."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", "").strip())
    if not found or found[0] == "bytes=-" or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        wanted = range(int(first), min(int(last or size), size - 1) + 1)
    else:
        wanted = range(max(0, size - int(last)), size)
    if not wanted:
        raise BeyondTheEnd
    return wanted


_places = threading.BoundedSemaphore(settings.EIM_DOWNLOADS)


class Part:
    """A part of an open file, read like a file; gunicorn lets the kernel send it. Holds one of the places."""

    def __init__(self, file: IO[bytes], wanted: range) -> None:
        self._file, self._left, self.closed = file, len(wanted), False
        file.seek(wanted.start)

    def fileno(self) -> int:
        return self._file.fileno()

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(PIECE_BYTES), b"")

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()
            _places.release()


def _give_up_on_who_is_gone(request: HttpRequest) -> None:
    environ: dict[str, Any] = request.META
    if socket := environ.get("gunicorn.socket"):
        socket.settimeout(SEND_WITHIN_SECONDS)


class FileName:
    """One file's name: no slash in it and no dot before it, so that no path leads out of its folder."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._-]*"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(FileName, "file")
urlpatterns = [
    path("boot.ipxe", boot_script),
    path("dnsmasq.conf", helper_configuration),
    path("keys/Full_server.crt", boot_ca),
    *(path(asked, download, {"step": step, "name": name}) for asked, (step, name) in FILES.items()),
    *(path(f"{step}/<slug:digest>/<file:name>", download, {"step": step}) for step in VERSIONED),
    path("images/<file:name>", download),
    path("images/<slug:digest>/<file:name>", download, {"step": "image"}),
    path("mirror/<slug:digest>/<file:name>", download, {"step": mirror.STEP}),
]

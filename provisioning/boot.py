"""What a booting machine asks for over HTTP: an iPXE script that decides what it boots, the micro-OS, images."""

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import path, register_converter
from django.views.decorators.http import condition, require_safe

from provisioning import workflow
from provisioning.dkam.store import Store

# Whoever hasn't said who it is, as at a fixed boot URL from DHCP, is sent here again with its name. No colon may be in
# the relative URL: iPXE would take what is before it for a scheme.
ASK_AGAIN = "chain --replace boot.ipxe?mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring} ||"
MICRO_OS_PARTS = {"vmlinuz-x86_64": "vmlinuz", "initramfs-x86_64": "initramfs"}
OWN_DISK = """#!ipxe
# This machine is installed. Leaving iPXE hands over to the next device in the firmware's order, its disk.
exit
"""
MICRO_OS = """#!ipxe
{ask_again}
:fetch
kernel vmlinuz-x86_64 initrd=initramfs-x86_64 {arguments} || goto again
initrd initramfs-x86_64 || goto again
boot
:again
echo The micro-OS can't be fetched, trying again in 5 s: are the artifacts built (manage.py build_artifacts)?
imgfree
sleep 5
goto fetch
"""


@require_safe
def boot_script(request: HttpRequest) -> HttpResponse:
    """What this machine boots is decided by our state at this moment, whatever it booted before."""
    uuid, serial = request.GET.get("uuid", ""), request.GET.get("serial", "")
    if workflow.boots_from_disk(uuid, serial):
        return HttpResponse(OWN_DISK, content_type="text/plain")
    arguments = {
        "worker_id": "${mac}",
        "grpc_authority": f"{settings.EIM_PUBLIC_HOST}:{settings.EIM_GRPC_PORT}",
        "eim_url": f"https://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}",
    }
    words = [*(f"{name}={value}" for name, value in arguments.items()), "console=tty0", "console=ttyS0,115200", "quiet"]
    script = MICRO_OS.format(ask_again="" if uuid or serial else ASK_AGAIN, arguments=" ".join(words))
    return HttpResponse(script, content_type="text/plain")


class NotHere(Exception):
    """What was asked for isn't there; str() says how it gets there."""


def _file(name: str, digest: str = "", micro_os: bool = False) -> Path:
    """A part of the current micro-OS; of the image with that digest; else what somebody put into images/ as a file."""
    store = Store(settings.EIM_ARTIFACTS)
    if micro_os:
        file = (store.current("microos") or store.folder("microos", "not-built")) / name
    else:
        file = (store.folder("image", digest) if digest else settings.EIM_ARTIFACTS / "images") / name
    if not file.is_file():
        raise NotHere(f"{name} isn't here: run manage.py build_artifacts, or put one of your own into {file.parent}\n")
    return file


def _etag(request: HttpRequest, **which: str | bool) -> str | None:
    try:
        file = _file(**which)
    except NotHere:
        return None
    try:
        return f'"{Store.facts(file)["sha256"]}"'
    except FileNotFoundError:  # not of DKAM's making
        return f'"{file.stat().st_size:x}-{file.stat().st_mtime_ns:x}"'


@require_safe
@condition(etag_func=_etag)
def download(request: HttpRequest, **which: str | bool) -> FileResponse | HttpResponseNotFound:
    try:
        return FileResponse(_file(**which).open("rb"), content_type="application/octet-stream")
    except NotHere as missing:
        return HttpResponseNotFound(str(missing), content_type="text/plain")


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
    *(path(asked, download, {"name": name, "micro_os": True}) for asked, name in MICRO_OS_PARTS.items()),
    path("images/<file:name>", download),
    path("images/<slug:digest>/<file:name>", download),
]

"""What a booting machine asks for over HTTP: an iPXE script that decides what it boots, the micro-OS, images."""

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.urls import path, register_converter
from django.views.decorators.http import condition, require_safe

from provisioning import workflow
from provisioning.dkam.store import Store

# Whoever hasn't said who it is, as at a fixed boot URL from DHCP, is sent here again with its name. No colon may be in
# the relative URL: iPXE would take what is before it for a scheme.
ASK_AGAIN = "chain --replace boot.ipxe?mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring} ||"
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


def _micro_os(name: str) -> Path:
    current = Store(settings.EIM_ARTIFACTS).current("microos")
    if current is None:
        raise Http404("The micro-OS isn't built yet: run manage.py build_artifacts")
    return current / name


def _image(name: str, digest: str | None = None) -> Path:
    """An image that DKAM built, by its digest; or without one, a file that somebody put into images/."""
    folder = Store(settings.EIM_ARTIFACTS).folder("image", digest) if digest else settings.EIM_ARTIFACTS / "images"
    if not (folder / name).is_file():
        raise Http404(f"There is no image {name} here: run manage.py build_artifacts, or put it into {folder}")
    return folder / name


def _etag(request: HttpRequest, **names: str) -> str:
    file = _file(**names)
    try:
        return f'"{Store.facts(file)["sha256"]}"'
    except (FileNotFoundError, KeyError):  # not of DKAM's making
        return f'"{file.stat().st_size:x}-{file.stat().st_mtime_ns:x}"'


def _file(**names: str) -> Path:
    return _micro_os(names["part"]) if "part" in names else _image(**names)


@require_safe
@condition(etag_func=_etag)
def download(request: HttpRequest, **names: str) -> FileResponse:
    return FileResponse(_file(**names).open("rb"), content_type="application/octet-stream")


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
    path("vmlinuz-x86_64", download, {"part": "vmlinuz"}),
    path("initramfs-x86_64", download, {"part": "initramfs"}),
    path("images/<file:name>", download),
    path("images/<slug:digest>/<file:name>", download),
]

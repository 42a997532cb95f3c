"""iPXE, which asks the server what to boot: Debian's binaries, and one of our own where its source is given."""

import shutil
import tarfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.dkam import uki
from provisioning.dkam.errors import BuildFailed
from provisioning.dkam.tools import require, run

BINARIES = {
    "ipxe.efi": "./boot/ipxe.efi",  # with drivers of its own
    "snponly.efi": "./usr/lib/ipxe/snponly.efi",  # by the firmware's driver
    "undionly.kpxe": "./usr/lib/ipxe/undionly.kpxe",  # BIOS
}
OPTIONS = ("DOWNLOAD_PROTO_HTTPS", "IMAGE_TRUST_CMD", "REBOOT_CMD", "NTP_CMD")
SCRIPT = """#!ipxe
:retry
dhcp || goto wait
chain {url}/boot.ipxe || goto wait
:wait
echo The server can't be reached, trying again in 3 s
sleep 3
goto retry
"""


def unpack(packages: Path, folder: Path) -> list[Path]:
    """Debian's binaries. They speak HTTP and not HTTPS, and have no script of their own."""
    with tarfile.open(packages) as tar:
        for name, member in BINARIES.items():
            (folder / name).write_bytes(uki.member(tar, member))
    return [folder / name for name in BINARIES]


def build(source: Path, url: str, ca_pem: str, folder: Path) -> Path:
    """ipxe.efi out of a source tree, with HTTPS, trusting our authorities only, going straight to the server."""
    require("make")  # which says what else it needs
    if not (source / "src/Makefile").is_file():
        raise BuildFailed(f"{source} is no source tree of iPXE: it has no src/Makefile")
    tree, script = folder / "tree", folder / "embedded.ipxe"
    shutil.copytree(source / "src", tree, symlinks=True)
    script.write_text(SCRIPT.format(url=url))
    authorities = []
    for certificate in x509.load_pem_x509_certificates(ca_pem.encode()):  # a file each: of one it reads the first
        authorities.append(folder / f"ca-{len(authorities)}.pem")
        authorities[-1].write_bytes(certificate.public_bytes(Encoding.PEM))
    trusted = ",".join(map(str, authorities))
    (tree / "config/local").mkdir(parents=True, exist_ok=True)
    (tree / "config/local/general.h").write_text("".join(f"#define {option}\n" for option in OPTIONS))
    run("make", "-C", tree, "bin-x86_64-efi/ipxe.efi", f"EMBED={script}", f"TRUST={trusted}", f"CERT={trusted}")
    shutil.copyfile(tree / "bin-x86_64-efi/ipxe.efi", folder / "own.efi")
    shutil.rmtree(tree)
    for scratch in (script, *authorities):
        scratch.unlink()
    return folder / "own.efi"


def digest_of(source: Path | None) -> str:
    """What tells one source tree from another, without reading all of it: names, sizes and times."""
    if source is None:
        return ""
    files = sorted(path for path in (source / "src").rglob("*") if path.is_file())
    return "\n".join(f"{path.relative_to(source)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)

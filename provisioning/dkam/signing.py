"""Secure Boot: the keys' public side as firmware takes it, and signatures over what firmware loads.

PK lets its owner change KEK, a KEK lets its owner change db, and what a certificate in db signed boots. Private keys
reach the signing programs in memory; they are on no disk.
"""

import os
import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.dkam.tools import require, run

X509_LIST = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")  # EFI_CERT_X509_GUID
LIST_HEADER = struct.Struct("<16sIII")  # type, size of all, size of a header that is empty, size of each signature
ATTRIBUTES = "NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS"  # of the variables; sbvarsign's default would append


@dataclass(frozen=True)
class Key:
    certificate: str  # PEM
    private: str = field(repr=False)  # PEM

    def der(self) -> bytes:
        return x509.load_pem_x509_certificate(self.certificate.encode()).public_bytes(Encoding.DER)

    def fingerprint(self) -> str:
        return x509.load_pem_x509_certificate(self.certificate.encode()).fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True)
class BootKeys:
    """Those in force, newest first. While a key overlaps with its successor there are two of its kind."""

    pk: tuple[Key, ...] = ()
    kek: tuple[Key, ...] = ()
    db: tuple[Key, ...] = ()

    def fingerprints(self) -> dict[str, list[str]]:
        return {kind: [key.fingerprint() for key in keys] for kind, keys in vars(self).items()}


def sign(program: Path, keys: Iterable[Key]) -> None:
    """Add a signature by each key to an EFI program: firmware that knows any of the certificates starts it."""
    require("sbsign")
    for key in keys:
        with _in_memory(key.private) as private, _in_memory(key.certificate) as certificate:
            files = ["--key", f"/dev/fd/{private}", "--cert", f"/dev/fd/{certificate}"]
            run("sbsign", *files, "--output", program, program, pass_fds=(private, certificate))


def signature_list(certificates: Iterable[bytes], owner: uuid.UUID) -> bytes:
    """An EFI signature list for each X.509 certificate (DER), one after the other."""
    lists = []
    for certificate in certificates:
        size = 16 + len(certificate)
        header = LIST_HEADER.pack(X509_LIST.bytes_le, LIST_HEADER.size + size, 0, size)
        lists.append(header + owner.bytes_le + certificate)
    return b"".join(lists)


def variable(name: str, keys: tuple[Key, ...], signer: Key, target: Path) -> None:
    """An update of PK, KEK or db to just these certificates, signed, as firmware and systemd-boot take it."""
    require("sbvarsign")
    plain = target.with_suffix(".esl")
    plain.write_bytes(signature_list((key.der() for key in keys), owner_of(keys)))
    with _in_memory(signer.private) as private, _in_memory(signer.certificate) as certificate:
        options = ["--attr", ATTRIBUTES, "--key", f"/dev/fd/{private}", "--cert", f"/dev/fd/{certificate}"]
        run("sbvarsign", *options, "--output", target, name, plain, pass_fds=(private, certificate))
    plain.unlink()


def owner_of(keys: tuple[Key, ...]) -> uuid.UUID:
    """Who firmware shows as the owner of a signature; any stable id will do."""
    return uuid.uuid5(uuid.NAMESPACE_OID, keys[-1].fingerprint())


def write_certificates(keys: BootKeys, folder: Path) -> None:
    """For firmware menus <kind>.der, and <kind>.auth for firmware in Setup Mode.

    While keys overlap, previous/<kind>.auth are for machines that still have only the keys of before.
    """
    kinds = {"PK": (keys.pk[:1], keys.pk), "KEK": (keys.kek, keys.pk), "db": (keys.db, keys.kek)}
    (folder / "previous").mkdir(parents=True)
    for kind, (certificates, signers) in kinds.items():
        (folder / f"{kind}.der").write_bytes(certificates[0].der())
        variable(kind, certificates, signers[0], folder / f"{kind}.auth")
        variable(kind, certificates, signers[-1], folder / f"previous/{kind}.auth")


class _in_memory:
    """The number of an open file that has a text and no name, for a program that wants a path to it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> int:
        self.file = os.memfd_create("key")
        os.write(self.file, self.text.encode())
        return self.file

    def __exit__(self, *_error: object) -> None:
        os.close(self.file)

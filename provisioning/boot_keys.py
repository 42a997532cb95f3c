"""The keys of Secure Boot: made once, sealed at rest, renewed on demand with a time in which old and new both count."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.db import connection, transaction
from django.utils import timezone

from provisioning.dkam.signing import BootKeys, Key
from provisioning.models import BootKey
from tenants.secrets import seal, unseal

LIFETIME = datetime.timedelta(days=3650)  # firmware doesn't look at it; tools that enrol may
RSA_BITS = 2048  # what all firmware knows
LOCK = 0x424F4F54  # of Postgres: two processes must not both make the first keys
Kind = BootKey.Kind


class NothingToRetire(Exception):
    """There is but one key of the kind, and it is in force."""


def in_force() -> BootKeys:
    """Those that sign and are trusted, newest first; the first ones are made when there are none."""
    if not BootKey.objects.filter(retired_at=None).exists():
        _make_first()
    keys: dict[str, list[Key]] = {kind: [] for kind in Kind.values}
    for row in BootKey.objects.filter(retired_at=None):
        keys[row.kind].append(Key(row.certificate, unseal(row.private_key_sealed)))
    return BootKeys(*(tuple(keys[kind]) for kind in (Kind.PK, Kind.KEK, Kind.DB)))


@transaction.atomic
def rotate(kind: str) -> BootKey:
    """A new key of this kind. The one before stays in force until it is retired: what is signed bears both signatures,

    machines that haven't learnt of the new key go on booting, and previous/<kind>.auth tells them of it.
    """
    _lock()
    for older in BootKey.objects.filter(kind=kind, retired_at=None)[1:]:
        _retire(older)
    return _make(kind)


@transaction.atomic
def retire(kind: str) -> BootKey:
    """End the overlap: the older key of this kind signs nothing more. Raises NothingToRetire."""
    _lock()
    older = BootKey.objects.filter(kind=kind, retired_at=None)[1:2]
    if not older:
        raise NothingToRetire(f"There is one {kind} in force, and it is needed: rotate it first")
    return _retire(older[0])


@transaction.atomic
def _make_first() -> None:
    _lock()
    if not BootKey.objects.filter(retired_at=None).exists():
        for kind in Kind.values:
            _make(kind)


def _make(kind: str) -> BootKey:
    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    now = timezone.now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Edge Infrastructure Manager {kind} {now:%Y-%m-%d}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return BootKey.objects.create(
        kind=kind,
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key_sealed=seal(pem.decode()),
    )


def _retire(key: BootKey) -> BootKey:
    key.retired_at = timezone.now()
    key.save(update_fields=["retired_at"])
    return key


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])

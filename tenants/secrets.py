"""Secrets at rest: sealed with the newest key of a ring, opened with any of it, only where they are handed out.

The ring is EIM_SECRET_KEYS, newest first, or the lines of EIM_DATA/secret_keys, which `manage.py rotate_secrets
--new-key` writes. After it come SECRET_KEY and its fallbacks, which seal where there is no ring. Any text is a key.
"""

import base64
import hashlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from tenants.errors import SealedByAnotherKey

_BEGINNING = "gAAAA"  # of everything that Fernet seals: its version and the upper bytes of a time, in base64


class SealedField(models.TextField):
    """A column of what seal() made. Whoever reads the row has no secret yet, and what isn't sealed can't be written.

    rotate_secrets finds its columns by this class.
    """

    def get_prep_value(self, value):
        value = super().get_prep_value(value)
        if value and not value.startswith(_BEGINNING):
            raise ValueError(f"{self.model.__name__}.{self.name} takes what tenants.secrets.seal() made")
        return value


def seal(text: str) -> str:
    return _newest().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises SealedByAnotherKey."""
    try:
        return _all(_ring()).decrypt(sealed.encode()).decode()
    except InvalidToken as wrong:
        raise SealedByAnotherKey(
            f"A secret can't be opened with any of the {len(_ring())} keys: add the key that sealed it to "
            "EIM_SECRET_KEYS (or to EIM_SECRET_KEY_FALLBACKS, if it was a SECRET_KEY), behind the newest"
        ) from wrong


def is_sealed_by_the_newest(sealed: str) -> bool:
    try:
        _newest().decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def ring_file() -> Path:
    return settings.EIM_DATA / "secret_keys"


def add_key() -> None:
    """Put a new key before those of the ring's file. Processes on this machine see it at once."""
    kept = ring_file().read_text() if ring_file().exists() else ""
    fresh = ring_file().with_suffix(".partial")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_urlsafe(48)}\n{kept}")
    fresh.rename(ring_file())


def _ring() -> tuple[str, ...]:
    """All keys, newest first."""
    return (*(settings.SECRET_KEYS or _kept()), settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def _kept() -> tuple[str, ...]:
    try:
        changed = ring_file().stat().st_mtime_ns
    except FileNotFoundError:
        return ()
    return _lines(ring_file(), changed)


@lru_cache(maxsize=2)  # processes live long, and must see a key that was added meanwhile
def _lines(file: Path, _changed: int) -> tuple[str, ...]:
    return tuple(line.strip() for line in file.read_text().splitlines() if line.strip())


@lru_cache(maxsize=4)
def _all(ring: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([_fernet(key) for key in ring])


def _newest() -> Fernet:
    return _fernet(_ring()[0])


@lru_cache(maxsize=16)
def _fernet(key: str) -> Fernet:
    digest = hashlib.sha256(b"eim sealed secrets" + key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))

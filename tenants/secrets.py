"""Secrets at rest: sealed with a key derived from SECRET_KEY, opened only where they are handed out."""

import base64
import hashlib

from cryptography.fernet import Fernet
from django.conf import settings


def _fernet() -> Fernet:
    digest = hashlib.sha256(b"eim sealed secrets" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def seal(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises cryptography.fernet.InvalidToken if SECRET_KEY isn't the one it was sealed with."""
    return _fernet().decrypt(sealed.encode()).decode()

"""Metadata: a list of {"key", "value"} with the letters that labels may have, and no key twice."""

import re

from django.core.exceptions import ValidationError
from django.db import models

_NAME = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
_KEY = re.compile(rf"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}\Z")
_VALUE = re.compile(rf"^({_NAME})?\Z")
MOST = 100


def check_metadata(pairs: list) -> None:
    """Raises ValidationError, which names the key or value that is wrong."""
    if not isinstance(pairs, list) or len(pairs) > MOST:
        raise ValidationError(f"metadata is a list of at most {MOST} objects with key and value")
    seen = set()
    for pair in pairs:
        if not isinstance(pair, dict) or pair.keys() != {"key", "value"} or not {str} >= {*map(type, pair.values())}:
            raise ValidationError('each item of metadata is {"key": "...", "value": "..."}')
        if not _KEY.match(pair["key"]):
            raise ValidationError(f"metadata key {pair['key']!r}: lower-case letters, digits and - _ . only")
        if not _VALUE.match(pair["value"]):
            raise ValidationError(f"metadata value {pair['value']!r}: lower-case letters, digits and - _ . only")
        if pair["key"] in seen:
            raise ValidationError(f"metadata key {pair['key']!r} is there twice")
        seen.add(pair["key"])


class MetadataField(models.JSONField):
    """[{"key": "city", "value": "berlin"}]"""

    def __init__(self, **kwargs):
        super().__init__(**{"default": list, "blank": True, "validators": [check_metadata], **kwargs})

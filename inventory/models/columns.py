"""Columns that several resources have: texts in the letters that the API has always allowed, lists of them, and what

came after the first release.
"""

import re
from enum import Enum
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.deconstruct import deconstructible

F = TypeVar("F", bound=models.Field)


def late(field: F) -> F:
    """A column that came after the first release. The database knows its default, so while a fleet is migrated,

    workers of the release before go on inserting rows without it.
    """
    default = field.get_default()
    field.default = field.default if callable(field.default) else default
    field.db_default = default.value if isinstance(default, Enum) else default
    return field


def letters(more: str) -> RegexValidator:
    r"""ASCII letters, digits and these other signs, written as in a regular expression's class: r"\-_./: "."""
    shown = more.replace("\\n", "").replace("\\", "").replace("%", "%%")
    return RegexValidator(rf"^[a-zA-Z0-9{more}]*\Z", f"only letters, digits and {shown}")


PLAIN = r"\-_./:;=?@!#,<>*() "  # of descriptions, as the API has always had it
QUOTED = PLAIN + '"'


@deconstructible
class Texts:
    """A list of texts. Raises ValidationError, which says what is wrong with which item."""

    def __init__(self, pattern: str, longest: int, most: int = 100):
        self.pattern, self.longest, self.most = pattern, longest, most

    def __call__(self, texts: list) -> None:
        if not isinstance(texts, list) or len(texts) > self.most:
            raise ValidationError(f"a list of at most {self.most} texts is needed")
        for text in texts:
            if not isinstance(text, str) or len(text) > self.longest or not re.fullmatch(self.pattern, text):
                raise ValidationError(f"{str(text)[:100]!r} has letters that it can't have, or too many of them")

    def __eq__(self, other):
        return isinstance(other, Texts) and vars(self) == vars(other)

    def __hash__(self):
        return hash((self.pattern, self.longest, self.most))


def texts(pattern: str, longest: int, most: int = 100, **kwargs) -> models.JSONField:
    """A column of a list of texts; filters look into it as into a text."""
    return models.JSONField(**{"default": list, "blank": True, "validators": [Texts(pattern, longest, most)], **kwargs})


def at_most_one(*names: str) -> models.Q:
    """Of these references, for the database to check."""
    return models.Q(
        *(models.Q(**{f"{other}__isnull": True for other in names if other != name}) for name in names),
        _connector=models.Q.OR,
    )


def said(resource: models.Model, *names: str) -> list[str]:
    """Those of these columns that hold something."""
    columns = {field.name: field.attname for field in resource._meta.concrete_fields}
    return [name for name in names if getattr(resource, columns[name])]

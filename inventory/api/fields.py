"""The fields of the wire: strict about what comes in, and each knows how it looks when there is nothing.

Strict: a number is not a text and "yes" is not true, because what a client gets wrong it should hear at once. Old
clients were held to the same by the archived system's validator.
"""

import re
from collections.abc import Callable, Sequence, Set
from typing import Any, Literal

from django.db.models import CharField, Func
from django.utils.module_loading import import_string
from rest_framework import exceptions, serializers

from inventory import errors
from inventory.models.metadata import check_metadata

LARGEST_INTEGER = 2**31 - 1  # what an integer column holds


# What clients write -----------------------------------------------------------------------------------------------


class Text(serializers.CharField):
    """Text as it was written, blanks at its ends included."""

    default_error_messages = {"invalid": "this is a text"}

    def __init__(self, **kwargs):
        super().__init__(**{"trim_whitespace": False, **kwargs})

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class Pattern(serializers.RegexField):
    """Text in which every letter is as the pattern says; `$` is its end, not the line's."""

    def __init__(self, pattern: str, **kwargs):
        said = f"this does not match {pattern}".replace("%", "%%")  # Django formats the messages of validators
        messages = {"invalid": said, **kwargs.pop("error_messages", {})}
        super().__init__(whole(pattern), **{"trim_whitespace": False, "error_messages": messages, **kwargs})

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise exceptions.ValidationError("this is a text")
        return data


class Retired(Pattern):
    """What old clients still write under a name that has nothing to say any more: when it is read, it is empty."""


def whole(pattern: str) -> str:
    """The same pattern, but its `$` doesn't match before a last newline, as Python's does."""
    return re.sub(r"(?<!\\)\$(?=\||\)|$)", r"\\Z", pattern)


class Flag(serializers.BooleanField):
    """true or false, and nothing that looks like it."""

    default_error_messages = {"invalid": "this is true or false"}

    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Whole(serializers.IntegerField):
    """A whole number that a column can hold."""

    default_error_messages = {"invalid": "this is a whole number"}

    def __init__(self, **kwargs):
        super().__init__(**{"min_value": -LARGEST_INTEGER - 1, "max_value": LARGEST_INTEGER, **kwargs})

    def to_internal_value(self, data):
        if isinstance(data, bool) or not isinstance(data, int | float) or data != data // 1:
            self.fail("invalid")
        return int(data)


class Choice(serializers.ChoiceField):
    """One of an enum's names. called: the enum's own, in the document, if it is none of a model's."""

    def __init__(self, *, called: str = "", **kwargs):
        self.called = called
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, str) or data not in self.choices:
            raise exceptions.ValidationError(f"this is one of {', '.join(self.choices)}")
        return data


class Texts(serializers.ListField):
    """A list of texts."""

    def __init__(self, **kwargs):
        super().__init__(**{"child": Text(), **kwargs})

    def to_internal_value(self, data):
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        return super().to_internal_value(data)


class SecretTexts(Texts):
    """A list of texts that are written and never shown: clients find an empty list."""

    def to_representation(self, value):
        return []


class Uuid(Pattern):
    """A UUID in its usual spelling; the empty text is none. as_given: the column that has another spelling, if any."""

    def __init__(self, *, as_given: str = "", **kwargs):
        self.as_given = as_given
        groups = "-".join(f"[0-9a-fA-F]{{{letters}}}" for letters in (8, 4, 4, 4, 12))
        super().__init__(f"^$|^{groups}$", **{"allow_blank": True, "max_length": 36, **kwargs})

    def run_validation(self, data=serializers.empty):
        return super().run_validation(data) or None

    def to_representation(self, value):
        return str(value or "")


class Document(serializers.JSONField):
    """A JSON document that the model checks itself."""


_LABEL = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
METADATA_KEY = rf"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_LABEL}$"
METADATA_VALUE = rf"^({_LABEL})?$"


class Metadata(serializers.JSONField):
    """[{"key": "city", "value": "berlin"}]"""

    def __init__(self, **kwargs):
        super().__init__(**{"validators": [self.check], **kwargs})

    @staticmethod
    def check(pairs: list[dict]) -> None:
        check_metadata(pairs)
        for pair in pairs:
            for name, pattern in (("key", METADATA_KEY), ("value", METADATA_VALUE)):
                if not re.search(whole(pattern), pair[name]):
                    raise exceptions.ValidationError(f"{name} {pair[name]!r} does not match {pattern}")


class Reference(serializers.SlugRelatedField):
    """Another resource by its id; the empty text is none."""

    def __init__(self, **kwargs):
        super().__init__(**{"slug_field": "resource_id", "required": False, "allow_empty": True, **kwargs})

    def run_validation(self, data=serializers.empty):
        if data == "" and not self.required:
            return None
        return super().run_validation(data)

    def to_internal_value(self, data):
        return by_id(self.get_queryset(), data)


def pattern_of_id(model) -> str:
    return rf"^{model.prefix}-[0-9a-f]{{8}}$"


def check_id(model, resource_id: object) -> None:
    """Raises InventoryError if that is no id of this kind, NotFound if it can't be one that was ever given."""
    if not isinstance(resource_id, str) or not resource_id.startswith(f"{model.prefix}-"):
        raise errors.InventoryError(f"{resource_id!r} is not the id of a {model._meta.verbose_name}")
    if not re.fullmatch(rf"{model.prefix}-[0-9a-f]{{8}}", resource_id):
        raise errors.NotFound(not_found_sentence(model))


def by_id(rows, resource_id: object):
    """The resource. Raises as check_id() does, and NotFound."""
    check_id(rows.model, resource_id)
    found = next(iter(rows.filter(resource_id=resource_id).order_by()), None)
    if found is None:
        raise errors.NotFound(not_found_sentence(rows.model))
    return found


def not_found_sentence(model) -> str:
    """In the words that the archived command line looks for: "region_resource not found"."""
    kind = str(model._meta.verbose_name).replace(" ", "_").lower()
    return f"{kind}_resource not found"


# What clients only read -------------------------------------------------------------------------------------------


class Uint64(serializers.CharField):
    """A 64-bit number: a string in JSON, as protobuf has it. None of ours is written by clients."""


class Same(serializers.CharField):
    """The same id under the name that older clients read."""

    def __init__(self, source: str = "resource_id"):
        super().__init__(source=source, read_only=True)


class Constant(serializers.ReadOnlyField):
    """What is the same in every resource: a field that old clients read and nothing here can say more about."""

    def __init__(self, value: Any, schema: dict | None = None):
        self.value = value
        self.schema = schema
        super().__init__(source="*")


class Derived(Constant):
    """What the endpoint fills in afterwards, if it is asked to; until then it is empty.

    of: the resource's fields that it is derived from.
    """

    def __init__(self, value: Any, of: Sequence[str] = ()):
        self.of = of
        super().__init__(value)


LINK_STATES = [f"NETWORK_INTERFACE_LINK_STATE_{state}" for state in ("UNSPECIFIED", "UP", "DOWN")]


ADDRESS_STATUSES = [
    f"IP_ADDRESS_STATUS_{status}"
    for status in (
        "UNSPECIFIED", "ASSIGNMENT_ERROR", "ASSIGNED", "CONFIGURATION_ERROR", "CONFIGURED", "RELEASED", "ERROR",
    )
]  # fmt: skip
ADDRESS_METHODS = [f"IP_ADDRESS_CONFIG_METHOD_{method}" for method in ("UNSPECIFIED", "STATIC", "DYNAMIC")]


class HardwarePart(serializers.ListField):
    """One of the lists in a host's hardware document; `shown` makes an item into what clients read."""

    def __init__(self, part: str, shape: type, shown: Callable[[dict], dict] = dict):
        self.part, self.shape, self.shown = part, shape, shown
        super().__init__(source="hardware", read_only=True, child=serializers.DictField())


class Nested(serializers.Field):
    """Another resource, shown as it shows itself, but for its fields in `without`, which are empty.

    absent: what is there when there is no such resource: null, or the resource with all its fields empty, which old
    clients look into without asking.
    """

    def __init__(self, serializer: type | str, *, without: Set[str] = frozenset(), absent: Any = None, **kwargs):
        self._serializer, self.without, self.absent = serializer, frozenset(without), absent
        super().__init__(read_only=True, **kwargs)

    @property
    def serializer(self) -> type:
        """Named by its path where two resources show each other."""
        return import_string(self._serializer) if isinstance(self._serializer, str) else self._serializer


class NestedMany(Nested):
    """All resources that refer to this one by `edge`, as a list. One query more for a page, however long it is.

    edge: the field of theirs that leads here, as Django's lookups name it, ending in a resource_id.
    ids: the name of the list beside this one that has only their ids.
    """

    def __init__(self, serializer: type | str, *, edge: str, without: Set[str] = frozenset(), ids: str = "", **kwargs):
        self.edge, self.ids = edge, ids
        super().__init__(serializer, without=without, **kwargs)


EMPTY: Literal["empty"] = "empty"  # Nested.absent: the resource with all its fields empty


class Timestamps(serializers.Serializer):
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")


class Rfc3339(Func):
    """A point in time as clients read it: UTC, to the millisecond. Made by Postgres: a page of hosts has 1,000 of them,

    which took Python a quarter of the request to parse and to write.
    """

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    output_field = CharField()

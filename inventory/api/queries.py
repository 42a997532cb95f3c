"""Query parameters: declared once, for the check and for the document."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework import exceptions, serializers

from inventory import errors
from inventory.api.fields import Pattern
from inventory.api.paging import FARTHEST_OFFSET, LARGEST_PAGE


class Number(serializers.IntegerField):
    """Decimal digits and nothing else."""

    def run_validation(self, data=serializers.empty):
        if data is not serializers.empty and not (data.isascii() and data.isdigit() and len(data) < 20):
            raise exceptions.ValidationError(self.is_one())
        try:
            return super().run_validation(data)
        except exceptions.ValidationError:
            raise exceptions.ValidationError(self.is_one()) from None

    def is_one(self) -> str:
        return f"is a number from {self.min_value} to {self.max_value}"


class YesNo(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data):
        if data not in ("true", "false"):
            raise exceptions.ValidationError("is true or false")
        return data == "true"


class Query(serializers.Serializer):
    """The query parameters that an action knows. Others are ignored, as they always were."""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> dict[str, Any]:
        """The parameters that were given, checked. Raises InventoryError, which names the parameter and the value."""
        read = {}
        for name, field in _fields(cls).items():
            if name not in given:
                continue
            try:
                read[name] = field.run_validation(given[name])
            except exceptions.ValidationError as wrong:
                raise errors.InventoryError(f"{name} {errors.sentence(wrong.detail)}, not {given[name]!r}") from None
        return read


@cache
def _fields(query: type[Query]) -> dict[str, serializers.Field]:
    return dict(query().fields)


class Nothing(Query):
    """Of actions that can't be asked anything."""


class PageQuery(Query):
    pageSize = Number(
        required=False, min_value=1, max_value=LARGEST_PAGE,
        help_text="How many resources a page has. Without it the answer has all of them.",
    )  # fmt: skip
    offset = Number(
        required=False, min_value=0, max_value=FARTHEST_OFFSET,
        help_text="How many resources to leave out. To read on beyond 10,000, use `pageToken`.",
    )  # fmt: skip


class ListQuery(PageQuery):
    orderBy = Pattern(
        r"^$|^[a-zA-Z\-_0-9., ]+$", required=False, allow_blank=True, max_length=1000,
        error_messages={"invalid": "has letters, digits, commas, blanks and . - _ only"},
        help_text="Fields of the resource itself, separated by commas; `desc` after one turns it round.",
    )  # fmt: skip
    filter = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, trim_whitespace=False,
        help_text=(
            "Which resources. `name = 'edge'` finds what contains it, in whatever case, and `*` stands for any "
            "letters; `!=` `<` `<=` `>` `>=` compare; `site.region.name = 'x'` looks into related resources, and "
            "`has(instance)` asks whether there are any; `AND` `OR` `NOT` and parentheses combine. `OR` binds tighter "
            "than `AND`."
        ),
    )  # fmt: skip
    pageToken = serializers.CharField(
        required=False, allow_blank=True, max_length=2000, trim_whitespace=False,
        help_text=(
            "Reads long lists page by page, each as fast as the first, however many resources come and go meanwhile: "
            "empty for the first page, then the `nextPageToken` of the page before."
        ),
    )  # fmt: skip


class FilterQuery(Query):
    filter = ListQuery().fields["filter"]


class PatchQuery(Query):
    fieldMask = serializers.CharField(
        required=False, allow_blank=True, max_length=1000,
        help_text="Names of fields, separated by commas: what is changed instead of what the body has. "
                  "A field that is named and isn't in the body is cleared.",
    )  # fmt: skip

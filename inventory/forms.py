"""How the admin asks for columns: by names instead of ids, metadata as lines, abbreviations as people write them."""

import re

from django import forms
from django.db.models import Model
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextareaWidget

_ABBREVIATIONS = re.compile(
    r"\b(amt|bmc|dns|http|https|ftp|id|ip|kvm|lvm|mac|os|ou|sha256|ssh|url|uuid|vlan)\b", re.IGNORECASE
)


class MetadataLines(forms.CharField):
    """Metadata as lines: city=berlin"""

    def __init__(self, **kwargs) -> None:
        kept = {name: kwargs[name] for name in ("label", "required", "validators") if name in kwargs}
        super().__init__(
            **kept, strip=False, help_text="One a line, as key=value.",
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        )  # fmt: skip

    def prepare_value(self, value):
        if not isinstance(value, list):
            return value  # what somebody typed, shown again
        return "\n".join(f"{pair['key']}={pair['value']}" for pair in value)

    def to_python(self, value):
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        if wrong := [line for line in lines if "=" not in line]:
            raise forms.ValidationError(f"{wrong[0]!r} has no =: it is key=value")
        pairs = (line.partition("=") for line in lines)
        return [{"key": key.strip(), "value": said.strip()} for key, _, said in pairs]

    def has_changed(self, initial, data):
        return (initial or []) != self.to_python(data)


class Degrees(forms.DecimalField):
    """Degrees, of a column that has them times ten million."""

    def __init__(self, **kwargs) -> None:
        most = max(validator.limit_value for validator in kwargs.pop("validators", ())) / 10**7
        super().__init__(
            label=kwargs["label"], required=False, min_value=-most, max_value=most, decimal_places=7,
            help_text="Degrees; north and east are positive.", widget=UnfoldAdminDecimalFieldWidget(),
        )  # fmt: skip

    def prepare_value(self, value):
        return value / 10**7 if isinstance(value, int) else value

    def clean(self, value):
        return int(super().clean(value).scaleb(7)) if value not in self.empty_values else 0

    def has_changed(self, initial, data):
        return True  # what it is compared with is written otherwise


def named(resource: Model) -> str:
    """Its name, and the id that tells it from others of that name."""
    name = getattr(resource, "name", "") or getattr(resource, "username", "")
    return f"{name} ({resource})" if name and name != str(resource) else str(resource)


def as_written(label: str) -> str:
    return _ABBREVIATIONS.sub(lambda found: found[0].upper(), label)

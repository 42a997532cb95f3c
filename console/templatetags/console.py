"""How the console's templates write times, amounts and states."""

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from inventory.naming import as_written

register = template.Library()

_KINDS = [
    "STATUS_INDICATION", "HOST_STATE", "INSTANCE_STATE", "POWER_STATE", "AMT_STATE", "KVM_STATE", "SOL_STATE", "STATE",
    "SCHEDULE_STATUS", "SECURITY_FEATURE", "BAREMETAL_CONTROLLER_KIND", "AMT_SKU",
]  # fmt: skip
_UNITS = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]


@register.filter
def age(at: datetime | int | float | None) -> str | SafeString:
    """`3 min ago`, `in 2 h`, with the moment itself on a pointer's touch; nothing of what never was (None, 0)."""
    if not at:
        return ""
    when = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    seconds = (timezone.now() - when).total_seconds()
    span = in_units(abs(seconds))
    return _time(when, "just now" if span == "0 s" else f"{span} ago" if seconds > 0 else f"in {span}")


@register.filter
def moment(at: datetime | int | float | None) -> str | SafeString:
    """`24 Nov 22:31`, UTC."""
    if not at:
        return ""
    when = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return _time(when, f"{when:%-d %b %H:%M}")


def _time(when: datetime, text: str) -> SafeString:
    whole = f"{when:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), whole, text)


@register.filter
def in_units(seconds: float) -> str:
    """`2 d`, `3 h`, `5 min`, `8 s`: the largest unit alone."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


@register.filter
def gibibytes(amount: int | str) -> str:
    """Bytes as people say them: `64 GiB`, `894 GiB`, `1.8 TiB`."""
    size = float(amount or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@register.filter
def plain(value: str) -> str:
    """A state without what all of its kind begin with: `POWER_STATE_ON` is `On`."""
    for kind in _KINDS:
        value = value.removeprefix(f"{kind}_")
    words = value.replace("_", " ")
    return as_written(words.capitalize() if value.isupper() else words)


@register.filter
def written(name: str) -> str:
    """`amt_status` is `AMT status`."""
    return as_written(capfirst(name.replace("_", " ")))


@register.filter
def tone(indicator: str) -> str:
    """The class of a status's colour."""
    return indicator.removeprefix("STATUS_INDICATION_")

"""One line an event: a few plain words, then the facts that came as `extra=`; or the same as a JSON object."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from tenants.request import facts

_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "data", "request", "server_time"}


# What no line may hold, wherever it came from: tokens, what is sealed, and what is called a secret. Each begins where a
# word does, and names are short, so that a long line costs no more than its length.
_SECRETS = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<![\w-])gAAAA[\w=-]{40,}"
    r"|(?<=bearer )[^\s'\",]+"
    r"|(?<=basic )[A-Za-z0-9+/=]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END|$)"
    r"|(?P<name>(?<![\w-])[\w-]{0,40}?(?:password|passwd|secret|token|api_?key|credential)[\w-]{0,20}['\"]?\s?[=:]\s?)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s'\",;&)}\]]+)",
    re.IGNORECASE | re.DOTALL,
)


class Faults(logging.Filter):
    """Lets a request's 503 pass unlogged: it is what we answer while something is being made, no fault of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != 503


class Line(logging.Formatter):
    """`12:00:01 INFO workers.engine reconciled reconciler=InstanceState resource_id=inst-1a2b3c4d`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record) + "".join(
            f" {key}={_value(key, value)}" for key, value in _told(record).items()
        )

    def format(self, record: logging.LogRecord) -> str:
        """A traceback goes with it, and may quote anything."""
        return _without_secrets(super().format(record))


class Json(logging.Formatter):
    """`{"time": "2026-01-02T03:04:05.678+00:00", "level": "INFO", "logger": ..., "message": ..., "resource_id": ...}`

    One object a line, whatever is in it; a traceback is its "exception". Facts that are numbers stay so.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _without_secrets(record.getMessage()),
        }
        line |= {key: _value(key, value) for key, value in _told(record).items() if key not in line}
        if record.exc_info:
            line["exception"] = _without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _told(record: logging.LogRecord) -> dict[str, Any]:
    """What is bound to the request, the call or the work, and what came with the event."""
    return facts() | {key: value for key, value in vars(record).items() if key not in _KNOWN}


def _value(name: str, value: Any) -> Any:
    """Hidden whole if its name says that it is a secret."""
    if _SECRETS.fullmatch(f"{name}=x"):
        return "[hidden]"
    return value if isinstance(value, bool | int | float) else _without_secrets(str(value))


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found['name'] or ''}[hidden]", text)

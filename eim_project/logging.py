"""One line an event: a few plain words, then the facts that came as `extra=`."""

import logging
import re

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
        told = facts() | {key: value for key, value in vars(record).items() if key not in _KNOWN}
        return super().formatMessage(record) + "".join(f" {key}={value}" for key, value in told.items())

    def format(self, record: logging.LogRecord) -> str:
        """A traceback goes with it, and may quote anything."""
        return _SECRETS.sub(lambda found: f"{found['name'] or ''}[hidden]", super().format(record))

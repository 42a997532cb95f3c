"""One line an event: a few plain words, then the facts that came as `extra=`."""

import logging

_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "data", "request", "server_time"}


class Line(logging.Formatter):
    """`12:00:01 INFO workers.engine reconciled reconciler=InstanceState resource_id=inst-1a2b3c4d`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {key}={value}" for key, value in vars(record).items() if key not in _KNOWN)
        return super().formatMessage(record) + facts

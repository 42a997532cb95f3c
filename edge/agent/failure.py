"""How an update fails: in a sentence for the operator and a word for programs."""

import time

from edge.agent.memory import Entry
from edge.errors import EdgeError


class UpdateFailed(EdgeError):
    """why: unspecified, download, bootloader, insufficientstorage, signaturecheck, criticalservices or oscommit."""

    def __init__(self, text: str, why: str = "unspecified", status: str = "failed") -> None:
        super().__init__(text)
        self.why, self.status = why, status

    def entry(self) -> Entry:
        """Of the update's log."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"update_type": "os", "update_time": now, "status": self.status, "failure_reason": self.why,
                "failure_log": str(self)}  # fmt: skip

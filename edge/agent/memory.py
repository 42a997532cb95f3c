"""What an agent knows beyond a restart, its own or the machine's: the update under way, and those that were."""

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

HISTORY_KEPT = 50  # updates
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Entry = dict[str, str]  # of an update's log, as servers read it: package_name, version, status, failure_reason ...


@dataclass
class Wanted:
    """What the server wants this machine to become."""

    kernel_command: str = ""
    sources: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    image_url: str = ""
    image_sha256: str = ""
    image_id: str = ""
    profile_name: str = ""
    profile_version: str = ""

    def key(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass
class Job:
    """An update under way."""

    wanted: Wanted
    began: float  # seconds since 1970
    stage: str = "installing"  # then "rebooting", until the machine is up again
    tries: int = 0
    boot_id: str = ""  # of the boot that it was rebooted from
    before: dict[str, str] | None = None  # package -> version, as it was when it began
    log: list[Entry] = field(default_factory=list)


class Memory:
    """Kept in one file, which is replaced as a whole: a power cut leaves the old or the new."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.status = "UP_TO_DATE"  # of wire's UpdateStatus
        self.detail = ""  # told with the status
        self.job: Job | None = None
        self.done: dict[str, float] = {}  # Wanted.key() -> when it was last tried, seconds since 1970
        self.image: dict[str, str] = {}  # the one that runs: profile_name, profile_version, image_id, image_sha256
        self.prepared = ""  # sha256 of the image that is on the other slot, whole
        self.prepared_root = ""  # the UUID of that image's root file system
        self.kernel_command = ""  # what the kernel's command line has from the server
        self.history: list[dict[str, Any]] = []  # the oldest first
        self._read()

    def _read(self) -> None:
        try:
            said = json.loads(self.file.read_text())
            job = said.pop("job")
            self.__dict__.update(said)
            self.job = Job(**job | {"wanted": Wanted(**job["wanted"])}) if job else None
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError) as wrong:  # of a later release, or damaged: begin anew, and say so
            log.warning("%s can't be read (%s): what it knew is forgotten", self.file, wrong)
            self.file.rename(self.file.with_suffix(".unreadable"))

    def save(self) -> None:
        said = {name: value for name, value in self.__dict__.items() if name not in ("file", "job")}
        draft = self.file.with_suffix(".new")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w") as out:
            json.dump(said | {"job": asdict(self.job) if self.job else None}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.file)

    def ended(self, status: str, detail: str, log: list[Entry], now: float) -> None:
        """The update is over, and will be told until the server has heard it."""
        job, self.job = self.job, None
        self.status, self.detail = status, detail
        if job:
            self.history.append({"began": job.began, "ended": now, "wanted": asdict(job.wanted), "status": status,
                                 "log": log})  # fmt: skip
            del self.history[:-HISTORY_KEPT]
        self.save()


def boot_id() -> str:
    return BOOT_ID.read_text().strip()

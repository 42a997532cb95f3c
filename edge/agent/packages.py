"""A mutable system: Debian's packages, their sources and the kernel's command line, changed by apt."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from edge.agent import command_line
from edge.agent.failure import UpdateFailed
from edge.agent.memory import Entry, Job, Memory, Wanted
from wire import maintmgr_pb2 as mm

SOURCES = "etc/apt/sources.list.d"
OURS = "edge-policy"  # the names of our files there, for each of the two forms that apt knows
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?")  # nothing that apt takes for an option
UPGRADABLE = re.compile(r"^([^/\s]+)/\S+ (\S+) (\S+) \[upgradable from: ", re.MULTILINE)
OPTIONS = (
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=600",
    "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30",
    "-o", "Dpkg::Use-Pty=0", "-q", "-y",
)  # fmt: skip
QUIET = {
    "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "NEEDRESTART_MODE": "l", "UCF_FORCE_CONFFOLD": "1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}  # fmt: skip
# What runs from its start on as it was then: only a reboot brings the new one into use.
NEEDS_REBOOT = re.compile(r"(linux-image-.*|linux-modules-.*|systemd|systemd-sysv|udev|dbus|libc6)(:.*)?")
REBOOT_REQUIRED = "run/reboot-required"
WORST = (
    ("insufficientstorage", ("No space left", "enough free space")),
    ("signaturecheck", ("NO_PUBKEY", "not signed", "GPG error", "Hash Sum mismatch", "aren't signed", "authenticated")),
    ("download", ("Failed to fetch", "Unable to fetch", "Could not resolve", "Could not connect", "404  Not Found")),
)


class Packages:
    """The packages below `root`, which is / except where a test brings its own tree."""

    os_type = mm.PlatformUpdateStatusResponse.OS_TYPE_MUTABLE

    def __init__(self, memory: Memory, root: Path = Path("/"), before: tuple[str, ...] = (), options=()) -> None:
        """before: what stands before each command. options: more of apt's."""
        self.memory, self.root, self.before, self.options = memory, root, before, (*OPTIONS, *options)
        self._seen: object = None
        self._available = ""

    # What there is ---------------------------------------------------------------------------------------------------

    def installed(self) -> dict[str, str]:
        """Package -> version."""
        listed = self._run("dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "--show",
                           "--showformat=${db:Status-Status} ${binary:Package} ${Version}\n")  # fmt: skip
        rows = (line.split(" ") for line in listed.splitlines())
        return {name: version for state, name, version in rows if state == "installed"}

    def refresh(self) -> None:
        """Ask the sources what there is. One that is away keeps what was known of it."""
        self._run("apt-get", *self.options, "update", check=False)

    def available(self) -> str:
        """What could be updated, as servers read it: a JSON list. apt is asked only when what it knows has changed."""
        state = [(self.root / path).stat().st_mtime_ns for path in ("var/lib/dpkg/status", "var/lib/apt/lists")]
        if state != self._seen:
            listed = self._run("apt", *self.options[len(OPTIONS) :], "list", "--upgradable", check=False)
            found = [{"name": name, "available_version": version, "architecture": architecture}
                     for name, version, architecture in UPGRADABLE.findall(listed)]  # fmt: skip
            self._seen, self._available = state, json.dumps(found) if found else ""
        return self._available

    def asked_for(self, answer: mm.PlatformUpdateStatusResponse) -> Wanted | None:
        """Nothing named means all that is newer."""
        source, packages = answer.update_source, answer.installed_packages.replace(",", " ").split()
        return Wanted(kernel_command=source.kernel_command, sources=[*source.custom_repos], packages=packages)

    # Changing it -----------------------------------------------------------------------------------------------------

    def prepare(self, wanted: Wanted) -> None:
        """Everything is fetched when it is installed."""

    def is_prepared(self, wanted: Wanted) -> bool:
        return True

    def install(self, job: Job) -> bool:
        """Whether it needs a reboot to be in use. Doing it again after it was interrupted goes on with it."""
        wanted = job.wanted
        for name in wanted.packages:
            if not PACKAGE.fullmatch(name):
                raise UpdateFailed(f"{name!r} isn't the name of a package")
        if job.before is None:
            job.before = self.installed()
            self.memory.save()
        self._run("dpkg", *self._dpkg_options(), "--configure", "-a")  # where an earlier one was cut off
        named = self._write_sources(wanted.sources)
        if command := self._command(wanted):
            self._do(command, named)
        changes_kernel = bool(wanted.kernel_command) and command_line.change(self.memory, wanted.kernel_command)
        changed = self._changed(job.before)
        job.log = [_entry(name, version, name in job.before, wanted) for name, version in changed.items()]
        if wanted.kernel_command:
            job.log.append(_happened("configuration", "kernel command line", wanted.kernel_command, "upgrade"))
        is_core = any(NEEDS_REBOOT.fullmatch(name) for name in changed)
        return changes_kernel or is_core or (self.root / REBOOT_REQUIRED).exists()

    def after_reboot(self, job: Job) -> None:
        """What was installed is in use."""
        if job.wanted.kernel_command and not command_line.is_in_force(job.wanted.kernel_command):
            raise UpdateFailed("the kernel was started without the new command line", "bootloader")

    def keep(self, job: Job) -> None:
        """Nothing to go back to, so nothing to make sure of."""

    def _do(self, command: list[str], named: Path | None) -> None:
        """Of all sources only the policy's are asked anew, if that does: what others have was asked within hours."""
        if named is not None and command[0] == "install":
            alone = [f"Dir::Etc::SourceList={named}", "Dir::Etc::SourceParts=/dev/null", "APT::Get::List-Cleanup=0"]
            self._update(alone)
            try:
                self._run("apt-get", *self.options, *command)
                return
            except UpdateFailed as failure:
                print(f"{failure}: all sources are asked", flush=True)
        self._update([])
        self._run("apt-get", *self.options, *command)

    def _update(self, options: list[str]) -> None:
        """Each source has to answer."""
        more = [word for option in (*options, "APT::Update::Error-Mode=any") for word in ("-o", option)]
        self._run("apt-get", *self.options, *more, "update")

    @staticmethod
    def _command(wanted: Wanted) -> list[str]:
        if wanted.packages:
            return ["install", *wanted.packages]
        if wanted.kernel_command and not wanted.sources:
            return []
        return ["upgrade", "--with-new-pkgs"]

    def _changed(self, before: dict[str, str]) -> dict[str, str]:
        return {name: version for name, version in self.installed().items() if before.get(name) != version}

    def _write_sources(self, texts: list[str]) -> Path | None:
        """Exactly those that are named; the file, if it is one. Where none are named, those of before stay."""
        if not texts:
            return None
        folder = self.root / SOURCES
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob(f"{OURS}.*"):
            file.unlink()
        by_suffix: dict[str, list[str]] = {}
        for text in texts:
            suffix = "list" if re.match(r"\s*deb(-src)?\s", text) else "sources"  # one line, or a paragraph
            by_suffix.setdefault(suffix, []).append(text.strip() + "\n")
        for suffix, found in by_suffix.items():
            (folder / f"{OURS}.{suffix}").write_text("\n".join(found))
        return folder / f"{OURS}.{suffix}" if len(by_suffix) == 1 else None

    def _dpkg_options(self) -> list[str]:
        return [f"--root={self.root}"] if self.root != Path("/") else []

    def _run(self, *command: str, check: bool = True) -> str:
        """What it printed. Raises UpdateFailed with its worst line."""
        done = subprocess.run(
            [*self.before, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            env={**os.environ, **QUIET},
        )  # fmt: skip
        said = done.stdout + done.stderr
        print(f"$ {' '.join(command)}\n{said}", end="", flush=True) if command[0] == "apt-get" else None
        fails = done.returncode != 0
        if check and fails:
            lines = [line for line in said.splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith(("E:", "Err:", "dpkg: error"))] or lines[-3:]
            text = "; ".join(errors[-4:]) or f"code {done.returncode}"
            why = next((word for word, signs in WORST if any(sign in said for sign in signs)), "unspecified")
            raise UpdateFailed(f"{command[0]}: {text}"[:2000], why)
        return done.stdout


def _entry(name: str, version: str, was_there: bool, wanted: Wanted) -> Entry:
    named = {package.partition("=")[0] for package in wanted.packages}
    kind = "application" if {name, name.partition(":")[0]} & named else "os"
    return _happened(kind, name, version, "upgrade" if was_there else "install")


def _happened(kind: str, name: str, version: str, action: str) -> Entry:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"update_type": kind, "package_name": name, "update_time": now, "action": action, "status": "installed",
            "version": version, "failure_reason": "nofailure"}  # fmt: skip

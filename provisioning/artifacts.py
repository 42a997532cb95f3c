"""What DKAM builds, as an operator sees it: asking for a build, following what goes in, and going back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from provisioning import boot_keys
from provisioning.dkam import build
from provisioning.dkam.store import Store, Version
from provisioning.models import Artifact

LOG_BYTES = 64 * 1024  # of the end of a log that are shown


class NoSuchVersion(Exception):
    """str() says which versions there are."""


@dataclass(frozen=True)
class Shown:
    """An artifact with its versions, newest first."""

    artifact: Artifact
    versions: list[Version]

    @property
    def title(self) -> str:
        step = build.BY_NAME.get(self.artifact.name)
        return step.title if step else self.artifact.name


def store() -> Store:
    return Store(settings.EIM_ARTIFACTS)


def server_arguments() -> tuple[str, ...]:
    """What the micro-OS is told about its server, on the kernel's command line."""
    host = settings.EIM_PUBLIC_HOST
    return f"grpc_authority={host}:{settings.EIM_GRPC_PORT}", f"eim_url=https://{host}:{settings.EIM_HTTPS_PORT}"


def boot_url() -> str:
    return f"http://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTP_PORT}/tink-stack"


def inputs() -> build.Inputs:
    return build.Inputs(
        artifacts=settings.EIM_ARTIFACTS,
        checkout=settings.BASE_DIR,
        ca_file=settings.EIM_CA_FILE,
        keys=boot_keys.in_force(),
        arguments=server_arguments(),
        boot_url=boot_url(),
        ipxe_source=settings.EIM_IPXE_SOURCE,
    )


def shown() -> list[Shown]:
    """In the order of building."""
    rows = {artifact.name: artifact for artifact in Artifact.objects.all()}
    return [Shown(rows[name], store().versions(name)) for name in build.BY_NAME if name in rows]


@transaction.atomic
def ask_for_all(names: Iterable[str] | None = None) -> dict[str, str]:
    """Wish for what today's inputs give, whatever was held; name -> digest. What is there already isn't built again.

    names: those, and what they are made of.
    """
    needed = build.with_needs(build.BY_NAME if names is None else names)
    wanted = {name: digest for name, digest in build.digests(inputs()).items() if name in needed}
    for name, digest in wanted.items():
        artifact = Artifact.objects.filter(name=name).first()
        if artifact and artifact.current_digest == digest and not store().has(name, digest):
            artifact.delete()  # somebody has cleared the folder: what is written here isn't so any more
            artifact = None
        if artifact is None or artifact.current_digest != digest or artifact.desired_digest != digest or artifact.held:
            artifact = artifact or Artifact(name=name)
            artifact.held = False
            artifact.ask(digest=digest)
    return wanted


def follow() -> list[str]:
    """Wish anew for what was built before and would be another today, unless it is held; the names."""
    built = {artifact.name: artifact for artifact in Artifact.objects.filter(held=False)}
    if not built:
        return []
    wanted = build.digests(inputs())
    changed = [name for name, digest in wanted.items() if name in built and built[name].desired_digest != digest]
    for name in changed:
        built[name].ask(digest=wanted[name])
    return changed


@transaction.atomic
def go_back(name: str, digest: str = "") -> dict[str, str]:
    """Serve an earlier version again, and with it the versions of all else that were made of it; name -> digest.

    Without a digest: the one built before the one that is served. They are held until somebody asks for a build.
    Raises NoSuchVersion.
    """
    versions = store().versions(name) if name in build.BY_NAME else []
    current = Artifact.objects.filter(name=name).values_list("current_digest", flat=True).first()
    if not digest:
        older = [version.digest for version in _before(versions, current)]
        digest = older[0] if older else ""
    if digest not in {version.digest for version in versions}:
        kept = ", ".join(version.digest for version in versions) or "none"
        raise NoSuchVersion(f"{name} has no {'version ' + digest if digest else 'earlier version'}; there are: {kept}")
    chosen = {name: digest}
    for step in build.STEPS:
        if chosen.keys() & {*step.needs}:
            made_of_it = [it for it in store().versions(step.name) if _made_of(it, chosen)]
            if made_of_it:
                chosen[step.name] = made_of_it[0].digest
    for artifact in Artifact.objects.filter(name__in=chosen):
        artifact.held = True
        artifact.ask(digest=chosen[artifact.name])
    return chosen


def _before(versions: list[Version], current: str | None) -> list[Version]:
    at = next((at for at, version in enumerate(versions) if version.digest == current), -1)
    return versions[at + 1 :]


def _made_of(version: Version, chosen: dict[str, str]) -> bool:
    return all(version.needs[name] == digest for name, digest in chosen.items() if name in version.needs)


def log(name: str, digest: str = "") -> str:
    """The end of a build's log: of this version, else of the build that runs now or ran last."""
    if name not in build.BY_NAME:
        return ""
    try:
        with store().log(name, digest).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            return file.read().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def as_dict(it: Shown) -> dict[str, Any]:
    """As the API shows it."""
    artifact = it.artifact
    return {
        "name": artifact.name,
        "title": it.title,
        "desiredDigest": artifact.desired_digest,
        "currentDigest": artifact.current_digest,
        "held": artifact.held,
        "status": artifact.build_status,
        "statusIndicator": artifact.build_status_indicator,
        "statusTimestamp": artifact.build_status_timestamp,
        "versions": [
            {
                "digest": version.digest,
                "builtAt": int(version.built_at),
                "served": version.digest == artifact.current_digest,
                "files": [{"name": name, **facts} for name, facts in version.files.items()],
            }
            for version in it.versions
        ],
    }

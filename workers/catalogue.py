"""The OS resource manager: gathers OS profiles, from files and from a registry, into one catalogue for all tenants.

A pass looks at each profile by itself: one that can't be had, or isn't what it should be, keeps what was known of it,
and the catalogue says what is wrong. One that its place no longer has is withdrawn. Tenants follow the catalogue, each
by its own work (workers/reconcilers/os_profiles.py).
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from inventory import defaults, profiles
from inventory.models import OsType
from inventory.models.os import version_key
from tenants.errors import BadDefaults
from workers import engine, registry
from workers.models import OsCatalogue, OsProfile
from workers.registry import Unfit

log = logging.getLogger(__name__)

LOCK = 7_164_001  # of this pass, among Postgres' advisory locks
REGISTRY = "registry "  # what origins from there begin with


def sync() -> int:
    """Make a pass, and have all tenants follow. Returns how many profiles have something wrong. Call from public."""
    known = {row.origin: row for row in OsProfile.objects.all()}
    seen = [_look(known.get(origin) or OsProfile(origin=origin), read) for origin, read in _places(known)]
    _write_down(known, seen)
    follower = engine.registry["OsProfiles"]
    engine.wake_outstanding(follower, "public", follower.outstanding().values_list("pk", flat=True))
    return sum(1 for row in seen if row.problem)


@transaction.atomic
def _write_down(known: dict[str, OsProfile], seen: list[OsProfile]) -> None:
    """Only now, in one transaction that takes no longer than that, and after another pass that ends at the same time.

    What its place doesn't have any more is withdrawn.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    for row in seen:
        told = {"columns": row.columns, "problem": row.problem, "retracted": row.retracted, "seen_at": row.seen_at}
        OsProfile.objects.update_or_create(origin=row.origin, defaults=told)
    gone = OsProfile.objects.filter(origin__in=known.keys() - {row.origin for row in seen})
    gone.filter(columns={}).delete()
    gone.update(retracted=True, problem="")
    OsCatalogue.objects.update_or_create(pk=1, defaults={"digest": _digest(wanted())})


def is_due() -> bool:
    since = timezone.now() - timedelta(seconds=settings.EIM_OS_PROFILES_SECONDS)
    return not OsCatalogue.objects.filter(made_at__gt=since).exists()


Read = Callable[[], dict[str, str]]  # the columns of an operating system; raises BadDefaults or Unfit


def _places(known: dict[str, OsProfile]) -> Iterator[tuple[str, Read]]:
    """Where there is a profile, or should be, and how it is read."""
    for folder in defaults.profile_folders():
        try:
            files = sorted(folder.iterdir())
        except OSError as wrong:
            yield f"folder {folder}", _failing(BadDefaults(f"There is no folder {folder} (EIM_OS_PROFILES): {wrong}"))
            yield from ((origin, _failing(None)) for origin in known if Path(origin).parent == folder)
            continue
        yield from ((str(file), lambda file=file: profiles.read(file)) for file in files if file.suffix == ".yaml")
    if settings.EIM_OS_REGISTRY:
        for name in settings.EIM_OS_REGISTRY_PROFILES:
            yield from _of_registry(name, known)


def _of_registry(name: str, known: dict[str, OsProfile]) -> Iterator[tuple[str, Read]]:
    repository = registry.Repository(
        settings.EIM_OS_REGISTRY, f"{settings.EIM_OS_REGISTRY_PREFIX}{name}", settings.EIM_OS_REGISTRY_CREDENTIALS
    )
    origin, revision = f"{REGISTRY}{repository.name}:", settings.EIM_OS_REGISTRY_REVISION
    try:
        tags = registry.tags_wanted(repository.tags(), revision) if revision.startswith("~") else [revision]
    except registry.Absent as absent:
        yield f"{origin}{revision}", _failing(absent)
        return
    except Unfit as wrong:
        yield f"{origin}{revision}", _failing(wrong)
        yield from ((one, _failing(None)) for one in known if one.startswith(origin))  # nobody said that they are gone
        return
    for tag in tags:
        yield f"{origin}{tag}", lambda tag=tag: profiles.parsed(repository.first_layer(tag), f"{origin}{tag}")


def _failing(why: Exception | None) -> Read:
    def read() -> dict[str, str]:
        raise why or Unfit("its place can't be looked at just now")

    return read


def _look(row: OsProfile, read: Read) -> OsProfile:
    row.seen_at = timezone.now()
    try:
        columns = read()
    except registry.Absent as gone:
        row.problem, row.retracted = str(gone), bool(row.columns)
    except (BadDefaults, Unfit) as wrong:
        row.problem = str(wrong)
        log.warning("an OS profile can't be had", extra={"origin": row.origin, "because": wrong})
    else:
        wrong_beside: list[str] = []
        row.columns = columns | _published_beside(columns, row.columns, wrong_beside)
        row.problem, row.retracted = "; ".join(wrong_beside), False
    return row


def _published_beside(columns: dict[str, str], before: dict[str, str], wrong: list[str]) -> dict[str, str]:
    """Packages and CVEs, from where the profile says. What can't be had now stays as it was."""
    is_mutable = columns["os_type"] == OsType.MUTABLE
    found: dict[str, str] = {}
    for column, fixed in (("installed_packages", False), ("existing_cves", False), ("fixed_cves", True)):
        address = columns.get(f"{column}_url", "")
        if not address or (column == "installed_packages" and is_mutable):
            continue
        try:
            found[column] = _published(address, column, fixed, is_mutable)
        except Unfit as reason:
            wrong.append(str(reason))
            if before.get(f"{column}_url") == address and column in before:
                found[column] = before[column]
    return found


def _published(address: str, column: str, fixed: bool, is_mutable: bool) -> str:
    if settings.EIM_AIRGAP:
        body = registry.from_folder(address)
    else:
        address = _absolute(address)
        body = registry.get(address)
    if column == "installed_packages":
        return registry.packages(body, address)
    if is_mutable:
        return registry.cves_of_oval(body, address, fixed=fixed)
    return registry.cves(body, address)


def _absolute(address: str) -> str:
    if "://" not in address:
        if not settings.EIM_OS_FILES:
            raise Unfit(f"{address}: of which server, EIM_OS_FILES must say")
        return f"{settings.EIM_OS_FILES}/{address.lstrip('/')}"
    return address


# What tenants follow -------------------------------------------------------------------------------------------------


def wanted() -> list[dict[str, Any]]:
    """The columns of all operating systems that there should be. Call from public.

    A file of the administrator replaces ours of its name; of two that name one image, the registry's newest counts.
    """
    rows = [row for row in OsProfile.objects.order_by("pk") if row.columns and not row.retracted]
    folders = [str(folder) for folder in defaults.profile_folders()]
    rows.sort(key=lambda row: _rank(row.origin, folders))
    by_file, found = dict[str, dict[str, Any]](), dict[tuple[str, str], dict[str, Any]]()
    for row in rows:
        if not row.origin.startswith(REGISTRY):
            by_file[row.columns["profile_name"]] = row.columns
    for columns in [*by_file.values(), *(row.columns for row in rows if row.origin.startswith(REGISTRY))]:
        found[columns["profile_name"], columns["image_id"]] = columns
    return [*found.values()]


def _rank(origin: str, folders: list[str]) -> tuple[int, Any]:
    if origin.startswith(REGISTRY):
        return len(folders), version_key(origin.rpartition(":")[2])
    folder = str(Path(origin).parent)
    return folders.index(folder) if folder in folders else -1, ()


def _digest(systems: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(systems, sort_keys=True).encode()).hexdigest()

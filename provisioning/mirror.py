"""Files of others, OS images for one, that machines get from this server: downloaded once, and checked before use."""

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from provisioning import outward
from provisioning.dkam.tools import remove
from provisioning.models import Mirrored
from tenants import errors
from workers.registry import file_name

STEP = "mirror"  # the folder of the artifacts where they are, <sha256>/<name>
PARTIAL = ".partial"
PIECE_BYTES = 2**20
TURN_SECONDS = 20.0  # after which a download lets a build have its turn; it goes on where it was
ANSWER_WITHIN_SECONDS = 30
SPARE_BYTES = 2**30  # that a download leaves free


class NotWhatItShouldBe(Exception):
    """The file can't be had, and trying again won't help; str() says why."""


@dataclass(frozen=True)
class Progress:
    """size_bytes is 0 where the server doesn't say."""

    done_bytes: int
    size_bytes: int
    finished: bool


def ask(url: str, sha256: str) -> Mirrored:
    """Wish for a file; of one that is there already, too, which starts a failed download again."""
    row = Mirrored.objects.filter(sha256=sha256).first()
    if row and row.url != url:
        raise errors.Duplicate(f"{row} has this sha256, from {row.url}: delete it first to get it from elsewhere")
    row = row or Mirrored(url=url, sha256=sha256)
    row.ask(digest=sha256)
    return row


@transaction.atomic
def forget(row: Mirrored) -> None:
    row.delete()
    transaction.on_commit(lambda: remove(_folder(row)))


def path_of(sha256: str) -> str | None:
    """Below this server's root, of the file with this digest if we have it."""
    row = Mirrored.objects.filter(sha256=sha256, current_digest=sha256).first()
    return f"tink-stack/{STEP}/{sha256}/{file_name(row.url)}" if row and file_of(row).is_file() else None


def file_of(row: Mirrored) -> Path:
    return _folder(row) / file_name(row.url)


def fetch(row: Mirrored) -> Progress:
    """Go on with the download for a turn. Raises NotWhatItShouldBe; OSError, HTTPException if it may go on later."""
    file = file_of(row)
    if file.is_file():
        return Progress(file.stat().st_size, file.stat().st_size, finished=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + PARTIAL)
    progress = _from_folder(row, partial) if settings.EIM_AIRGAP else _from_network(row.url, partial)
    if progress.finished:
        with partial.open("rb") as whole:
            found = hashlib.file_digest(whole, "sha256").hexdigest()
        if found != row.sha256:
            partial.unlink()
            raise NotWhatItShouldBe(f"{row.url} has sha256 {found}, expected {row.sha256}: it isn't used")
        partial.replace(file)
    return progress


def _from_folder(row: Mirrored, partial: Path) -> Progress:
    """Without a network: an operator has put the file there, under its name or its sha256."""
    for name in (row.sha256, file_name(row.url)):
        source = settings.EIM_AIRGAP / name
        if source.is_file():
            size = source.stat().st_size
            _need_room(partial, size)
            shutil.copyfile(source, partial)
            return Progress(size, size, finished=True)
    raise NotWhatItShouldBe(f"{settings.EIM_AIRGAP} (EIM_AIRGAP) has no {file_name(row.url)}: put it there, ask again")


def _from_network(url: str, partial: Path) -> Progress:
    """What is there of it stays, if the server can go on from there."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        outward.check(urlsplit(url).hostname or "")
        answer = _asked_for(url, have, partial)
    except outward.LeadsInward as why:
        raise NotWhatItShouldBe(f"{url}: {why}") from why
    with answer:
        goes_on = answer.status == 206
        have = have if goes_on else 0
        length = int(answer.headers.get("Content-Length") or 0)
        size = have + length if length else 0
        _need_room(partial, length)
        with partial.open("ab" if goes_on else "wb") as file:
            whole = _copy(answer, file, time.monotonic() + TURN_SECONDS)
            done = file.tell()
    if whole and size and done != size:
        raise http.client.IncompleteRead(b"", size - done)
    return Progress(done, size, finished=whole)


def _asked_for(url: str, have: int, partial: Path) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - http(s) only
    try:
        return outward.opener().open(request, timeout=ANSWER_WITHIN_SECONDS)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 416:  # longer than what is there now
            partial.unlink()
        elif refusal.code < 500 and refusal.code not in (408, 429):
            raise NotWhatItShouldBe(f"{url}: the server answers {refusal.code} {refusal.reason}") from refusal
        raise


def _copy(source: http.client.HTTPResponse, file: BinaryIO, deadline: float) -> bool:
    """True at the end, False when the time is over."""
    while time.monotonic() < deadline:
        piece = source.read(PIECE_BYTES)
        if not piece:
            return True
        file.write(piece)
    return False


def _need_room(partial: Path, size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(partial.parent).free
    if free_bytes < size_bytes + SPARE_BYTES:
        raise NotWhatItShouldBe(
            f"{partial.parent} has {free_bytes // 2**20} MiB free, the file has {size_bytes // 2**20} MiB: make room"
        )


def _folder(row: Mirrored) -> Path:
    return settings.EIM_ARTIFACTS / STEP / row.sha256

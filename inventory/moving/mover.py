"""Moves a project's inventory here: reads it from another server, page by page, and writes it into the current schema.

What is here already, by its id, is left alone: a run that was interrupted is completed by the next. What a new project
begins with makes room for the same thing with the id that it had there, unless somebody uses it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connection, models, transaction

from inventory import defaults, presence
from inventory.bulk.server import Refusal, Server, ServerError
from inventory.models import (
    CustomConfig,
    Host,
    HostState,
    Instance,
    OperatingSystem,
    Provider,
    Resource,
    TelemetryGroup,
)
from inventory.models.compute import Customization
from inventory.moving import wishes
from inventory.moving.kinds import KINDS, Kind
from inventory.moving.reading import columns_of, made_at, said_at
from tenants import credentials
from tenants.errors import ResourceError, TenantError

FARTHEST = 10_000  # the highest offset that the archived server takes
IDENTITY = ("uuid", "serial_number")  # facts, but a host is made with them


class Outcome(StrEnum):
    MOVED = "moved"
    KNOWN = "here already"
    LEFT = "left there"


@dataclass(frozen=True)
class Line:
    """Of the report: what didn't come over of what, and why. kind alone: all of it."""

    kind: str
    resource_id: str
    name: str
    outcome: str
    why: str


@dataclass
class Report:
    count: dict[str, Counter[Outcome]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def left(self) -> int:
        """How many things, or kinds of them, didn't come."""
        return sum(line.outcome == Outcome.LEFT for line in self.lines)


class Mover:
    def __init__(self, server: Server, *, parallel: int = 8) -> None:
        """parallel: how many requests the server gets at once."""
        self._server, self._parallel = server, parallel
        self.report = Report()
        self._here: dict[type[Resource], set[str]] = {}
        self._theirs: set[str] = set()  # ids that the server told of

    def totals(self) -> dict[Kind, int]:
        """How many there are to be moved, of the kinds that the server has. Raises ServerError."""
        found: dict[Kind, int] = {}
        for kind in KINDS:
            try:
                found[kind] = self._count(kind)
            except Refusal as refused:
                self._tell(kind.called, "", "", Outcome.LEFT, f"the server doesn't show them: {refused}")
        return found

    def project_uuid(self) -> str:
        """The project's UUID there, "" if it isn't told."""
        try:
            return said_at(self._server.get(""), "status.projectStatus.uID")
        except (Refusal, ServerError):
            return ""  # other calls tell why nothing is to be had

    def run(self, totals: dict[Kind, int]) -> Iterator[int]:
        """Move all, a page a transaction. Yields how many were looked at. Raises ServerError."""
        for kind, total in totals.items():
            count = self.report.count.setdefault(kind.called, Counter())
            for page in self._in_order(kind, self._pages(kind, total)):
                more = self._more_of(kind, page)
                with transaction.atomic():
                    known = self._known(kind, page)
                    for body in page:
                        count[self._move(kind, {**body, **more.get(said_at(body, "resourceId"), {})}, known)] += 1
                yield len(page)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _pages(self, kind: Kind, total: int, within: str = "") -> Iterator[list[dict]]:
        """More than an offset reaches are asked for by what their ids begin with: `=` finds parts of a text."""
        if not total:
            return  # and a server may leave out what is empty, the list of them too
        if total <= FARTHEST:
            condition = f'resourceId="{kind.model.prefix}-{within}"' if within else ""
            yield from self._server.pages(kind.path, kind.collection, condition)
            return
        begin = [f"{within}{digit}" for digit in "0123456789abcdef"]
        counts = [self._count(kind, f'resourceId="{kind.model.prefix}-{one}"') for one in begin]
        if sum(counts) > 2 * total:
            raise ServerError(f"HTTP request error: GET {kind.path} takes no filter, and has {total}: too many to page")
        for one, count in zip(begin, counts, strict=True):
            yield from self._pages(kind, count, one)

    def _count(self, kind: Kind, condition: str = "") -> int:
        page = self._server.get(kind.path, pageSize=1, **({"filter": condition} if condition else {}))
        try:
            return int(page.get("totalElements") or 0)
        except (TypeError, ValueError) as wrong:
            raise ServerError(f"HTTP request error: GET {kind.path} answers no totalElements") from wrong

    def _in_order(self, kind: Kind, pages: Iterable[list[dict]]) -> Iterator[list[dict]]:
        """Of a tree, level by level from its roots; what hangs on nothing that is there, last."""
        if not kind.parent:
            yield from pages
            return
        left = [body for page in pages for body in page]
        [parent] = (reference.at for reference in kind.references if reference.column == kind.parent)
        while left:
            ids = {said_at(body, "resourceId") for body in left} - {""}
            level = [body for body in left if said_at(body, *parent) not in ids] or left
            yield level
            left = [body for body in left if body not in level]

    def _more_of(self, kind: Kind, page: Sequence[dict]) -> dict[str, dict]:
        """Lists of instances don't have all: the archived system shows their custom configs one by one only."""
        if kind.model is not Instance or not self._ids(CustomConfig):
            return {}
        ids = [said_at(body, "resourceId") for body in page if "customConfig" not in body or not body["customConfig"]]
        wanted = [resource_id for resource_id in ids if resource_id and resource_id not in self._ids(Instance)]
        with ThreadPoolExecutor(self._parallel) as workers:
            found = workers.map(self._configs_of, wanted)
            return dict(zip(wanted, found, strict=True))

    def _configs_of(self, resource_id: str) -> dict:
        try:
            return {"customConfig": self._server.get(f"compute/instances/{resource_id}").get("customConfig")}
        except Refusal:
            return {}  # it went meanwhile

    # Writing ---------------------------------------------------------------------------------------------------------

    def _move(self, kind: Kind, body: dict, known: dict[str, str]) -> Outcome:
        resource_id, name = said_at(body, "resourceId"), said_at(body, "name", "username")
        self._theirs.add(resource_id)
        if resource_id in known:
            another = known[resource_id]
            return self._left(kind, resource_id, name, another) if another else Outcome.KNOWN
        try:
            notes = self._made(kind, resource_id, body)
        except ValidationError as wrong:
            return self._left(kind, resource_id, name, "; ".join(wrong.messages))
        except (ResourceError, TenantError) as refused:
            return self._left(kind, resource_id, name, str(refused))
        except (IntegrityError, DataError) as wrong:
            return self._left(kind, resource_id, name, str(wrong).splitlines()[0])
        self._ids(kind.model).add(resource_id)
        for note in notes:
            self._tell(kind.called, resource_id, name, Outcome.MOVED, note)
        return Outcome.MOVED

    @transaction.atomic
    def _made(self, kind: Kind, resource_id: str, body: dict) -> list[str]:
        """The row, and what of it didn't come. Raises what says why it can't be made."""
        model = kind.model
        if not re.fullmatch(rf"{model.prefix}-[0-9a-f]{{8}}", resource_id):
            raise ValidationError(f"{resource_id!r} is not the id of a {model._meta.verbose_name}")
        columns, notes = columns_of(model, body)
        if why := wishes.stays_there(columns):
            raise ValidationError(why)
        columns |= kind.fixed
        for reference in kind.references:
            there = said_at(body, *reference.at)
            if not there:
                continue
            if there in self._ids(reference.model):
                columns[f"{reference.column}_id"] = there
            elif reference.must:
                raise ValidationError(f"its {there} isn't here")
            else:
                notes.append(f"its {there} isn't here")
        notes += wishes.held(model, columns, self._state_of_host(columns.get("host_id")) if model is Instance else "")
        self._make_room(model, columns)
        guarded = {column: columns.pop(column) for column in model.guarded() & columns.keys() - {*IDENTITY}}
        row = model(**columns)
        row.take_over(resource_id, since=made_at(body), **guarded)
        return [*notes, *self._beside(row, body)]

    def _beside(self, row: Resource, body: dict) -> list[str]:
        """What belongs to it, and is in other tables; what the server doesn't tell."""
        if isinstance(row, Instance):
            configs = [said_at(one, "resourceId") for one in body.get("customConfig") or [] if isinstance(one, dict)]
            ours = CustomConfig.objects.filter(resource_id__in=configs)
            Customization.objects.bulk_create(Customization(instance=row, custom_config=one) for one in ours)
            missing = {*configs} - {str(one) for one in ours}
            return [f"its {one} isn't here" for one in sorted(missing)]
        if isinstance(row, Provider) and body.get("apiCredentials"):
            return ["its credentials are secrets, and stay there: enter them here, in the admin"]
        return []

    def _make_room(self, model: type[Resource], columns: dict[str, Any]) -> None:
        """Raises InUse."""
        rows: models.QuerySet = model._default_manager.none()
        if model is Provider and columns.get("name") == defaults.PROVIDER:
            rows = Provider.objects.filter(name=defaults.PROVIDER, config=defaults.ZERO_TOUCH)
        elif model is TelemetryGroup:
            same = {column: columns.get(column) for column in ("name", "kind", "collector_kind", "groups")}
            rows = TelemetryGroup.objects.filter(profiles=None, **same)
        elif model is OperatingSystem:
            image = {column: columns.get(column, "") for column in ("profile_name", "image_id")}
            same_image = models.Q(**image) if all(image.values()) else models.Q(pk=None)
            rows = OperatingSystem.objects.filter(
                same_image | models.Q(name=columns.get("name") or None), from_profile=True, instances=None,
                update_policies=None,
            )  # fmt: skip
        for row in rows.exclude(resource_id__in=self._theirs):
            self._ids(model).discard(row.resource_id)
            row.delete()

    def _known(self, kind: Kind, page: list[dict]) -> dict[str, str]:
        """Which of this page are here already, by id; and, if that is another thing, what is to be said of it."""
        ids = {said_at(body, "resourceId") for body in page} & self._ids(kind.model)
        known = dict.fromkeys(ids, "")
        if kind.model is Host:
            there = {said_at(body, "resourceId"): said_at(body, "uuid").lower() for body in page}
            for resource_id, uuid in Host.objects.filter(resource_id__in=ids).values_list("resource_id", "uuid"):
                if uuid and there[resource_id] not in ("", str(uuid)):
                    known[resource_id] = f"a host with this id is here, and its machine is another one: {uuid}"
        return known

    def _ids(self, model: type[Resource]) -> set[str]:
        """Of those that are here."""
        if model not in self._here:
            self._here[model] = {*model._default_manager.values_list("resource_id", flat=True)}
        return self._here[model]

    def _state_of_host(self, resource_id: str | None) -> str:
        rows = Host.objects.filter(resource_id=resource_id).values_list("current_state", flat=True)
        return rows.first() or HostState.UNSPECIFIED

    def _left(self, kind: Kind, resource_id: str, name: str, why: str) -> Outcome:
        self._tell(kind.called, resource_id, name, Outcome.LEFT, why)
        return Outcome.LEFT

    def _tell(self, kind: str, resource_id: str, name: str, outcome: Outcome, why: str) -> None:
        self.report.lines.append(Line(kind, resource_id, name, outcome, why))


def let_in(secrets: dict[str, str]) -> int:
    """Give the onboarded machines of the current schema that have no credentials here those that they have, by client

    id. Returns how many are left without.
    """
    uuids = Host.objects.filter(current_state=HostState.ONBOARDED, uuid__isnull=False).values_list("uuid", flat=True)
    lacking = credentials.lacking(uuids)
    for uuid in [*lacking]:
        if secret := secrets.get(credentials.client_id_of(uuid)):
            credentials.take_over(uuid, secret)
            lacking.remove(uuid)
    return len(lacking)


def wait_for_machines() -> None:
    """They count as silent when no heartbeat reaches us for as long as any other. Raises presence.Away."""
    alive = Host.objects.filter(host_status__in=presence.ALIVE, uuid__isnull=False).values_list("uuid", flat=True)
    presence.restore(connection.schema_name, {str(uuid): None for uuid in alive})

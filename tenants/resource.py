"""What all resources share: an id, wishes (desired_*), facts (current_* and what machines report) and statuses.

Two verbs carry the law of the system. ask() writes wishes; only the northbound side calls it. observe() writes facts;
only reconcilers and southbound servicers call it. save() writes neither. None can write another's columns, so an
operator and a reconciler who change one row at the same time never overwrite each other.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import datetime
from functools import cache, lru_cache, wraps
from typing import Any, ClassVar, NamedTuple, cast

from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models.deletion import get_candidate_relations_to_delete
from django.utils import timezone

from tenants import errors, events, statements


class EpochField(models.BigIntegerField):
    """Seconds since 1970, UTC; a JSON number on the wire, where other 64-bit numbers are strings."""


class Indicator(models.TextChoices):
    UNSPECIFIED = "STATUS_INDICATION_UNSPECIFIED"
    ERROR = "STATUS_INDICATION_ERROR"
    IN_PROGRESS = "STATUS_INDICATION_IN_PROGRESS"
    IDLE = "STATUS_INDICATION_IDLE"


class Status(NamedTuple):
    """What an operator reads, and its colour."""

    text: str
    indicator: str = Indicator.UNSPECIFIED


def status(default: str = "") -> tuple[models.Field, ...]:
    """The three columns of a status: its text, its indicator, and since when."""
    return (
        models.CharField(max_length=1024, default=default, editable=False),
        models.CharField(max_length=32, choices=Indicator, default=Indicator.UNSPECIFIED, editable=False),
        EpochField(default=0, editable=False),
    )


def wish(choices: type[models.TextChoices]) -> tuple[models.Field, models.Field]:
    """The two columns of a pair: what is desired and what is current. The first choice is the unspecified one."""
    unspecified = next(iter(choices))
    return (
        models.CharField(max_length=40, choices=choices, default=unspecified, editable=False),
        models.CharField(max_length=40, choices=choices, default=unspecified, editable=False),
    )


def in_transaction(work: Callable) -> Callable:
    """In that of whoever calls, or else in one of its own. For work that refuses before it has written anything:

    there is nothing to be undone then, so it needs no savepoint, which is two statements more.
    """

    @wraps(work)
    def call(*args, **kwargs):
        if connection.in_atomic_block:
            return work(*args, **kwargs)
        with transaction.atomic():
            return work(*args, **kwargs)

    return call


# Set by the loop around a reconciler: raises LeaseLost if the worker isn't the one that holds the lease any more.
fence: ContextVar[Any] = ContextVar("fence", default=None)


class _IdTaken(Exception):
    """Another resource of this kind has the id that was drawn."""


class Resources(models.QuerySet):
    """Bulk writes that pass ask() and observe() by are refused."""

    def update(self, **values):
        self._refuse(values)
        return super().update(**values)

    def bulk_update(self, objs, fields, batch_size=None):
        self._refuse(fields)
        return super().bulk_update(objs, fields, batch_size)

    def bulk_create(self, objs, *args, **kwargs):
        raise errors.NotYours(f"{self.model.__name__} is made by ask(): its id, its claim and its ring come with it")

    @in_transaction
    def observe_all(self, **facts: Any) -> int:
        """observe() the same facts of all these rows, in a few statements however many. Returns how many changed.

        Not for facts by which a row may go.
        """
        if check := fence.get():
            check()
        model = cast(type[Resource], self.model)
        columns = model._columns(facts)
        differs = models.Q(*((~models.Q(**{name: value})) for name, value in columns.items()), _connector=models.Q.OR)
        rows = list(self.filter(differs).order_by("pk").select_for_update(of=("self",)).only("pk", "resource_id"))
        if not rows:
            return 0
        changed = columns | {"updated_at": timezone.now()}
        changed |= {f"{name}_timestamp": int(time.time()) for name, value in facts.items() if isinstance(value, Status)}
        models.QuerySet.update(model.objects.filter(pk__in=[row.pk for row in rows]), **changed)
        events.announce_all(rows, "observed", ring=bool(columns.keys() - model._told_to_people()))
        return len(rows)

    def _refuse(self, columns):
        model = cast(type[Resource], self.model)
        if guarded := model.guarded() & {*columns}:
            raise errors.NotYours(f"{', '.join(sorted(guarded))} can't be written by update(): use ask() or observe()")
        if fixed := model.fixed & {*columns}:
            raise errors.NotYours(f"{', '.join(sorted(fixed))} of a {model.prefix} can't be changed: make another one")


class Resource(models.Model):
    prefix: ClassVar[str]  # of the resource_id, as in "host-1a2b3c4d"
    wishes: ClassVar[dict[str, str]] = {}  # pair -> the status that tells how it goes, {"state": "host_status"}
    statuses: ClassVar[set[str]] = set()  # those that are of no pair
    observed: ClassVar[set[str]] = set()  # plain columns that machines report
    shared: ClassVar[tuple[type[models.Model], ...]] = ()  # tables of all tenants, whose rows of it go with it
    fixed: ClassVar[set[str]] = set()  # plain columns that are written once, when the resource is made
    _locked_row: "Resource | None" = None  # the row as it is, where a request has it: see hold()
    was_elsewhere = False  # it is being taken over: what is asked of something new isn't asked of it
    allowed: ClassVar[dict[str, dict]] = {}  # pair -> {current: what may be asked for}; a pair not named allows all

    resource_id = models.CharField(max_length=24, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = Resources.as_manager()

    class Meta:
        abstract = True
        ordering = ["resource_id"]

    def __str__(self):
        return self.resource_id

    @classmethod
    @cache
    def wish_columns(cls) -> frozenset[str]:
        return frozenset(f"desired_{pair}" for pair in cls.wishes)

    @classmethod
    @cache
    def _status_columns(cls) -> frozenset[str]:
        statuses = cls.statuses | {*cls.wishes.values()}
        return frozenset(f"{name}{end}" for name in statuses for end in ("", "_indicator", "_timestamp"))

    @classmethod
    @cache
    def _told_to_people(cls) -> frozenset[str]:
        """Statuses, and the details that machines give to them: no reconciler waits for one, so none is woken."""
        statuses = cls._status_columns()
        return statuses | {name for name in cls.observed if name.removesuffix("_detail") in statuses}

    @classmethod
    @cache
    def facts(cls) -> frozenset[str]:
        """The columns that only observe() writes."""
        return cls._status_columns() | {f"current_{pair}" for pair in cls.wishes} | cls.observed

    @classmethod
    @cache
    def guarded(cls) -> frozenset[str]:
        return cls.wish_columns() | cls.facts()

    def hold(self) -> None:
        """Say that it was just read, locked, with all that is to be changed, in a transaction that any refusal ends.

        So it needn't be read again to know what is, and a change needs no savepoint. After the first one it is said no
        longer.
        """
        self._locked_row = copy(self)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with transaction.atomic(savepoint=self._locked_row is None):
            yield
        self._locked_row = None

    def save(self, *, update_fields: Iterable[str] | None = None, **kwargs):
        """Write the plain columns, or these of them, and nothing of the wishes, the facts and what is fixed, whatever

        this object holds in them. Raises ValidationError if what is written breaks a rule of the model.
        """
        if self._state.adding:
            self._refuse_guarded()
            return self._make()
        self._check()
        with self._changing():
            columns = self._plain().keys()
            self._write(columns if update_fields is None else columns & {*update_fields, "updated_at"}, "changed")

    def _check(self):
        """Raises ValidationError. What references lead to, and what is taken already, the database finds."""
        references = {f.name for f in self._meta.concrete_fields if f.is_relation}
        self.full_clean(self.guarded() | self.fixed | references, validate_unique=False, validate_constraints=False)

    @classmethod
    @cache
    def _plain(cls) -> dict[str, str]:
        """The columns that save() writes, and the attributes that hold them."""
        columns = {f.name: f.attname for f in cls._meta.concrete_fields if not f.primary_key}
        return {name: attribute for name, attribute in columns.items() if name not in cls.guarded() | cls.fixed}

    def _write(self, columns: Iterable[str], verb: str, *, asked: bool = False) -> None:
        """These columns, with the journal's line and the ring."""
        self.updated_at = timezone.now()
        fields = [self._meta.get_field(name) for name in sorted(columns)]
        values = {field.attname: getattr(self, field.attname) for field in fields}
        sql, params = self._update(tuple(values)), [*statements.saved(type(self), values), self.pk]
        if not events.change(type(self), sql, params, verb, asked=asked):
            raise DatabaseError(f"{self} is not there any more")

    @classmethod
    @lru_cache(maxsize=statements.KEPT)
    def _update(cls, names: Iterable[str]) -> str:
        """The SQL of that."""
        return events.CHANGED.format(statements.updating(cls, names, events.BEFORE))

    def ask(self, **wishes: str) -> None:
        """Write down what the operator wants, with the plain columns. Only the northbound side calls this.

        Raises TransitionNotAllowed if a wish can't follow from what is, ValidationError as save() does. Asking again
        for what was asked already is a wish all the same: it is announced, and clears a refusal. What is to be deleted,
        and has nothing that must be taken back first, is gone afterwards, and has no pk.
        """
        asked = {f"desired_{pair}": value for pair, value in wishes.items()}
        if self._state.adding:
            self._refuse_guarded()
            for pair, value in wishes.items():
                self._allow(pair, value)
            vars(self).update(asked)
            return self._make()
        with self._changing():  # or the bell rings while an earlier refusal still hides the row
            self._ask(wishes, asked)

    def _ask(self, wishes: dict[str, str], asked: dict[str, str]) -> None:
        is_to_go = str(wishes.get("state", "")).endswith("_DELETED")
        is_so = self._locked_row
        if is_so is None:
            rows = type(self).objects.select_for_update(of=("self",))
            if not is_to_go:  # which reads what it has, to say if it can
                rows = rows.only(*self._plain().values(), *(f"current_{pair}" for pair in self.wishes))
            is_so = rows.get(pk=self.pk)
        for pair, value in wishes.items():
            is_so._allow(pair, value)
        if is_to_go and not is_so.must_be_taken_down():
            self.delete()
            return
        vars(self).update(asked)
        changed = {name: getattr(self, name) for name in {*self._plain().values()} - {"updated_at"}}
        if any(value != getattr(is_so, name) for name, value in changed.items()):
            self._check()  # and not what was there before, or what breaks a newer rule could never be deleted
            self._write([*self._plain(), *asked], "asked", asked=True)
        else:
            self._write(["updated_at", *asked], "asked", asked=True)

    def must_be_taken_down(self) -> bool:
        """Whether somebody has to take something back before it can go. Asked of a row that is locked."""
        return True

    @in_transaction
    def observe(self, *, only_if: dict[str, Any] | None = None, **facts: Any) -> bool:
        """Write down what is so, if it is not what is written already. Only reconcilers and servicers call this.

        facts: pairs (state="HOST_STATE_ONBOARDED"), statuses (host_status=Status("Running", Indicator.IDLE)) and
        observed columns. only_if names columns that must still hold these values, as after a wish that may have
        changed. True if something was written. Raises Gone if the row is, LeaseLost if the loop's lease is.
        """
        if check := fence.get():
            check()
        columns, only_if = self._columns(facts), only_if or {}
        row = self._as_it_is({*columns, *only_if, *({"desired_state"} & self.wish_columns())})
        if any(row[column] != value for column, value in only_if.items()):
            return False
        changed = {name: value for name, value in columns.items() if row[name] != value}
        for name, value in facts.items():
            if isinstance(value, Status) and changed.keys() & {name, f"{name}_indicator"}:
                changed[f"{name}_timestamp"] = int(time.time())
        if changed:
            changed["updated_at"] = timezone.now()
            models.QuerySet.update(type(self).objects.filter(pk=self.pk), **changed)
        for name, value in {**columns, **changed}.items():
            setattr(self, name, value)
        if self._is_deleted_as(row.get("desired_state", "")):
            self.delete()
        elif changed:
            events.announce(self, "observed", ring=bool(changed.keys() - self._told_to_people() - {"updated_at"}))
        return bool(changed)

    def _as_it_is(self, columns: set[str]) -> dict[str, Any]:
        """Locked. Raises Gone if there is none."""
        held, self._locked_row = self._locked_row, None
        if held is not None:
            return {column: getattr(held, column) for column in columns}
        rows = type(self).objects.select_for_update().filter(pk=self.pk).order_by().values(*columns)
        for row in rows:
            return row
        raise errors.Gone(str(self))

    def delete(self, *args, **kwargs):
        """Remove the row, and what it holds in the shared tables. Raises InUse if others refer to it."""
        with self._changing():
            self._release()
            if self._is_gone_alone():
                return 1, {self._meta.label: 1}
            for model in self.shared:
                model.objects.filter(schema=connection.schema_name, resource_id=self.resource_id).delete()
            events.announce(self, "deleted")
            try:
                return super().delete(*args, **kwargs)
            except (models.ProtectedError, models.RestrictedError) as used:
                users = sorted({str(row) for row in [*used.args[1]][:5]})
                raise errors.InUse(f"{self} is in use by {', '.join(users)}") from used

    def _is_gone_alone(self) -> bool:
        """Delete it if nothing refers to it, by one statement: Django asks each kind that could, one after another."""
        if not events.change(type(self), self._deletion(), [self.pk, self.resource_id], "deleted"):
            return False
        self.pk = None
        return True

    @classmethod
    @cache
    def _deletion(cls) -> str:
        """The SQL of that."""
        pk, resource_id = (f"${events.BEFORE + number}" for number in (1, 2))
        gone = f"DELETE FROM {cls._meta.db_table} WHERE id = {pk} AND resource_id = {resource_id}"
        for relation in get_candidate_relations_to_delete(cls._meta):
            there, key = relation.field.model._meta.db_table, relation.field.target_field
            gone += f" AND NOT EXISTS (SELECT FROM {there} WHERE {relation.field.column} = "
            gone += f"{pk})" if key.primary_key else f"{resource_id})"
        sql = events.CHANGED.format(gone)
        for model in cls.shared:
            theirs = f"DELETE FROM {model._meta.db_table} WHERE schema = $1::text AND resource_id = {resource_id}"
            sql += f", {model._meta.model_name} AS ({theirs} AND EXISTS (SELECT FROM changed))"
        return sql

    def _release(self) -> None:
        """Let go of what goes with it, and isn't one of `shared`."""

    def _is_deleted_as(self, wanted: str) -> bool:
        return wanted.endswith("_DELETED") and getattr(self, "current_state", None) == wanted

    @classmethod
    @cache
    def _defaults(cls) -> dict[str, Any]:
        """Of all columns but the key, by the attributes that hold them. To compare with: a list of it is everyone's."""
        return {f.attname: f.get_default() for f in cls._meta.concrete_fields if not f.primary_key}

    @classmethod
    def default_of(cls, column: str) -> Any:
        field = cls._meta.get_field(column)
        assert isinstance(field, models.Field)
        return field.get_default()

    def _allow(self, pair: str, value: str) -> None:
        current = getattr(self, f"current_{pair}")
        table = self.allowed.get(pair)
        if table is not None and value not in table[current]:
            raise errors.TransitionNotAllowed(
                f"{self.resource_id or self.prefix} can't become {value}: it is {current}"
            )

    def _refuse_guarded(self) -> None:
        for name in self.guarded():
            if getattr(self, name) != self._defaults()[name]:
                raise errors.NotYours(f"{name} can't be set by save(): use ask() or observe()")

    def take_over(self, resource_id: str, *, since: datetime | None = None, **guarded: Any) -> None:
        """Make the row of a resource that another system had, with the id, the wishes and the facts that it had there.

        Only who moves a project here calls this (inventory/moving): what was true there is true here, and nobody is
        asked for it again. since: when it was made there. Raises ValidationError, Duplicate, and what else _insert()
        raises.
        """
        if strange := guarded.keys() - self.guarded():
            raise errors.NotYours(f"{', '.join(sorted(strange))} of a {self.prefix} is neither wish nor fact")
        self._refuse_guarded()
        self.was_elsewhere = True
        vars(self).update(guarded, resource_id=resource_id)
        try:
            with transaction.atomic():
                self._insert()
        except _IdTaken as taken:
            raise errors.Duplicate(f"There is a {self.prefix} with the id {resource_id} already") from taken
        if since is not None:
            models.QuerySet.update(type(self).objects.filter(pk=self.pk), created_at=since)

    def _make(self) -> None:
        """With a new id. There are 2**32 of them a kind, so at scale they collide: then another is drawn."""
        for _ in range(5):
            self.resource_id = f"{self.prefix}-{secrets.token_hex(4)}"
            try:
                with transaction.atomic():
                    return self._insert()
            except _IdTaken:
                continue
        raise errors.Duplicate(f"Five ids in a row were taken for a new {self.prefix}")

    def _insert(self) -> None:
        """The row, and what is to be there with it, in a transaction that ends if any of it can't be."""
        # What a reference leads to needn't be looked for, where it was read: the database holds to it.
        references = [field for field in self._meta.concrete_fields if field.is_relation and field.is_cached(self)]
        read = {field.name for field in references if getattr(self, field.attname) is not None}
        unsaid = {name for name in self.guarded() if getattr(self, name) == self._defaults()[name]}
        self.full_clean({"resource_id"} | unsaid | read, validate_unique=False, validate_constraints=False)
        try:
            self._insert_row()
        except IntegrityError as taken:
            if "resource_id" in str(taken):
                raise _IdTaken from taken
            raise errors.Duplicate(self.duplicate_sentence()) from taken

    def _insert_row(self) -> None:
        """With the journal's line and the ring."""
        self.created_at = self.updated_at = timezone.now()
        defaults = self._defaults()
        values = {name: value for name in defaults if (value := getattr(self, name)) != defaults[name]}
        sql, params = self._insertion(tuple(values)), statements.saved(type(self), values)
        [self.pk] = events.change(type(self), sql, params, "created")
        self._state.adding, self._state.db = False, connection.alias

    @classmethod
    @lru_cache(maxsize=statements.KEPT)
    def _insertion(cls, names: Iterable[str]) -> str:
        """The SQL of that."""
        return events.CHANGED.format(statements.insertion(cls, names, events.BEFORE))

    def duplicate_sentence(self) -> str:
        return f"There is a {self.prefix} like this already: {getattr(self, 'name', '')!r}"

    @classmethod
    def _columns(cls, facts: dict[str, Any]) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, value in facts.items():
            if isinstance(value, Status):
                columns[name], columns[f"{name}_indicator"] = value.text[:1024], str(value.indicator)
            elif name in cls.wishes:
                columns[f"current_{name}"] = str(value)
            else:
                columns[name] = value
        if strange := columns.keys() - cls.facts():
            raise errors.NotYours(f"observe() can't write {', '.join(sorted(strange))} of a {cls.prefix}")
        return columns

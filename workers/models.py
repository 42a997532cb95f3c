"""What is outstanding: the durable queue, a row for each wish that isn't fulfilled yet.

All of it goes by the database's clock, so workers on several machines needn't agree on the time, and each step is one
statement, so a worker may be killed between any two.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, models

from tenants.secrets import SealedField


class Queue(models.TextChoices):
    """Queues that never starve each other: each has processes that take from it."""

    RECONCILE = "reconcile"
    BMC = "bmc"  # slow talks with management controllers
    BUILD = "build"  # minutes
    TENANT = "tenant"  # DDL, one at a time


class Work(models.Model):
    """One resource that one reconciler has to look at."""

    schema = models.CharField(max_length=63)
    reconciler = models.CharField(max_length=63)
    target = models.BigIntegerField()  # the resource's primary key
    queue = models.CharField(max_length=16, choices=Queue)
    wish = models.CharField(max_length=64)  # what was desired when it was last rung for
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()
    generation = models.BigIntegerField()  # how often it was rung for
    epoch = models.BigIntegerField()  # how often it was claimed; tells a worker of yesterday from today's
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField()  # that failed, one after the other
    refused = models.CharField(max_length=64)  # the wish that can't be fulfilled, if it is refused
    why = models.TextField()  # it isn't done yet

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schema", "reconciler", "target"], name="one_work_a_resource")]
        indexes = [
            models.Index(fields=["queue", "due_at"], condition=models.Q(refused=""), name="work_that_may_be_due"),
            models.Index(fields=["queue", "schema", "due_at"], condition=models.Q(refused=""), name="work_by_turns"),
        ]
        verbose_name_plural = "outstanding work"

    def __str__(self):
        return f"{self.reconciler} of {self.schema}/{self.target}"


class Watch(models.Model):
    """One machine whose power is looked at every minute, less often while its management is silent."""

    schema = models.CharField(max_length=63)
    target = models.BigIntegerField()  # the host's primary key
    due_at = models.DateTimeField()
    failures = models.PositiveIntegerField()  # one after the other
    seen = models.TextField()  # the last time: its state, or what was wrong

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schema", "target"], name="one_watch_a_host")]
        indexes = [models.Index(fields=["due_at"], name="watches_that_may_be_due")]
        verbose_name_plural = "watches"

    def __str__(self):
        return f"{self.schema}/{self.target}"


class Activation(models.Model):
    """How the machines of a project get their AMT activated: the password, and whether RPS has the profiles.

    It outlives its project until RPS has forgotten them.
    """

    outlives_tenant = True

    schema = models.CharField(max_length=63, unique=True)
    tenant = models.UUIDField()
    password_sealed = SealedField()
    is_made = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "activations"

    def __str__(self):
        return self.schema


_COLUMNS = [field.attname for field in Work._meta.concrete_fields]
_FREE = "refused = '' AND (leased_until IS NULL OR leased_until < now())"
_DUE = f"due_at <= now() AND {_FREE}"
# Of each tenant that has work in the queue, from one on, when its first is due: an index probe for each.
_TURNS = f"""
    WITH RECURSIVE turn AS (
        (SELECT schema, due_at FROM workers_work WHERE queue = %s AND schema > %s AND {_FREE}
         ORDER BY schema, due_at LIMIT 1)
        UNION ALL
        SELECT following.* FROM turn CROSS JOIN LATERAL (
            SELECT schema, due_at FROM workers_work WHERE queue = %s AND schema > turn.schema AND {_FREE}
            ORDER BY schema, due_at LIMIT 1
        ) AS following
    )
"""
_FIRST_IN_TURN = f"""
    {_TURNS}
    SELECT first.id FROM turn CROSS JOIN LATERAL (
        SELECT id FROM workers_work WHERE queue = %s AND schema >= turn.schema AND {_DUE}
        ORDER BY schema, due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS first
    WHERE turn.due_at <= now() LIMIT 1
"""


def wake(schema: str, reconciler: str, queue: str, wishes: Collection[tuple[int, str, bool]]) -> None:
    """Something about these resources changed: look at them now, also if somebody is looking at them already.

    wishes: (target, wish, asked), in the order of the targets, or two who wake the same rows may wait for each other.
    The generation tells whoever is at work that what they read may be old. A refusal stands until the wish differs, or
    is made once more (asked).
    """
    if not wishes:
        return
    targets, wanted, asked = zip(*wishes, strict=True)
    _execute(
        """
        INSERT INTO workers_work AS work (schema, reconciler, target, queue, wish, made_at, due_at,
                                          generation, epoch, attempts, refused, why)
        SELECT %(schema)s, %(reconciler)s, target, %(queue)s, wish, now(), now(), 1, 0, 0, '', ''
        FROM unnest(%(targets)s::bigint[], %(wishes)s::text[]) AS woken (target, wish)
        ON CONFLICT (schema, reconciler, target) DO UPDATE SET
            due_at = LEAST(work.due_at, now()),
            generation = work.generation + 1,
            refused = CASE WHEN work.refused = excluded.wish AND work.target <> ALL(%(asked)s::bigint[])
                           THEN work.refused ELSE '' END,
            attempts = CASE WHEN work.wish = excluded.wish THEN work.attempts ELSE 0 END,
            wish = excluded.wish
        """,
        schema=schema, reconciler=reconciler, queue=queue, targets=[*targets], wishes=[*wanted],
        asked=[target for target, again in zip(targets, asked, strict=True) if again],
    )  # fmt: skip


def claim(queue: str, lease: timedelta, after: str = "") -> Work | None:
    """Ours for the length of the lease; None if nothing is due.

    Tenants are served in turn, whatever the number of their rows: the one whose schema comes next behind `after`, and
    of its rows the one that has been due longest.
    """
    first, values = _FIRST_IN_TURN, [queue, after, queue, queue]
    if after:  # and if there is none behind, it begins again with the first
        first, values = f"SELECT COALESCE(({first}), ({_FIRST_IN_TURN}))", [*values, queue, "", queue, queue]
    # Asked first, and once: mostly nothing is due, and then nobody's turn matters.
    is_any = f"(SELECT due_at FROM workers_work WHERE queue = %s AND {_FREE} ORDER BY due_at LIMIT 1) <= now()"
    return _claim(lease, f"({first}) AND {is_any}", *values, queue)


def claim_this(schema: str, reconciler: str, target: int, lease: timedelta) -> Work | None:
    """The same of one resource. None if it isn't due, or somebody has it."""
    return _claim(
        lease,
        f"(SELECT id FROM workers_work WHERE schema = %s AND reconciler = %s AND target = %s AND {_DUE}"
        " FOR UPDATE SKIP LOCKED)",
        schema, reconciler, target,
    )  # fmt: skip


def _claim(lease: timedelta, which: str, *values) -> Work | None:
    values = (lease, *values)
    with connection.cursor() as cursor:
        # The table is mostly empty, and for that Postgres takes it also when a heap has come: any index is as good
        # then, and it read all that is outstanding at each claim. What may not be sorted comes from the one in order.
        cursor.execute(
            f"""
            SET LOCAL enable_sort = off;
            UPDATE workers_work SET epoch = epoch + 1, leased_until = now() + %s
            WHERE id = {which}
            RETURNING {", ".join(_COLUMNS)}
            """,
            values,
        )
        cursor.nextset()
        rows = cursor.fetchall()
    return Work(**dict(zip(_COLUMNS, rows[0], strict=True))) if rows else None


def renew(work: Work, lease: timedelta) -> None:
    """Hold it for longer, if it is still ours."""
    _execute(
        "UPDATE workers_work SET leased_until = now() + %s WHERE id = %s AND epoch = %s AND leased_until > now()",
        lease, work.pk, work.epoch,
    )  # fmt: skip


def finish(work: Work) -> None:
    """It is as it was asked for; if it was rung for again meanwhile, it is due at once."""
    done = _execute(
        "DELETE FROM workers_work WHERE id = %s AND epoch = %s AND generation = %s RETURNING id",
        work.pk, work.epoch, work.generation,
    )  # fmt: skip
    if not done:
        _let_go(work, "due_at = now()")


def postpone(work: Work, after: timedelta, why: str, *, failed: bool = False) -> None:
    """Look again after a while; at once if it was rung for again meanwhile."""
    _let_go(
        work,
        "attempts = %s, why = %s, due_at = now() + CASE WHEN generation = %s THEN %s ELSE interval '0' END",
        work.attempts + 1 if failed else 0, why, work.generation, after,
    )  # fmt: skip


def refuse(work: Work, wish: str, why: str) -> None:
    """Trying again won't help: leave it until somebody wishes. `wish` is the one that was looked at; if it was rung for

    again meanwhile, that may have been a new wish, and it is looked at once more.
    """
    _let_go(
        work,
        "why = %s, due_at = now(), refused = CASE WHEN generation = %s THEN %s ELSE '' END",
        why, work.generation, wish,
    )  # fmt: skip


def still_ours(work: Work) -> bool:
    """Does this worker hold the lease? Locks the row, so that nobody can take it before our transaction ends."""
    return bool(_execute(
        "SELECT 1 FROM workers_work WHERE id = %s AND epoch = %s AND leased_until > now() FOR SHARE",
        work.pk, work.epoch,
    ))  # fmt: skip


def due_by_queue() -> dict[str, int]:
    """How much is due in each queue, counted up to 100 a queue: more makes no difference to who asks."""
    rows = _execute(
        f"""
        SELECT queue, (SELECT count(*) FROM (SELECT 1 FROM workers_work w WHERE w.queue = q.queue AND {_DUE} LIMIT 100)
                       AS counted)
        FROM unnest(%s::text[]) AS q(queue)
        """,
        Queue.values,
    )
    return {queue: count for queue, count in rows if count}


def oldest_due() -> float:
    """For how many seconds the oldest change has been unheard, or the oldest work due and not begun.

    An index probe for each queue, however much waits.
    """
    [(waits,)] = _execute(
        f"""
        SELECT extract(epoch FROM clock_timestamp() - min(since))::float FROM (
            (SELECT rung_at AS since FROM tenants_ring ORDER BY id LIMIT 1)
            UNION ALL
            SELECT due.due_at FROM unnest(%s::text[]) AS q(queue) CROSS JOIN LATERAL (
                SELECT due_at FROM workers_work WHERE queue = q.queue AND {_DUE} ORDER BY due_at LIMIT 1
            ) AS due
        ) AS waiting
        """,
        Queue.values,
    )
    return max(0.0, waits or 0.0)


# Watches -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """A watch that is to be looked at now; its next time is set already, in case we die of it."""

    pk: int
    schema: str
    target: int
    failures: int
    seen: str
    late: float  # seconds


def watch(schema: str, target: int, every: timedelta) -> tuple[int, str, timedelta]:
    """Look at this host from now on. Its failures, what was seen last, and when it is looked at next.

    Many that come at once are spread.
    """
    [(failures, seen, due_in)] = _execute(
        """
        INSERT INTO workers_watch (schema, target, due_at, failures, seen)
        VALUES (%s, %s, now() + random() * %s, 0, '')
        ON CONFLICT (schema, target) DO UPDATE SET seen = workers_watch.seen
        RETURNING failures, seen, due_at - now()
        """,
        schema, target, every,
    )  # fmt: skip
    return failures, seen, due_in


def claim_watches(most: int, every: timedelta, *, doubtful: bool) -> list[Due]:
    """Those that have been due longest. doubtful: those whose last look failed; they have slots of their own."""
    rows = _execute(
        f"""
        WITH due AS (
            SELECT id, due_at FROM workers_watch
            WHERE due_at <= now() AND failures {">" if doubtful else "="} 0
            ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE workers_watch AS watch SET due_at = now() + %s FROM due WHERE watch.id = due.id
        RETURNING watch.id, schema, target, failures, seen, extract(epoch FROM now() - due.due_at)::float
        """,
        most, every,
    )  # fmt: skip
    return [Due(*row) for row in rows]


def looked(schema: str, target: int, seen: str, failures: int, again: timedelta) -> None:
    """Note what was seen, and look again after a while."""
    _execute(
        "UPDATE workers_watch SET seen = %s, failures = %s, due_at = now() + %s WHERE schema = %s AND target = %s",
        seen, failures, again, schema, target,
    )  # fmt: skip


def unwatch(pks: Collection[int]) -> None:
    if pks:
        _execute("DELETE FROM workers_watch WHERE id = ANY(%s)", [*pks])


def _let_go(work: Work, change: str, *values) -> bool:
    return bool(_execute(
        f"UPDATE workers_work SET leased_until = NULL, {change} WHERE id = %s AND epoch = %s RETURNING id",
        *values, work.pk, work.epoch,
    ))  # fmt: skip


def _execute(sql: str, *values, **named) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, named or values)
        return cursor.fetchall() if cursor.description else []


class Heard(models.Model):
    """When the hosts of a tenant were last heard from, written down now and then in case Redis loses it."""

    schema = models.CharField(max_length=63, unique=True)
    at = models.DateTimeField(auto_now=True)
    seen = models.JSONField(default=dict)  # UUID -> seconds since 1970

    def __str__(self):
        return self.schema


class OsProfile(models.Model):
    """What a place that OS profiles come from says: a file, or a tag in a registry (workers/catalogue.py)."""

    origin = models.CharField(max_length=500, unique=True)
    columns = models.JSONField(default=dict)  # of the operating system that it describes; those it last described
    problem = models.TextField(blank=True)  # why it can't be had, or not all of it
    retracted = models.BooleanField(default=False)  # its place has it no more
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = "OS profile"

    def __str__(self):
        return self.origin


class OsCatalogue(models.Model):
    """What all profiles together say, as of the last pass. One row."""

    digest = models.CharField(max_length=64)
    made_at = models.DateTimeField(auto_now=True)

    def __str__(self):
        return self.digest[:12]


class Follows(models.Model):
    """That a tenant's operating systems are as the catalogue of this digest says."""

    schema = models.CharField(max_length=63, unique=True)
    digest = models.CharField(max_length=64)

    def __str__(self):
        return self.schema

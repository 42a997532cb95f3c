"""What is outstanding: the durable queue, a row for each wish that isn't fulfilled yet.

All of it goes by the database's clock, so workers on several machines needn't agree on the time, and each step is one
statement, so a worker may be killed between any two.
"""

from datetime import timedelta

from django.db import connection, models


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
        ]
        verbose_name_plural = "outstanding work"

    def __str__(self):
        return f"{self.reconciler} of {self.schema}/{self.target}"


_COLUMNS = [field.attname for field in Work._meta.concrete_fields]
_DUE = "due_at <= now() AND refused = '' AND (leased_until IS NULL OR leased_until < now())"


def wake(schema: str, reconciler: str, target: int, queue: str, wish: str, *, asked: bool = False) -> None:
    """Something about this resource changed: look at it now, also if somebody is looking at it already.

    The generation tells whoever is at work that what they read may be old. A refusal stands until the wish differs,
    or is made once more (asked).
    """
    _execute(
        """
        INSERT INTO workers_work AS work (schema, reconciler, target, queue, wish, made_at, due_at,
                                          generation, epoch, attempts, refused, why)
        VALUES (%s, %s, %s, %s, %s, now(), now(), 1, 0, 0, '', '')
        ON CONFLICT (schema, reconciler, target) DO UPDATE SET
            due_at = LEAST(work.due_at, now()),
            generation = work.generation + 1,
            refused = CASE WHEN work.refused = excluded.wish AND NOT %s THEN work.refused ELSE '' END,
            attempts = CASE WHEN work.wish = excluded.wish THEN work.attempts ELSE 0 END,
            wish = excluded.wish
        """,
        schema, reconciler, target, queue, wish, asked,
    )  # fmt: skip


def claim(queue: str, lease: timedelta) -> Work | None:
    """The one that has been due longest, ours for the length of the lease. None if nothing is due."""
    return _claim(lease, "queue = %s", queue)


def claim_this(schema: str, reconciler: str, target: int, lease: timedelta) -> Work | None:
    """The same of one resource. None if it isn't due, or somebody has it."""
    return _claim(lease, "schema = %s AND reconciler = %s AND target = %s", schema, reconciler, target)


def _claim(lease: timedelta, which: str, *values) -> Work | None:
    rows = _execute(
        f"""
        UPDATE workers_work SET epoch = epoch + 1, leased_until = now() + %s
        WHERE id = (SELECT id FROM workers_work WHERE {which} AND {_DUE}
                    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING {", ".join(_COLUMNS)}
        """,
        lease, *values,
    )  # fmt: skip
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


def _let_go(work: Work, change: str, *values) -> bool:
    return bool(_execute(
        f"UPDATE workers_work SET leased_until = NULL, {change} WHERE id = %s AND epoch = %s RETURNING id",
        *values, work.pk, work.epoch,
    ))  # fmt: skip


def _execute(sql: str, *values) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


class Heard(models.Model):
    """When the hosts of a tenant were last heard from, written down now and then in case Redis loses it."""

    schema = models.CharField(max_length=63, unique=True)
    at = models.DateTimeField(auto_now=True)
    seen = models.JSONField(default=dict)  # UUID -> seconds since 1970

    def __str__(self):
        return self.schema

"""The journal of what changed, and the doorbell's rings."""

from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    """The journal: what changed, appended in the transaction of the change itself.

    Ids are handed out before the commit, so a reader that resumes by id serves only rows whose `xid` lies below
    pg_snapshot_xmin(pg_current_snapshot()); a line committed late is skipped for ever otherwise. A reader that resumes
    by `xid`, from that of the last time on, misses none either, and is told some twice (workers/answers.py).
    """

    schema = models.CharField(max_length=63)
    kind = models.CharField(max_length=32)
    resource_id = models.CharField(max_length=25)
    verb = models.CharField(max_length=16)
    who = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    xid = models.BigIntegerField(
        db_default=models.Func(
            function="pg_current_xact_id",
            output_field=models.BigIntegerField(),
            template="(%(function)s()::text::bigint)",
        )
    )

    class Meta:
        indexes = [
            models.Index(fields=["schema", "resource_id", "id"], name="event_by_resource"),
            models.Index(fields=["xid"], name="event_by_transaction"),
        ]

    def __str__(self):
        return f"{self.at:%F %T} {self.verb} {self.resource_id}"


class Ring(models.Model):
    """Somebody rang for this row; deleted when heard. Written with the change, so no lost message loses a wish."""

    schema = models.CharField(max_length=63)
    label = models.CharField(max_length=64)  # "inventory.Host"
    pk_rung = models.BigIntegerField()
    asked = models.BooleanField(default=False)  # a wish was made, if only once more; lifts a refusal
    rung_at = models.DateTimeField(db_default=Now())  # tells who watches us for how long nobody has heard

    def __str__(self):
        return f"{self.schema} {self.label} {self.pk_rung}"

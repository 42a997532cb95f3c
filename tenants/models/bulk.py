"""Bulk imports that run at the server: a file's rows, and what became of each. Shared tables, keyed by tenant."""

from django.db import connection, models

from tenants.resource import Resource, status, wish


class BulkImportState(models.TextChoices):
    UNSPECIFIED = "BULK_IMPORT_STATE_UNSPECIFIED"
    DONE = "BULK_IMPORT_STATE_DONE"


class BulkImport(Resource):
    """A file that was uploaded to be imported. The loop imports some rows at a time; deleting it stops that."""

    prefix = "import"
    wishes = {"state": "status"}
    observed = {"done", "imported", "completed", "already_registered", "failed", "finished_at"}

    schema = models.CharField(max_length=63, editable=False)
    name = models.CharField(max_length=255)  # the file's
    who = models.CharField(max_length=150, editable=False)  # uploaded it: the journal says that they made the hosts
    onboard = models.BooleanField(default=False)
    dry_run = models.BooleanField(default=False)
    overrides = models.JSONField(default=dict, blank=True)  # {column: cell} that stand in every row
    total = models.PositiveIntegerField(default=0)  # rows
    done = models.PositiveIntegerField(default=0, editable=False)
    # What became of them (inventory/bulk/wanted.py).
    imported = models.PositiveIntegerField(default=0, editable=False)
    completed = models.PositiveIntegerField(default=0, editable=False)
    already_registered = models.PositiveIntegerField(default=0, editable=False)
    failed = models.PositiveIntegerField(default=0, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    desired_state, current_state = wish(BulkImportState)
    status, status_indicator, status_timestamp = status("Waiting")

    class Meta(Resource.Meta):
        verbose_name = "bulk import"
        indexes = [models.Index(fields=["schema", "resource_id"], name="bulk_import_by_schema")]

    def _insert(self):
        self.schema = connection.schema_name
        super()._insert()


class BulkRow(models.Model):
    """A row of such a file."""

    schema = models.CharField(max_length=63)
    # No constraint: when a tenant goes, its rows of each shared table go by themselves (tenants/shared.py).
    bulk_import = models.ForeignKey(
        BulkImport, on_delete=models.CASCADE, related_name="rows", db_constraint=False, db_index=False
    )
    number = models.PositiveIntegerField()  # from 1, without the header
    cells = models.JSONField()  # by column, as they are in the file
    faults = models.JSONField(default=list, db_default=[])  # of the line as such
    problems = models.JSONField(default=list)  # all that was found when it was imported
    outcome = models.CharField(max_length=20, blank=True)
    resource_id = models.CharField(max_length=24, blank=True)  # of the host

    class Meta:
        indexes = [models.Index(fields=["schema"], name="bulk_row_by_schema")]
        constraints = [models.UniqueConstraint(fields=["bulk_import", "number"], name="one_row_of_a_number")]

    def __str__(self):
        return f"{self.bulk_import_id}/{self.number}"

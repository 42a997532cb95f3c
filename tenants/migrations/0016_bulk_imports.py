"""Bulk imports that run at the server, and their rows."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.resource
from tenants.rls import rows_belong_to_their_schema

STATES = [("BULK_IMPORT_STATE_UNSPECIFIED", "Unspecified"), ("BULK_IMPORT_STATE_DONE", "Done")]
INDICATORS = [
    ("STATUS_INDICATION_UNSPECIFIED", "Unspecified"),
    ("STATUS_INDICATION_ERROR", "Error"),
    ("STATUS_INDICATION_IN_PROGRESS", "In Progress"),
    ("STATUS_INDICATION_IDLE", "Idle"),
]


def state():
    return models.CharField(choices=STATES, default="BULK_IMPORT_STATE_UNSPECIFIED", editable=False, max_length=40)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0015_enrolments")]

    operations = [
        migrations.CreateModel(
            name="BulkImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("resource_id", models.CharField(editable=False, max_length=24, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("schema", models.CharField(editable=False, max_length=63)),
                ("name", models.CharField(max_length=255)),
                ("who", models.CharField(editable=False, max_length=150)),
                ("onboard", models.BooleanField(default=False)),
                ("dry_run", models.BooleanField(default=False)),
                ("overrides", models.JSONField(blank=True, default=dict)),
                ("total", models.PositiveIntegerField(default=0)),
                *(
                    (name, models.PositiveIntegerField(default=0, editable=False))
                    for name in ("done", "imported", "completed", "already_registered", "failed")
                ),
                ("finished_at", models.DateTimeField(editable=False, null=True)),
                ("desired_state", state()),
                ("current_state", state()),
                ("status", models.CharField(default="Waiting", editable=False, max_length=1024)),
                (
                    "status_indicator",
                    models.CharField(
                        choices=INDICATORS, default="STATUS_INDICATION_UNSPECIFIED", editable=False, max_length=32
                    ),
                ),
                ("status_timestamp", tenants.resource.EpochField(default=0, editable=False)),
            ],
            options={
                "verbose_name": "bulk import",
                "ordering": ["resource_id"],
                "abstract": False,
                "indexes": [models.Index(fields=["schema", "resource_id"], name="bulk_import_by_schema")],
            },
        ),
        migrations.CreateModel(
            name="BulkRow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schema", models.CharField(max_length=63)),
                ("number", models.PositiveIntegerField()),
                ("cells", models.JSONField()),
                ("problems", models.JSONField(default=list)),
                ("outcome", models.CharField(blank=True, max_length=20)),
                ("resource_id", models.CharField(blank=True, max_length=24)),
                (
                    "bulk_import",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="tenants.bulkimport",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["schema"], name="bulk_row_by_schema")],
                "constraints": [models.UniqueConstraint(fields=("bulk_import", "number"), name="one_row_of_a_number")],
            },
        ),
        rows_belong_to_their_schema("tenants_bulkimport"),
        rows_belong_to_their_schema("tenants_bulkrow"),
    ]

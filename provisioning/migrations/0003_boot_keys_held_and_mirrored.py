"""Keys of Secure Boot, artifacts that stay at an earlier version, and files mirrored from elsewhere."""

import django.core.validators
from django.db import migrations, models

import tenants.resource
import tenants.secrets


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0002_rows_belong_to_their_schema"),
    ]

    operations = [
        migrations.CreateModel(
            name="BootKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("PK", "Platform key"), ("KEK", "Key exchange key"), ("db", "Signature database")],
                        max_length=3,
                    ),
                ),
                ("certificate", models.TextField()),
                ("private_key", tenants.secrets.SealedField()),
                ("made_at", models.DateTimeField(auto_now_add=True)),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Mirrored",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("resource_id", models.CharField(editable=False, max_length=24, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("url", models.CharField(max_length=2000, validators=[django.core.validators.URLValidator(schemes=['http', 'https'])])),
                (
                    "sha256",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[django.core.validators.RegexValidator("^[a-f0-9]{64}\\Z")],
                    ),
                ),
                ("desired_digest", models.CharField(blank=True, editable=False, max_length=64)),
                ("current_digest", models.CharField(blank=True, editable=False, max_length=64)),
                ("size_bytes", models.BigIntegerField(default=0, editable=False)),
                ("download_status", models.CharField(default="Not Downloaded", editable=False, max_length=1024)),
                (
                    "download_status_indicator",
                    models.CharField(
                        choices=[
                            ("STATUS_INDICATION_UNSPECIFIED", "Unspecified"),
                            ("STATUS_INDICATION_ERROR", "Error"),
                            ("STATUS_INDICATION_IN_PROGRESS", "In Progress"),
                            ("STATUS_INDICATION_IDLE", "Idle"),
                        ],
                        default="STATUS_INDICATION_UNSPECIFIED",
                        editable=False,
                        max_length=32,
                    ),
                ),
                ("download_status_timestamp", tenants.resource.EpochField(default=0, editable=False)),
            ],
            options={
                "ordering": ["resource_id"],
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="artifact",
            name="held",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]

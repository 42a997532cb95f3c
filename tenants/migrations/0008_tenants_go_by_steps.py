"""Whom a project that is deleted waits for; and a node's credentials are found by its host."""

from django.db import migrations, models

import tenants.resource


class Migration(migrations.Migration):
    dependencies = [("tenants", "0007_audit_and_sealed_columns")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="forced",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="teardown_since",
            field=tenants.resource.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="teardown_step",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="edgecredential",
            index=models.Index(fields=["schema", "host_uuid"], name="credential_by_host"),
        ),
    ]

"""Rows of the shared tables are seen only from their own schema, or from public."""

from django.db import migrations

from tenants.rls import rows_belong_to_their_schema


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0001_initial")]

    operations = [
        rows_belong_to_their_schema("provisioning_workflow"),
    ]

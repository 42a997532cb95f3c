"""Rows of the shared tables are seen only from their own schema, or from public."""

from django.db import migrations

from tenants.rls import rows_belong_to_their_schema


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]

    operations = [
        rows_belong_to_their_schema("tenants_claim"),
        rows_belong_to_their_schema("tenants_edgecredential"),
        rows_belong_to_their_schema("tenants_event"),
        rows_belong_to_their_schema("tenants_ring"),
    ]

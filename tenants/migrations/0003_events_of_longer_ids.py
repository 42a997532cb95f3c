"""The journal names telemetry profiles too, whose ids are the longest."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_rows_belong_to_their_schema")]

    operations = [migrations.AlterField("event", "resource_id", models.CharField(max_length=25))]

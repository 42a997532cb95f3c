"""The journal names telemetry profiles too, whose ids are the longest."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_states_and_memberships_go")]

    operations = [migrations.AlterField("event", "resource_id", models.CharField(max_length=25))]

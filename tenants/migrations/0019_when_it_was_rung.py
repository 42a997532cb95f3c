"""A ring says since when it waits for somebody to hear it."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0018_metrics_of_single_hosts"),
    ]

    operations = [
        migrations.AddField(
            model_name="ring",
            name="rung_at",
            field=models.DateTimeField(db_default=Now()),
        ),
    ]
